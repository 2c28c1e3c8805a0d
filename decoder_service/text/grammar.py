"""What a model may write next, by a grammar."""

import json
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer
from transformers import PreTrainedTokenizerBase

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions


_COMPACT: "JsonCompileOptions" = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class InvalidGrammarError(Exception):
    """The grammar or JSON schema cannot be compiled; the message says why."""


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
    """The state of one turn under a grammar."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def allowed(self) -> npt.NDArray[np.bool_]:
        """For each token whether it may come next, `[vocabulary]`."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return np.unpackbits(bits, bitorder="little").astype(np.bool_)

    def accept(self, token: int) -> bool:
        """Takes the chosen token; says whether the sentence is complete and nothing can follow.

        Raises InvalidGrammarError when the grammar came to a limit of its own.
        """
        self._matcher.consume_token(token)
        if self._matcher.is_error():
            raise InvalidGrammarError(self._matcher.get_error())
        return bool(self._matcher.is_stopped())
