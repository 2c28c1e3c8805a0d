"""What a model may write next, by a grammar."""

import itertools
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer
from tokenizers import Tokenizer

from decoder_service.text.grammar_text import GrammarText

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

MOST_KEPT, MOST_KEPT_CHARS = 32, 65_536
WORD = 32  # bits
FEW_WORDS = 128  # with tokens that may come: they are looked at one by one

_COMPACT: "JsonCompileOptions" = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class InvalidGrammarError(Exception):
    """The grammar or JSON schema cannot be compiled or followed; the message says why."""


class GrammarCompiler:
    """Compiles grammars for one tokenizer, from any thread. Making it takes a third of a second.

    Completions with the same tools come with the same grammar. A compiled one of a few tools takes 4 ms to make and
    0.02 ms to copy, so the last ones are kept.
    """

    def __init__(self, tokenizer: Tokenizer, end_tokens: frozenset[int]) -> None:
        self._tokenizer = LLTokenizer(tokenizer.to_str(), eos_token=sorted(end_tokens))
        self._kept: OrderedDict[GrammarText, LLMatcher] = OrderedDict()
        self._lock = threading.Lock()

    def compile(self, grammar: GrammarText) -> "Grammar":
        """Raises InvalidGrammarError."""
        with self._lock:
            matcher = self._kept.get(grammar)
            if matcher is not None:
                self._kept.move_to_end(grammar)
        if matcher is None:
            matcher = self._matcher(_translated(grammar))
            self._keep(grammar, matcher)
        return Grammar(matcher.deep_copy(), self._tokenizer.vocab_size)

    def _matcher(self, grammar: str) -> LLMatcher:
        problem = LLMatcher.validate_grammar(grammar, self._tokenizer)
        if problem:
            raise InvalidGrammarError(problem.splitlines()[0])
        return LLMatcher(self._tokenizer, grammar)

    def _keep(self, grammar: GrammarText, matcher: LLMatcher) -> None:
        if len(grammar.text) > MOST_KEPT_CHARS:
            return
        with self._lock:
            self._kept[grammar] = matcher
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)


def _translated(grammar: GrammarText) -> str:
    """In llguidance's own form."""
    if grammar.kind == "lark":
        return LLMatcher.grammar_from_lark(grammar.text)
    try:
        return LLMatcher.grammar_from_json_schema(json.loads(grammar.text), overrides=_COMPACT)
    except (ValueError, RecursionError) as error:
        raise InvalidGrammarError(str(error)) from error


class Grammar:
    """The state of one turn under a grammar.

    Whether one token may come is known in less than a microsecond. All that may come takes microseconds, in some places
    milliseconds, and so can be found ahead of time, in another thread: `foresee` is the only method that may run there,
    and no other may run until it is done.

    Where the text that must come leaves no choice, it is written in the tokens that its text is made of: that one is
    `forced`, and `filter` leaves no other.
    """

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._may: npt.NDArray[np.uint32] | None = None
        self._forced: list[int] | None = None  # the next ones, the first of them last; None: not known

    def foresee(self) -> None:
        """Finds all that may come next. Raises InvalidGrammarError when the grammar came to a limit of its own."""
        self._may = self._find()

    def forced(self) -> int | None:
        """The token that must come next; None: there is a choice."""
        if self._forced is None:  # tokens take ten times as long as bytes
            self._forced = self._matcher.compute_ff_tokens()[::-1] if self._matcher.compute_ff_bytes() else []
        return self._forced[-1] if self._forced else None

    def allows(self, token: int) -> bool:
        """Whether this token may come next, where none is forced."""
        return token < self._vocabulary and self._matcher.validate_tokens([token]) == 1

    def follow(self, tokens: Sequence[int]) -> int:
        """How many of these tokens, from the first on, may come next in turn."""
        # The matcher breaks at tokens that the tokenizer has not: a model's vocabulary may be longer.
        known = itertools.takewhile(lambda token: token < self._vocabulary, tokens)
        return self._matcher.validate_tokens(list(known))

    def filter(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The logits, with those of what may not come next at minus infinity. Raises InvalidGrammarError."""
        may = np.unpackbits(self._found().view(np.uint8), bitorder="little").view(np.bool_)[: len(logits)]
        return np.where(may, logits[: len(may)], np.float32("-inf"))

    def likeliest(self, logits: npt.NDArray[np.float32]) -> int:
        """The likeliest token that may come next, the first of several. Raises InvalidGrammarError."""
        words = self._found()
        places = np.flatnonzero(words)
        if len(places) <= FEW_WORDS:
            within, bit = np.nonzero(np.unpackbits(words[places].view(np.uint8), bitorder="little").reshape(-1, WORD))
            tokens = places[within] * WORD + bit
            tokens = tokens[: np.searchsorted(tokens, len(logits))]
            if len(tokens):
                return int(tokens[logits[tokens].argmax()])
        return int(self.filter(logits).argmax())

    def accept(self, token: int) -> bool:
        """Takes the chosen token; says whether the sentence is complete and nothing can follow.

        Raises InvalidGrammarError when the grammar came to a limit of its own.
        """
        self._may = None
        forced = self._forced
        self._forced = (forced[:-1] or None) if forced and forced[-1] == token else None
        self._matcher.consume_token(token)
        self._check()
        return bool(self._matcher.is_stopped())

    def _found(self) -> npt.NDArray[np.uint32]:
        if self._may is None:
            self._may = self._find()
        return self._may

    def _find(self) -> npt.NDArray[np.uint32]:
        """A bit for each token, 32 in a word, the first the lowest."""
        words = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint32)
        self._check()
        return words

    def _check(self) -> None:
        if self._matcher.is_error():
            raise InvalidGrammarError(self._matcher.get_error())
