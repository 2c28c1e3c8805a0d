"""The format of Qwen2.5, Qwen3 and the Hermes models.

    turn = text ( "<tool_call>" ws call ws "</tool_call>" ws text )*        call = {"name": …, "arguments": …}

    state      text is                   <tool_call> ws {    </tool_call>
    TEXT       said                      ─▶ CALL             said
    CALL       read as JSON; complete ─▶ CLOSING, wrong inside the call ─▶ SKIPPING, no call ─▶ TEXT
    CLOSING    said                      ─▶ CALL             ─▶ TEXT
    SKIPPING   dropped                   ─▶ CALL             ─▶ TEXT

White space right behind a call or its closer is dropped, if a closer, another call or the turn's end follows it.
A `<tool_call>` that no `{` follows is text, so prose may mention it, and one inside a string is the string's. A call is
sealed by its last `}`; its closer may be missing. Reasoning is text: a call inside `<think>` is a call.
"""

from collections.abc import Sequence
from enum import Enum, auto

from tool_service.formats.events import Event, Text
from tool_service.formats.format import EndReason, Format, ToolSchema
from tool_service.formats.grammar import call_rules
from tool_service.formats.instructions import example_call, list_tools
from tool_service.formats.json_call import CallNumbers, CallReader
from tool_service.formats.markers import MAX_BLANKS, Found, Marker, MarkerScanner

OPENER = Marker("<tool_call>", then="{")
CLOSER = Marker("</tool_call>")

_OPENERS = MarkerScanner(OPENER)
_BOTH = MarkerScanner(OPENER, CLOSER)


class _State(Enum):
    TEXT = auto()
    CALL = auto()
    CLOSING = auto()
    SKIPPING = auto()


class HermesParser:
    """Reads one turn."""

    def __init__(self) -> None:
        self._state = _State.TEXT
        self._numbers = CallNumbers()
        self._reader = CallReader(self._numbers)
        self._held = ""
        self._blank = False  # only white space was seen since the call or its closer

    def feed(self, text: str) -> list[Event]:
        """Takes the next piece of the turn."""
        out: list[Event] = []
        text, self._held, pos = self._held + text, "", 0
        while pos < len(text):
            pos = self._read_call(text, pos, out) if self._state is _State.CALL else self._read_text(text, pos, out)
        return out

    def close(self, reason: EndReason) -> list[Event]:
        """Takes the turn's end. Whatever the reason, a call that is not complete is never sealed."""
        out: list[Event] = []
        if self._state is _State.CALL:
            self._reader.close(out)
        if not self._still_blank(self._held):
            self._say(self._held, out)
        return out

    def _read_call(self, text: str, pos: int, out: list[Event]) -> int:
        pos = self._reader.feed(text, pos, out)
        if self._reader.ended:
            self._blank = self._reader.called and not self._reader.cut_off
            self._state = self._state_after_call()
        return pos

    def _state_after_call(self) -> _State:
        if self._reader.cut_off:
            return _State.SKIPPING
        return _State.CLOSING if self._reader.called else _State.TEXT

    def _read_text(self, text: str, pos: int, out: list[Event]) -> int:
        scanner = _BOTH if self._state in (_State.CLOSING, _State.SKIPPING) else _OPENERS
        found = scanner.find(text, pos)
        settled = found.start if found else scanner.settled(text, pos)
        plain = text[pos:settled]
        still_blank = self._still_blank(plain)
        if not still_blank:
            self._leave_blank(plain, out)
        if found is None:
            self._held = text[pos if still_blank else settled :]
            return len(text)
        return self._pass_marker(text, found)

    def _still_blank(self, plain: str) -> bool:
        return self._blank and len(plain) <= MAX_BLANKS and not plain.strip(" \t\r\n")

    def _leave_blank(self, plain: str, out: list[Event]) -> None:
        if plain:
            self._blank = False
            self._say(plain, out)

    def _pass_marker(self, text: str, found: Found) -> int:
        if found.marker is CLOSER:
            self._state, self._blank = _State.TEXT, True
        else:
            self._state, self._blank = _State.CALL, False
            self._reader = CallReader(self._numbers, text[found.start : found.end])
        return found.end

    def _say(self, plain: str, out: list[Event]) -> None:
        if plain and self._state is not _State.SKIPPING:
            out.append(Text(plain))


def _parser(tools: frozenset[str]) -> HermesParser:
    return HermesParser()


def _instructions(tools: Sequence[ToolSchema]) -> str:
    return (
        f"You can use these tools:\n{list_tools(tools)}\n"
        "To use a tool, write only a call like this one, with the name of the tool and its arguments:\n"
        f"<tool_call>\n{example_call(tools)}\n</tool_call>\n"
        "The result comes in the next message."
    )


def _grammar(tools: Sequence[ToolSchema]) -> str:
    return f'start: "<tool_call>\\n" call "\\n</tool_call>"\n{call_rules(tools)}'


HERMES = Format(
    name="hermes",
    description="JSON between <tool_call> and </tool_call>, as Qwen2.5, Qwen3 and the Hermes models write it",
    parser=_parser,
    instructions=_instructions,
    grammar=_grammar,
)
