"""The format of Qwen3-Coder.

    turn = text ( [ "<tool_call>" ws ] "<function=" name ">" parameter* "</function>" ws [ "</tool_call>" ] text )*
    parameter = ws "<parameter=" name ">" [ "\\n" ] value [ "\\n" ] "</parameter>"

`</parameter>` and `</function>` are forgotten at times: a value also ends at a line with a parameter that is not given
yet, and at a `</function>` that a `</tool_call>` follows; a call ends at `</tool_call>` too. Without `<tool_call>` only
a known name opens a call.
"""

from functools import lru_cache

from tool_service.formats.families.tagged import TaggedParser, Tags, value_closers
from tool_service.formats.families.tagged_spelling import Spelling, tagged_grammar
from tool_service.formats.format import Format
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.markers import Found, Marker, MarkerScanner
from tool_service.formats.scanning.turn_parser import Scanners

_FUNCTION = Marker("<function=")
_END = Marker("</tool_call>")
_TAGS = Tags(
    name_end=(">",),
    key="<parameter=",
    key_end=(Marker(">"),),
    value_end="</parameter>",
    call_end=("</function>", _END.literal),
    newlines=True,
)
_NEXT, _NEXT_END = "\n<parameter=", ">\n"
MAX_PARAMETERS = 100  # whose forgotten closers are noticed


class Qwen3CoderParser(TaggedParser):
    """Reads one turn."""

    scanners = Scanners((_FUNCTION,), (_END,), (Marker("<tool_call>", then=(_FUNCTION.literal,)),))
    tags = _TAGS

    def commits(self, opener: str, name: str) -> bool:
        """Whether a call begins here."""
        return bool(name) and (opener != _FUNCTION.literal or name in self._tools)

    def value_end(self) -> MarkerScanner:
        """Its closer, or what shows that the closer was forgotten."""
        return _value_end(tuple(map(str, self.properties())))

    def ends_value(self, found: Found) -> bool:
        """A parameter that is given already, or is just being given, is a part of the value."""
        name = found.marker.literal.removeprefix(_NEXT).removesuffix(_NEXT_END)
        return not found.marker.literal.startswith(_NEXT) or not self.is_given(name)


@lru_cache
def _value_end(parameters: tuple[str, ...]) -> MarkerScanner:
    forgotten = [Marker(_NEXT + name + _NEXT_END) for name in parameters[:MAX_PARAMETERS]]
    return MarkerScanner(*value_closers(_TAGS), *forgotten, Marker("\n</function>", then=(_END.literal,)))


_SPELLING = Spelling(
    before="<tool_call>\n<function=NAME>\n",
    parameter="<parameter=KEY>\n",
    parameter_end="\n</parameter>\n",
    after="</function>\n</tool_call>",
)

QWEN3_CODER = Format(
    name="qwen3_coder",
    description="<function=name> with <parameter=name> tags in <tool_call>, as Qwen3-Coder writes it",
    parser=Qwen3CoderParser,
    write=_SPELLING.write,
    instructions=instructions_by(_SPELLING.write),
    grammar=tagged_grammar(_SPELLING),
)
