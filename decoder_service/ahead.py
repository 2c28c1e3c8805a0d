"""What will follow a turn, as far as it is known while its calls run: what the template writes around their results,
those that are there, and of the first that is not, its output so far.

A call's result begins with its output, unless it fails. So this is a likely beginning, not a certain one: the sequence
resumes with what follows in truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from decoder_service.text.growing import GrowingTokens
from decoder_service.text.template import Around, ChatTemplate, Message

LEAST_TOKENS = 16  # new ones, to be worth a step


@dataclass(slots=True)
class Result:
    """What a call has put out and, once it has finished, the text that the model reads of it."""

    name: str
    output: list[str] = field(default_factory=list)
    text: str | None = None


class Ahead:
    """The tokens after one turn, which ended with the tokens `after`; not many more than `most` are looked for."""

    def __init__(self, template: ChatTemplate, messages: Sequence[Message], after: Sequence[int], most: int) -> None:
        self._template = template
        self._messages = messages
        self._after = after
        self._most = most
        self._told = 0
        self._around = Around((), str)
        self._rendered = 0  # for so many calls
        self._call = 0  # whose result is read
        self._tokens: GrowingTokens | None = None
        self._begun: GrowingTokens | None = None  # as they were before this result
        self._pieces = 0  # of its output that are read
        self._read = 0  # characters of it in the tokens
        self._held = ""  # read, but how it goes on matters

    def learn(self, results: Sequence[Result]) -> tuple[int, Sequence[int]] | None:
        """What is likely to follow, and from which token on that is; None where hardly anything is new.

        `results` are of the calls that are known, in their order. Takes time where there is much text.
        """
        if self._told >= self._most:
            return None
        while self._call < len(results) and self._begin(results) and self._take(results[self._call]):
            self._call += 1
            self._begun = None
        if self._tokens is None:
            return None
        start = self._tokens.start
        tokens, self._tokens = self._tokens.settled()
        count = start + len(tokens)
        if not tokens or (self._told and count < self._told + LEAST_TOKENS):
            return None
        self._told = count
        return start, tokens

    def _begin(self, results: Sequence[Result]) -> bool:
        """Adds what stands before a result. False: that is not known."""
        if self._begun is not None:
            return True
        if self._call >= len(self._around.before) and self._rendered < len(results):
            self._rendered = len(results)
            self._around = self._template.around(self._messages, [result.name for result in results])
        if self._call >= len(self._around.before):
            return False
        before = self._around.before[self._call]
        known = self._tokens
        self._tokens = known.plus(before) if known else self._template.growing(before, self._after)
        self._begun = self._tokens
        self._pieces, self._read, self._held = 0, 0, ""
        return True

    def _take(self, result: Result) -> bool:
        """Adds what is new of a result. True: that was the last of it."""
        if result.text is None:
            pieces = result.output[self._pieces :]
            self._pieces += len(pieces)
            text = self._held + "".join(pieces)
            inert, count = self._template.inert_beginning(text)
            self._add(inert)
            self._read += count
            self._held = text[count:]
            return False
        if not result.text.startswith("".join(result.output)[: self._read]):
            self._tokens, self._read, self._told = self._begun, 0, 0
        self._add(self._template.inert(result.text[self._read :]))
        return True

    def _add(self, text: str) -> None:
        if self._tokens is not None:
            self._tokens = self._tokens.plus(self._around.written(text))
