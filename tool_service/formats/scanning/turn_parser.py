"""The frames of the formats' parsers: `TurnParser`, and `MarkedTurnParser` for formats whose calls begin with a marker.

    state      its text is    an opener       a closer       <think>
    TEXT       said           ─▶ a call       said           ─▶ THINKING
    AFTER      said           ─▶ a call       see below      ─▶ THINKING
    SKIPPING   dropped        ─▶ a call       ─▶ AFTER       dropped
    THINKING   reasoning      reasoning       reasoning      reasoning; </think> ─▶ TEXT

A preamble is a marker that an opener must follow; it goes with that call. And there are the states a format has inside
its calls. AFTER is TEXT behind a call: white space there is dropped if a closer, a call or the turn's end follows it.
Closers are dropped right behind the call and each other; behind text only the first is, and a separator is not.
SKIPPING is behind a call that went wrong. An opener inside a call's string is the string's, because the call's own
states read it.
"""

from collections.abc import Callable
from typing import ClassVar

from tool_service.formats.events import Event
from tool_service.formats.format import EndReason
from tool_service.formats.scanning.markers import MAX_BLANKS, Found, Marker, MarkerScanner
from tool_service.formats.scanning.turn import Turn

THINK = Marker("<think>")
THINK_END = MarkerScanner(Marker("</think>"))


class Scanners:
    """The scanners of a format's markers."""

    def __init__(
        self,
        openers: tuple[Marker, ...],
        closers: tuple[Marker, ...] = (),
        preambles: tuple[Marker, ...] = (),
        separators: tuple[Marker, ...] = (),
    ) -> None:
        begin = (*preambles, *openers)
        self.preambles, self.closers, self.separators = frozenset(preambles), frozenset(closers), frozenset(separators)
        self.text = MarkerScanner(*begin, THINK)
        self.after = MarkerScanner(*begin, *closers, *separators, THINK)
        self.skipping = MarkerScanner(*begin, *closers)


class TurnParser:
    """Reads one turn. Each state is a method `_read` that reads on from an index and gives the next one."""

    _read: Callable[[str, int], int]

    def __init__(self) -> None:
        self.turn = Turn()
        self._held = ""  # to be looked at again with the next text
        self.to_text()

    def expect_grammar(self) -> None:
        """A key that comes again inside an argument has its last value."""
        self.turn.last_counts = True

    def feed(self, text: str) -> list[Event]:
        """Takes the next piece of the turn."""
        if self._held:
            text, self._held = self._held + text, ""
        pos, end = 0, len(text)
        while pos < end:
            pos = self._read(text, pos)
        return self.turn.take()

    def close(self, reason: EndReason) -> list[Event]:
        """Takes the turn's end."""
        held, self._held = self._held, ""
        if self._read == self._read_thinking:
            self.turn.think(held)
        else:
            self.end_inside(held, reason)
        return self.turn.take()

    def to_text(self) -> None:
        """What follows belongs to no call."""
        raise NotImplementedError

    def end_inside(self, held: str, reason: EndReason) -> None:
        """The turn ended in one of the format's own states."""
        raise NotImplementedError

    def hold(self, text: str, pos: int) -> int:
        """Keeps the text from `pos` on until there is more."""
        self._held = text[pos:]
        return len(text)

    def _read_thinking(self, text: str, pos: int) -> int:
        found = THINK_END.find(text, pos)
        settled = found.start if found else THINK_END.settled(text, pos)
        self.turn.think(text[pos:settled])
        if found is None:
            return self.hold(text, settled)
        self.to_text()
        return found.end


class MarkedTurnParser(TurnParser):
    """A format says its `scanners`, begins a call in `begin`, and leaves it by `to_after` or `to_skipping`."""

    scanners: ClassVar[Scanners]

    def __init__(self) -> None:
        self._preamble = ""
        self._blank = False  # only white space was seen since the call or its closer
        self._unclosed = False  # no closer of the call was seen yet
        super().__init__()

    def close(self, reason: EndReason) -> list[Event]:
        """Takes the turn's end. A call that is not complete is not sealed, whatever the reason."""
        if self._read != self._read_text:
            return super().close(reason)
        if not self._still_blank(self._held):
            self._say(self._held)
        self._held = ""
        return self.turn.take()

    def begin(self, text: str, found: Found) -> int:
        """An opener was found. Sets the state that reads the call, and gives where it begins.

        `take_opener` gives the text that is to be said if it turns out to be no call.
        """
        raise NotImplementedError

    def take_opener(self, text: str, found: Found) -> str:
        """The opener as it was written, with the preamble before it."""
        opener, self._preamble = self._preamble + text[found.start : found.end], ""
        return opener

    def to_text(self) -> None:
        """What follows belongs to no call."""
        self._read, self._scanner, self._blank = self._read_text, self.scanners.text, False

    def to_after(self) -> None:
        """A call is over."""
        self._read, self._scanner, self._blank, self._unclosed = self._read_text, self.scanners.after, True, True

    def to_skipping(self) -> None:
        """A call went wrong."""
        self._read, self._scanner, self._blank = self._read_text, self.scanners.skipping, False

    def _read_text(self, text: str, pos: int) -> int:
        found = self._scanner.find(text, pos)
        settled = found.start if found else self._scanner.settled(text, pos)
        plain = text[pos:settled]
        still_blank = self._still_blank(plain)
        if not still_blank and plain:
            self._blank = False
            self._say(plain)
        if found is None:
            return self.hold(text, pos if still_blank else settled)
        return self._pass_marker(text, found)

    def _pass_marker(self, text: str, found: Found) -> int:
        if found.marker in self.scanners.closers or found.marker in self.scanners.separators:
            self._pass_closer(text, found)
            return found.end
        if found.marker in self.scanners.preambles:
            self._preamble = text[found.start : found.end]
            return found.end
        if found.marker is THINK:
            self._read = self._read_thinking
            return found.end
        return self.begin(text, found)

    def _pass_closer(self, text: str, found: Found) -> None:
        if self._blank or (found.marker in self.scanners.closers and self._unclosed):
            self.to_after()
            self._unclosed = False
        elif self._scanner is self.scanners.skipping:
            self.to_after()
        else:
            self.turn.say(text[found.start : found.end])

    def _still_blank(self, plain: str) -> bool:
        return self._blank and len(plain) <= MAX_BLANKS and not plain.strip(" \t\r\n")

    def _say(self, plain: str) -> None:
        if self._scanner is not self.scanners.skipping:
            self.turn.say(plain)
