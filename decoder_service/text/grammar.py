"""What a model may write next, by a grammar."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer
from transformers import PreTrainedTokenizerBase

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions


_COMPACT: "JsonCompileOptions" = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class InvalidGrammarError(Exception):
    """The grammar or JSON schema cannot be compiled or followed; the message says why."""


class GrammarCompiler:
    """Compiles grammars for one tokenizer. Making it takes about a second."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_tokens: frozenset[int]) -> None:
        text = tokenizer.backend_tokenizer.to_str()
        self._tokenizer = LLTokenizer(text, eos_token=sorted(end_tokens))

    def lark(self, grammar: str) -> "Grammar":
        """Compiles a Lark grammar in llguidance's dialect. Raises InvalidGrammarError."""
        return self._compile(LLMatcher.grammar_from_lark(grammar))

    def json_schema(self, schema: str) -> "Grammar":
        """Compiles a JSON schema; its sentences are compact JSON. Raises InvalidGrammarError."""
        try:
            return self._compile(LLMatcher.grammar_from_json_schema(json.loads(schema), overrides=_COMPACT))
        except (ValueError, RecursionError) as error:
            raise InvalidGrammarError(str(error)) from error

    def _compile(self, grammar: str) -> "Grammar":
        problem = LLMatcher.validate_grammar(grammar, self._tokenizer)
        if problem:
            raise InvalidGrammarError(problem.splitlines()[0])
        return Grammar(LLMatcher(self._tokenizer, grammar))


class Grammar:
    """The state of one turn under a grammar.

    Whether one token may come is known in less than a microsecond. All that may come takes microseconds, in some places
    milliseconds, and so can be found ahead of time, in another thread: `foresee` is the only method that may run there,
    and no other may run until it is done.

    Where the text that must come leaves no choice, it is written in the tokens that its text is made of: that one is
    `forced`, and `filter` leaves no other.
    """

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher
        self._may: npt.NDArray[np.bool_] | None = None

    def foresee(self) -> None:
        """Finds all that may come next. Raises InvalidGrammarError when the grammar came to a limit of its own."""
        self._may = self._find()

    def forced(self) -> int | None:
        """The token that must come next; None: there is a choice."""
        tokens = self._matcher.compute_ff_tokens()
        return tokens[0] if tokens else None

    def allows(self, token: int) -> bool:
        """Whether this token may come next, where none is forced."""
        return self.follow([token]) == 1

    def follow(self, tokens: Sequence[int]) -> int:
        """How many of these tokens, from the first on, may come next in turn."""
        return self._matcher.validate_tokens(list(tokens))

    def filter(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The logits, with those of what may not come next at minus infinity. Raises InvalidGrammarError."""
        may = (self._may if self._may is not None else self._find())[: len(logits)]
        return np.where(may, logits[: len(may)], np.float32("-inf"))

    def accept(self, token: int) -> bool:
        """Takes the chosen token; says whether the sentence is complete and nothing can follow.

        Raises InvalidGrammarError when the grammar came to a limit of its own.
        """
        self._may = None
        self._matcher.consume_token(token)
        self._check()
        return bool(self._matcher.is_stopped())

    def _find(self) -> npt.NDArray[np.bool_]:
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        return np.unpackbits(bits, bitorder="little").view(np.bool_)

    def _check(self) -> None:
        if self._matcher.is_error():
            raise InvalidGrammarError(self._matcher.get_error())
