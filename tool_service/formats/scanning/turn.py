"""What every format's parser shares: a turn's events on their way out, and the life of one of its calls.

A `Call` may be read before its name is known; what it holds is said once it is opened. A call that breaks a limit or
its format is malformed, once; nothing of it is said after that, and the rest of the turn lives.
"""

import re

from tool_service.formats.events import (
    ArgumentOpened,
    ArgumentSealed,
    CallMalformed,
    CallOpened,
    CallSealed,
    Event,
    JsonValue,
    Reasoning,
    StringDelta,
    Text,
)

MAX_CALLS = 64
MAX_CHARACTERS = 1 << 20

INCOMPLETE = "the text ended inside the call"
TOO_MANY = f"more than {MAX_CALLS} calls in one turn"
TOO_LONG = f"arguments of more than {MAX_CHARACTERS} characters"
NO_CHARACTER = "a control character or lone surrogate in a string"
NOT_AN_OBJECT = "the arguments are not an object"

_SURROGATE = re.compile("[\ud800-\udfff]")


class Turn:
    """Collects a turn's events and numbers its calls."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.calls = 0
        self.last_counts = False  # of the values of a key that comes again inside an argument

    def take(self) -> list[Event]:
        """The events since the last time."""
        events, self.events = self.events, []
        return events

    def say(self, text: str) -> None:
        """Says text that belongs to no call."""
        if text:
            self.events.append(Text(text))

    def think(self, text: str) -> None:
        """Says reasoning."""
        if text:
            self.events.append(Reasoning(text))


class Call:
    """One call: `open` it once, then arguments one after the other, then `seal` or `malform` it.

    Names, strings, numbers and brackets of the arguments count towards `MAX_CHARACTERS`.
    """

    def __init__(self, turn: Turn, name: str = "") -> None:
        self.values: dict[str, JsonValue] = {}
        self.opened = False
        self.over = False  # sealed or malformed
        self.failure = ""
        self._turn = turn
        self._number = 0
        self._argument = ""
        self._room = MAX_CHARACTERS
        if name:
            self.open(name)

    @property
    def last_counts(self) -> bool:
        """Whether a key may come again inside an argument, and then has its last value."""
        return self._turn.last_counts

    def open(self, name: str) -> None:
        """The name is sealed. Says what is there already."""
        self.opened = True
        self._number, self._turn.calls = self._turn.calls, self._turn.calls + 1
        self._turn.events.append(CallOpened(self._number, name))
        failure = TOO_MANY if self._number >= MAX_CALLS else self.failure
        if failure:
            self.malform(failure)
        else:
            self._replay()

    def _replay(self) -> None:
        for name, value in self.values.items():
            if isinstance(value, str):
                self._turn.events.append(ArgumentOpened(self._number, name))
                if value:
                    self._turn.events.append(StringDelta(self._number, name, value))
            self._turn.events.append(ArgumentSealed(self._number, name, value))

    def open_string(self, name: str) -> None:
        """A string argument begins."""
        self._argument = name
        if self._name_argument(name) and self.opened:
            self._turn.events.append(ArgumentOpened(self._number, name))

    def grow(self, text: str) -> None:
        """More of the open string."""
        if self.failure or not text:
            return
        text, whole = text[: self._room], len(text) <= self._room
        self._room -= len(text)
        if text and self.opened:
            self._turn.events.append(StringDelta(self._number, self._argument, text))
        if not whole:
            self.malform(TOO_LONG)

    def grow_raw(self, text: str) -> None:
        """More of the open string, as the model wrote it."""
        lone = _SURROGATE.search(text)
        self.grow(text[: lone.start()] if lone else text)
        if lone:
            self.malform(NO_CHARACTER)

    def seal_string(self, value: str) -> None:
        """The open string is complete; `value` is all of it."""
        self._keep(self._argument, value)

    def seal_value(self, name: str, value: JsonValue, characters: int = 1) -> None:
        """An argument that was not streamed is complete. `characters`: what of it was not charged before."""
        if self._name_argument(name):
            self.charge(characters)
        self._keep(name, value)

    def give_string(self, name: str, value: str) -> None:
        """A string argument that came all at once."""
        self.open_string(name)
        self.grow(value)
        self.seal_string(value)

    def charge(self, characters: int) -> None:
        """Counts characters of a value that is not a string of the call itself."""
        self._room -= characters
        if self._room < 0 and not self.failure:
            self.malform(TOO_LONG)

    def seal(self) -> None:
        """The call is complete."""
        if not self.failure and self.opened:
            self.failure, self.over = "sealed", True
            self._turn.events.append(CallSealed(self._number, self.values))

    def malform(self, reason: str, *, incomplete: bool = False) -> None:
        """The call's text is wrong, or ends here. Only the first reason counts, and none after the seal."""
        if not self.over and self.opened:
            self.over = True
            self._turn.events.append(CallMalformed(self._number, reason, incomplete))
        self.failure = self.failure or reason
        self.values = self.values if self.over and self.failure == "sealed" else {}

    def _name_argument(self, name: str) -> bool:
        """Counts an argument's name; whether the call is still well."""
        if name in self.values:
            self.malform(f"argument {name!r} is given twice")
        self.charge(len(name))
        return not self.failure

    def _keep(self, name: str, value: JsonValue) -> None:
        if self.failure:
            return
        self.values[name] = value
        if self.opened:
            self._turn.events.append(ArgumentSealed(self._number, name, value))
