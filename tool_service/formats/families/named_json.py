"""Calls whose name stands in a header before the JSON object of their arguments.

    call = opener header object closer      mistral, deepseek_v3, deepseek_v31, kimi_k2, openai, functionary_v2

The opener commits to nothing: unless a header of that format and a `{` follow, it all is text. The call opens at the
`{`, and the `}` that belongs to it seals it.
"""

import json
import re
from typing import ClassVar

from tool_service.formats.format import EndReason, Write
from tool_service.formats.scanning.json_call import ArgumentsReader
from tool_service.formats.scanning.markers import BLANKS, Found
from tool_service.formats.scanning.turn import INCOMPLETE, Call
from tool_service.formats.scanning.turn_parser import MarkedTurnParser

MAX_HEADER = 256
NAME = r"[\w.\-/]{1,128}"  # what a tool may be called


def header_pattern(pattern: str) -> re.Pattern[str]:
    """A header's pattern, in which NAME stands for the name's group and a blank for optional white space."""
    return re.compile(pattern.replace(" ", BLANKS).replace("NAME", f"({NAME})"))


class NamedJsonParser(MarkedTurnParser):
    """Reads one turn. `header` matches all that stands between the opener and the arguments' `{`."""

    header: ClassVar[re.Pattern[str]]

    def __init__(self) -> None:
        super().__init__()
        self.opener = ""
        self._call = Call(self.turn)
        self._arguments = ArgumentsReader(self._call)

    def begin(self, text: str, found: Found) -> int:
        """A header begins."""
        self.opener = self.take_opener(text, found)
        self._read = self.read_header
        return found.end

    def end_inside(self, held: str, reason: EndReason) -> None:
        """The header is text, or the call is not complete."""
        if self._read == self.read_header:
            self.turn.say(self.opener + held)
        else:
            self._call.malform(INCOMPLETE, incomplete=True)

    def open(self, name: str) -> None:
        """The arguments of a call begin here."""
        self._call = Call(self.turn, name)
        self._arguments = ArgumentsReader(self._call)
        self._read = self._read_arguments

    def read_header(self, text: str, pos: int) -> int:
        """Reads on in the header; at its end `open`s the call, or says it."""
        brace = text.find("{", pos, pos + MAX_HEADER)
        if brace < 0 and len(text) - pos < MAX_HEADER:
            return self.hold(text, pos)
        match = self.header.fullmatch(text, pos, brace) if brace >= 0 else None
        if match is None:
            self.turn.say(self.opener)
            self.to_text()
            return pos
        self.open(match[1])
        return brace

    def _read_arguments(self, text: str, pos: int) -> int:
        pos = self._arguments.feed(text, pos)
        if self._arguments.complete:
            self._call.seal()
            self.to_after()
        elif self._arguments.ended:
            self.to_skipping()
        return pos


def named_call(before: str, after: str) -> Write:
    """Writes NAME in the text before the arguments' object."""
    return lambda name, given: before.replace("NAME", name) + json.dumps(given, ensure_ascii=False) + after
