"""Calls whose arguments are raw text between tags: qwen3_coder, glm45, glm47, minimax_m2, deepseek_v32.

    call = opener name name_end ( key key_end value value_end )* call_end

    state      reads                                     it ends at
    NAME       the name                                  name_end ─▶ GAP, and the call opens    else ─▶ TEXT, said
    GAP        white space                               key ─▶ KEY   call_end ─▶ AFTER, seals   else ─▶ SKIPPING
    KEY        a parameter's name                        key_end ─▶ VALUE
    VALUE      a value                                   value_end ─▶ GAP, seals the argument

A value may hold anything, its own closer too, so a closer counts only if a key or the call's end follows it. What is a
string by the tool's schema is streamed, but for what may still become the closer; anything else is kept, and read by
the schema once it is whole.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from tool_service.formats.format import EndReason, Tools
from tool_service.formats.scanning.coercion import NoUsableValueError, kinds_of, read_value
from tool_service.formats.scanning.markers import BLANKS, MAX_BLANKS, Found, Marker, MarkerScanner, skip_blanks
from tool_service.formats.scanning.turn import INCOMPLETE, MAX_CHARACTERS, Call
from tool_service.formats.scanning.turn_parser import MarkedTurnParser

MAX_KEY = 256
NO_PARAMETER = "a parameter or the call's end was expected"
KEY_TOO_LONG = f"a parameter's name of more than {MAX_KEY} characters"

_STRING = frozenset({"string"})
_NAME = re.compile(rf"{BLANKS}[\w.\-/]{{0,128}}{BLANKS}")


@dataclass(frozen=True, slots=True)
class Tags:
    """How a format marks the parts of a call.

    `name_end` ends the name, if a key or the call's end follows. `value_begin` stands
    between a key's end and its value. `newlines`: a value's first and last newline are syntax.
    """

    name_end: tuple[str, ...]
    key: str
    key_end: tuple[Marker, ...]
    value_end: str
    call_end: tuple[str, ...]
    value_begin: str = ""
    newlines: bool = False

    @property
    def next(self) -> tuple[str, ...]:
        """What may follow a value."""
        return (self.key, *self.call_end)


@lru_cache
def _scanners(tags: Tags) -> tuple[MarkerScanner, MarkerScanner, MarkerScanner, MarkerScanner]:
    """What ends a name, what follows a value, what ends a key, what ends a value."""
    return (
        MarkerScanner(*(Marker(end, then=() if end in tags.next else tags.next) for end in tags.name_end)),
        MarkerScanner(*map(Marker, tags.next)),
        MarkerScanner(*tags.key_end),
        MarkerScanner(*value_closers(tags)),
    )


def value_closers(tags: Tags) -> tuple[Marker, ...]:
    """The closers of a value."""
    newlines = ("\n", "") if tags.newlines else ("",)
    return tuple(Marker(newline + tags.value_end, then=tags.next) for newline in newlines)


class TaggedParser(MarkedTurnParser):
    """Reads one turn. `tags` are the format's."""

    tags: ClassVar[Tags]

    def __init__(self, tools: Tools) -> None:
        super().__init__()
        tags = self.tags
        self._tools = tools
        self._name_end, self._next, self._key_end, self._value_end = _scanners(tags)
        self._opener = ""
        self._name = ""
        self._call = Call(self.turn)
        self._argument = ""
        self._kinds = _STRING
        self._parts: list[str] = []
        self._size = 0

    def begin(self, text: str, found: Found) -> int:
        """A name begins."""
        self._opener = self.take_opener(text, found)
        self._read = self._read_name
        return found.end

    def end_inside(self, held: str, reason: EndReason) -> None:
        """The name is text, or the call is not complete."""
        if self._read == self._read_name:
            self.turn.say(self._opener + held)
        else:
            self._call.malform(INCOMPLETE, incomplete=True)

    def commits(self, opener: str, name: str) -> bool:
        """Whether a call begins here."""
        return bool(name)

    def kinds(self, key_end: str, name: str) -> frozenset[str]:
        """The types the argument that begins may have."""
        return kinds_of(self.properties().get(name), self._tools.get(self._name, {}))

    def properties(self) -> Mapping[str, Any]:
        """The schemas of the open call's parameters, as far as there are any."""
        properties = self._tools.get(self._name, {}).get("properties")
        return properties if isinstance(properties, Mapping) else {}

    def is_given(self, name: str) -> bool:
        """Whether the open call has such an argument, or is just being given it."""
        return name == self._argument or name in self._call.values

    def value_end(self) -> MarkerScanner:
        """What ends a value of the open call; only its closers go with it."""
        return _scanners(self.tags)[-1]

    def ends_value(self, found: Found) -> bool:
        """Whether the end that was found is one."""
        return True

    def _read_name(self, text: str, pos: int) -> int:
        match = _NAME.match(text, pos)
        end = match.end() if match else pos
        if self._name_end.may_begin(text, end):
            return self.hold(text, pos)
        found, name = self._name_end.at(text, end), text[pos:end].strip(" \t\r\n")
        if found is None or not self.commits(self._opener, name):
            self.turn.say(self._opener)
            self.to_text()
            return pos
        self._name, self._call = name, Call(self.turn, name)
        self._read = self._read_gap
        return end if found.marker.literal in self.tags.next else found.end

    def _read_gap(self, text: str, pos: int) -> int:
        start = skip_blanks(text, pos)
        if start - pos <= MAX_BLANKS and self._next.may_begin(text, start):
            return self.hold(text, pos)
        found = self._next.at(text, start)
        if found is None or start - pos > MAX_BLANKS:
            return self._break(NO_PARAMETER, pos)
        if found.marker.literal == self.tags.key:
            self._read = self._read_key
            return found.end
        self._call.seal()
        self.to_after()
        return start if found.marker in self.scanners.closers else found.end

    def _read_key(self, text: str, pos: int) -> int:
        found = self._key_end.find(text, pos)
        if found is None and len(text) - pos > MAX_KEY + 2 * MAX_BLANKS:
            return self._break(KEY_TOO_LONG, pos)
        if found is None:
            return self.hold(text, pos)
        if found.start - pos > MAX_KEY:
            return self._break(KEY_TOO_LONG, pos)
        self._begin_value(text[pos : found.start].strip(), found.marker.literal)
        return found.end + len(self.tags.value_begin)

    def _break(self, reason: str, pos: int) -> int:
        self._call.malform(reason)
        self.to_skipping()
        return pos

    def _begin_value(self, name: str, key_end: str) -> None:
        self._argument, self._kinds = name, self.kinds(key_end, name)
        self._parts, self._size = [], 0
        self._value_end = self.value_end()
        if self._kinds == _STRING:
            self._call.open_string(name)
        self._read = self._read_value_start if self.tags.newlines else self._read_value

    def _read_value_start(self, text: str, pos: int) -> int:
        self._read = self._read_value
        return pos + 1 if text[pos] == "\n" else pos

    def _read_value(self, text: str, pos: int) -> int:
        found = self._value_end.find(text, pos)
        while found and not self.ends_value(found):
            found = self._value_end.find(text, found.start + 1)
        settled = found.start if found else self._value_end.settled(text, pos)
        if settled > pos:
            self._grow(text[pos:settled])
        if found is None:
            return self.hold(text, settled)
        self._seal_value()
        self._read = self._read_gap
        return found.end if found.marker.literal.endswith(self.tags.value_end) else found.start

    def _grow(self, text: str) -> None:
        if self._kinds == _STRING:
            self._call.grow_raw(text)
        self._size += len(text)
        if self._size <= MAX_CHARACTERS:
            self._parts.append(text)
        elif self._kinds != _STRING:
            self._call.charge(MAX_CHARACTERS + 1)

    def _seal_value(self) -> None:
        text, self._parts = "".join(self._parts), []
        if self._kinds == _STRING:
            self._call.seal_string(text)
            return
        try:
            value = read_value(text, self._kinds, last_counts=self._call.last_counts)
        except NoUsableValueError as error:
            self._call.malform(f"argument {self._argument!r}: {error}")
            return
        if isinstance(value, str):
            self._call.give_string(self._argument, value)
        else:
            self._call.seal_value(self._argument, value, len(text))
