"""The format of Functionary v2, which the paper's evaluation used.

    turn = [ "<|recipient|>" ] message ( "<|from|>assistant\\n<|recipient|>" message )*
    message = name "\\n<|content|>" content "<|stop|>"

The recipient `all` gets text; any other is a tool and gets the object of its arguments. A chat template ends with
`<|recipient|>`, so a turn may begin with the name. Text that no header precedes is text.
"""

import re

from tool_service.formats.families.named_json import NamedJsonParser, named_call
from tool_service.formats.format import Format, Tools
from tool_service.formats.grammar import named_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import MAX_BLANKS, Marker, MarkerScanner
from tool_service.formats.scanning.turn_parser import Scanners

EVERYONE = "all"

_RECIPIENT = Marker("<|recipient|>")
_CONTENT = MarkerScanner(Marker("<|content|>"))
_NAME = re.compile(rf"[\w.\-/]{{0,128}}[ \t\r\n]{{0,{MAX_BLANKS}}}")


class FunctionaryV2Parser(NamedJsonParser):
    """Reads one turn."""

    scanners = Scanners(
        (_RECIPIENT,), (Marker("<|stop|>"),), (Marker("<|from|>assistant", then=(_RECIPIENT.literal,)),)
    )

    def __init__(self) -> None:
        super().__init__()
        self._read = self.read_header

    def read_header(self, text: str, pos: int) -> int:
        """Reads on in the recipient's name."""
        match = _NAME.match(text, pos)
        end = match.end() if match else pos
        if _CONTENT.may_begin(text, end):
            return self.hold(text, pos)
        found, name = _CONTENT.at(text, end), text[pos:end].rstrip(" \t\r\n")
        if found is None or not name:
            self.turn.say(self.opener)
            self.to_text()
            return pos
        self._begin_content(name)
        return found.end

    def _begin_content(self, name: str) -> None:
        if name == EVERYONE:
            self.to_after()
            self._blank = False
            return
        self.open(name)


def _parser(tools: Tools) -> FunctionaryV2Parser:
    return FunctionaryV2Parser()


_SPELLING = ("<|recipient|>NAME\n<|content|>", "<|stop|>")

_write = named_call(*_SPELLING)

FUNCTIONARY_V2 = Format(
    name="functionary_v2",
    description="a recipient and its content, as Functionary v2 writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=named_grammar(*_SPELLING),
)
