"""The format of Functionary v2, which the paper's evaluation used.

    turn = [ "<|recipient|>" ] message ( "<|from|>assistant\\n<|recipient|>" message )*
    message = name "\\n<|content|>" content "<|stop|>"

The recipient `all` gets text; any other is a tool and gets the object of its arguments. A chat template ends with
`<|recipient|>`, so a turn may begin with the name. Text that no header precedes is text.
"""

import re

from tool_service.formats.families.named_json import named_call
from tool_service.formats.format import EndReason, Format, Tools
from tool_service.formats.grammar import named_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.json_call import ArgumentsReader
from tool_service.formats.scanning.markers import MAX_BLANKS, Found, Marker, MarkerScanner
from tool_service.formats.scanning.turn import INCOMPLETE, Call
from tool_service.formats.scanning.turn_parser import MarkedTurnParser, Scanners

EVERYONE = "all"

_RECIPIENT = Marker("<|recipient|>")
_CONTENT = MarkerScanner(Marker("<|content|>"))
_NAME = re.compile(rf"[\w.\-/]{{0,128}}[ \t\r\n]{{0,{MAX_BLANKS}}}")


class FunctionaryV2Parser(MarkedTurnParser):
    """Reads one turn."""

    scanners = Scanners(
        (_RECIPIENT,), (Marker("<|stop|>"),), (Marker("<|from|>assistant", then=(_RECIPIENT.literal,)),)
    )

    def __init__(self, tools: Tools) -> None:
        super().__init__()
        self._opener = ""
        self._call = Call(self.turn)
        self._arguments = ArgumentsReader(self._call)
        self._read = self._read_header

    def begin(self, text: str, found: Found) -> int:
        """A header begins."""
        self._opener = self.take_opener(text, found)
        self._read = self._read_header
        return found.end

    def end_inside(self, held: str, reason: EndReason) -> None:
        """The header is text, or the call is not complete."""
        if self._read == self._read_header:
            self.turn.say(self._opener + held)
        else:
            self._call.malform(INCOMPLETE, incomplete=True)

    def _read_header(self, text: str, pos: int) -> int:
        match = _NAME.match(text, pos)
        end = match.end() if match else pos
        if _CONTENT.may_begin(text, end):
            return self.hold(text, pos)
        found, name = _CONTENT.at(text, end), text[pos:end].rstrip(" \t\r\n")
        if found is None or not name:
            self.turn.say(self._opener)
            self.to_text()
            return pos
        self._begin_content(name)
        return found.end

    def _begin_content(self, name: str) -> None:
        if name == EVERYONE:
            self.to_after()
            self._blank = False
            return
        self._call = Call(self.turn, name)
        self._arguments = ArgumentsReader(self._call)
        self._read = self._read_arguments

    def _read_arguments(self, text: str, pos: int) -> int:
        pos = self._arguments.feed(text, pos)
        if self._arguments.complete:
            self._call.seal()
            self.to_after()
        elif self._arguments.ended:
            self.to_skipping()
        return pos


_SPELLING = ("<|recipient|>NAME\n<|content|>", "<|stop|>")

_write = named_call(*_SPELLING)

FUNCTIONARY_V2 = Format(
    name="functionary_v2",
    description="a recipient and its content, as Functionary v2 writes it",
    parser=FunctionaryV2Parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=named_grammar(*_SPELLING),
)
