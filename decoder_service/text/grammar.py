"""What a model may write next, by a grammar."""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Allowed:
    """The tokens that may come next, packed: bit `token % 8` of byte `token // 8`. `only`: the one, if it is one."""

    bits: npt.NDArray[np.uint8]
    only: int | None

    def allows(self, token: int) -> bool:
        """Whether this token may come. Tokens that the tokenizer does not know may not."""
        return token < 8 * len(self.bits) and bool(self.bits[token >> 3] >> (token & 7) & 1)

    def filter(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The logits, with those of other tokens at minus infinity."""
        may = np.unpackbits(self.bits, bitorder="little").view(np.bool_)[: len(logits)]
        return np.where(may, logits[: len(may)], np.float32("-inf"))


class Grammar:
    """The state of one turn under a grammar.

    What may come next takes microseconds to find, in some places milliseconds, so it can be found ahead of time, in
    another thread: `foresee` is the only method that may run there, and no other may run until it is done.
    """

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher
        self._foreseen: deque[Allowed] = deque()  # after each of `_path`, from before the first on
        self._path: deque[int] = deque()

    def foresee(self, drafts: Sequence[int] = ()) -> None:
        """Finds what may come next, and after each of `drafts`. Raises InvalidGrammarError."""
        self._forget()
        self._foreseen.append(self._compute())
        for token in drafts:
            if not self._matcher.consume_token(token):
                raise InvalidGrammarError(self._matcher.get_error())
            self._path.append(token)
            self._foreseen.append(self._compute())
        self._matcher.rollback(len(self._path))

    def allowed(self) -> Allowed:
        """What may come next. Raises InvalidGrammarError when the grammar came to a limit of its own."""
        if not self._foreseen:
            self._foreseen.append(self._compute())
        return self._foreseen[0]

    def follows(self, drafts: Sequence[int]) -> int:
        """How many of these tokens, from the first on, may come next in turn."""
        return self._matcher.validate_tokens(list(drafts)) if drafts else 0

    def forced(self) -> int | None:
        """The token that must come next, where the text that must come leaves no choice of tokens."""
        tokens = self._matcher.compute_ff_tokens()
        return tokens[0] if tokens else None

    def accept(self, token: int) -> bool:
        """Takes the chosen token; says whether the sentence is complete and nothing can follow.

        Raises InvalidGrammarError when the grammar came to a limit of its own.
        """
        self._matcher.consume_token(token)
        if self._matcher.is_error():
            raise InvalidGrammarError(self._matcher.get_error())
        if self._path and self._path.popleft() == token:
            self._foreseen.popleft()
        else:
            self._forget()
        return bool(self._matcher.is_stopped())

    def _forget(self) -> None:
        self._foreseen.clear()
        self._path.clear()

    def _compute(self) -> Allowed:
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        if self._matcher.is_error():
            raise InvalidGrammarError(self._matcher.get_error())
        only = int(np.bitwise_count(bits).sum()) == 1
        return Allowed(bits, int(np.unpackbits(bits, bitorder="little").argmax()) if only else None)
