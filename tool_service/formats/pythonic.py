"""The format of Llama 4 and others: a Python list of calls.

    turn = text ( line_start "[" call ( "," call )* [ "," ] "]" text )*
    call = name "(" [ keyword "=" literal ( "," keyword "=" literal )* ] ")"

A list of calls stands at the start of a line. A `[` there that is not followed by a name and `()` or `(keyword=` is
text. JSON's true, false and null are read as well as Python's.
"""

from tool_service.formats.families.python_calls import (
    KEYWORD,
    NAME,
    Pattern,
    PythonCallsParser,
    python_call,
    python_grammar,
)
from tool_service.formats.format import Format, Tools
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import BLANKS, MAX_BLANKS, Found, Marker, skip_blanks
from tool_service.formats.scanning.turn_parser import MarkedTurnParser, Scanners


class PythonicParser(PythonCallsParser):
    """Reads one turn."""

    scanners = Scanners((Marker("\n", then=("[",)),))
    first = Pattern(
        r"\[", BLANKS, f"(?P<name>{NAME})", r"(?P<open>\()", BLANKS, rf"(?:\)|{KEYWORD})", BLANKS, r"(?:(?<=\))|=)"
    )

    def to_text(self) -> None:
        """What follows is a line's start."""
        self._opener = ""
        self._read = self._read_line_start

    def begin(self, text: str, found: Found) -> int:
        """A line begins with a bracket."""
        margin = self.take_opener(text, found)
        self._opener = margin if self._blank else ""  # behind a call, white space goes with the next
        self.turn.say(margin[len(self._opener) :])
        self._read = self.read_first
        return found.end

    def _read_line_start(self, text: str, pos: int) -> int:
        start = skip_blanks(text, pos)
        if start == len(text) and start - pos <= MAX_BLANKS:
            return self.hold(text, pos)
        if start < len(text) and text[start] == "[" and start - pos <= MAX_BLANKS:
            self.turn.say(text[pos:start])
            self._read = self.read_first
            return start
        MarkedTurnParser.to_text(self)
        return pos


def _parser(tools: Tools) -> PythonicParser:
    return PythonicParser()


_SPELLING = ("[", "]")

_write = python_call(*_SPELLING)

PYTHONIC = Format(
    name="pythonic",
    description="a Python list of calls with keyword arguments, as Llama 4 writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=python_grammar(*_SPELLING),
)
