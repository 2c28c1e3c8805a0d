"""The format of Mistral's models, in its three shapes.

before v11   "[TOOL_CALLS]" array of {"name": …, "arguments": …}, their keys in either order
v11          ( "[TOOL_CALLS]" name object )+
compact      ( "[TOOL_CALLS]" name [ "[CALL_ID]" id ] "[ARGS]" object )+
"""

from tool_service.formats.families.named_json import NamedJsonParser, header_pattern, named_call
from tool_service.formats.format import EndReason, Format, Tools
from tool_service.formats.grammar import named_grammar
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.json_call import JsonCallReader
from tool_service.formats.scanning.markers import MAX_BLANKS, Found, Marker, skip_blanks
from tool_service.formats.scanning.turn_parser import Scanners


class MistralParser(NamedJsonParser):
    """Reads one turn."""

    scanners = Scanners((Marker("[TOOL_CALLS]"),))
    header = header_pattern(r" NAME (?:\[CALL_ID\][^\[{]{0,64})?(?:\[ARGS\])? ")

    def __init__(self) -> None:
        super().__init__()
        self._value = JsonCallReader(self.turn)

    def begin(self, text: str, found: Found) -> int:
        """One of the shapes begins."""
        super().begin(text, found)
        self._read = self._read_shape
        return found.end

    def end_inside(self, held: str, reason: EndReason) -> None:
        """The marker is text, or what it began is not complete."""
        if self._read == self._read_value:
            self._value.close()
        elif self._read == self._read_shape:
            self.turn.say(self.opener + held)
        else:
            super().end_inside(held, reason)

    def _read_shape(self, text: str, pos: int) -> int:
        start = skip_blanks(text, pos)
        if start == len(text) and start - pos <= MAX_BLANKS:
            return self.hold(text, pos)
        if start < len(text) and text[start] in "[{" and start - pos <= MAX_BLANKS:
            self._value = JsonCallReader(self.turn, self.opener + text[pos:start])
            self._read = self._read_value
            return start
        self._read = self.read_header
        return pos

    def _read_value(self, text: str, pos: int) -> int:
        pos = self._value.feed(text, pos)
        if self._value.ended:
            leave = self.to_skipping if self._value.cut_off else self.to_after if self._value.called else self.to_text
            leave()
        return pos


def _parser(tools: Tools) -> MistralParser:
    return MistralParser()


_SPELLING = ("[TOOL_CALLS]NAME[ARGS]", "")

_write = named_call(*_SPELLING)

MISTRAL = Format(
    name="mistral",
    description="[TOOL_CALLS] before a JSON array, or before each name and its arguments, as Mistral's models write it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=named_grammar(*_SPELLING),
)
