"""Calls as plain JSON: what Qwen2.5-Coder and many small models really write.

    turn = ( text | value | "```json\\n" value "```\\n" )*     value = call | "[" call ("," call)* "]"

    state      its text is                       it ends at
    LINE       (a line's start is being read)    { or [ ─▶ CALL    a fence ─▶ FENCED or OTHER, said    else ─▶ INSIDE
    INSIDE     said                              a newline ─▶ LINE
    FENCED     kept                              { or [ ─▶ CALL    else ─▶ OTHER, said with its fence
    CALL       read as JSON                      its end ─▶ AFTER    wrong inside ─▶ SKIPPING    else ─▶ INSIDE or OTHER
    AFTER      white space, dropped before       the fence around calls ─▶ AFTER    a new line ─▶ LINE    else ─▶ INSIDE
               a call, its fence or the end
    OTHER      said                              its closing fence ─▶ LINE
    SKIPPING   dropped                           a line that is not indented and begins with no closing bracket ─▶ LINE

A value stands at the start of a line, after blanks. An object is a call if it has a name and looks like one (see
`JsonCall`); a known name opens the call as soon as it is sealed. What is no call is said unchanged, with the fence
around it.
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum, auto

from tool_service.formats.events import Event, Text
from tool_service.formats.format import EndReason, Format, ToolSchema
from tool_service.formats.grammar import call_rules
from tool_service.formats.instructions import example_call, list_tools
from tool_service.formats.json_call import CallNumbers, CallReader
from tool_service.formats.markers import CLOSING_FENCE, CLOSING_FENCE_BEGINNING, FENCE, FENCE_BEGINNING, MAX_BLANKS

_BLANKS = re.compile(r"[ \t\r\n]*")
_LINE_HEAD = re.compile(
    rf"(?P<value>[ \t]{{0,{MAX_BLANKS}}}(?=[{{\[]))|(?P<fence>{FENCE.pattern})"
    rf"|(?P<beginning>[ \t]{{0,{MAX_BLANKS}}}\Z|{FENCE_BEGINNING.pattern})"
)
_NEXT_LINE = re.compile(r"\n(?=[ \t`{\[]|\Z)")
_NEXT_FENCE = re.compile(r"\n(?=`|\Z)")
_NEWLINE = re.compile(r"\n")


class _State(Enum):
    LINE = auto()
    INSIDE = auto()
    FENCED = auto()
    CALL = auto()
    AFTER = auto()
    OTHER = auto()
    OTHER_INSIDE = auto()
    SKIPPING = auto()
    SKIPPING_INSIDE = auto()


class JsonParser:
    """Reads one turn. `tools` are the names that open a call at once."""

    def __init__(self, tools: frozenset[str]) -> None:
        self._tools = tools
        self._state = _State.LINE
        self._numbers = CallNumbers()
        self._reader = CallReader(self._numbers)
        self._held = ""  # what is to be looked at again with the next text
        self._fence = ""  # the opening fence that stands right before the value
        self._fence_due = False  # a fence around calls is open
        self._at_line = False  # the state AFTER began at a line's start

    def feed(self, text: str) -> list[Event]:
        """Takes the next piece of the turn."""
        out: list[Event] = []
        text, self._held, pos = self._held + text, "", 0
        while pos < len(text):
            pos = _STEPS[self._state](self, text, pos, out)
        return out

    def close(self, reason: EndReason) -> list[Event]:
        """Takes the turn's end. Whatever the reason, a call that is not complete is never sealed."""
        out: list[Event] = []
        if self._state is _State.CALL:
            self._reader.close(out)
        elif self._state is _State.FENCED:
            self._say(self._fence, out)
        held = self._held.strip(" \t\r\n")
        if not (self._fence_due and held == "```") and not (self._state is _State.AFTER and not held):
            self._say(self._held, out)
        return out

    def _hold(self, text: str, pos: int) -> int:
        self._held = text[pos:]
        return len(text)

    def _read_line(self, text: str, pos: int, out: list[Event]) -> int:
        return self._read_head(text, pos, pos, out)

    def _read_head(self, text: str, pos: int, start: int, out: list[Event]) -> int:
        """Decides what the line at `start` is. From `pos` on there is white space that a call makes meaningless."""
        head = _LINE_HEAD.match(text, start)
        if head is None:
            return self._turn_to(_State.INSIDE, text, pos, start, out)
        if head.lastgroup == "beginning":
            return self._hold(text, pos)
        if head.lastgroup == "value":
            return self._begin_value(text[pos : head.end()], head.end())
        return self._pass_fence(text, pos, head.end(), head[3].strip().lower(), out)

    def _turn_to(self, state: _State, text: str, pos: int, end: int, out: list[Event]) -> int:
        self._say(text[pos:end], out)
        self._state = state
        return end

    def _begin_value(self, prefix: str, end: int) -> int:
        self._reader = CallReader(self._numbers, prefix, self._tools)
        self._state = _State.CALL
        return end

    def _pass_fence(self, text: str, pos: int, end: int, word: str, out: list[Event]) -> int:
        if self._fence_due and not word:
            self._fence_due, self._at_line, self._state = False, True, _State.AFTER
        elif word in ("", "json"):
            self._fence, self._state = text[pos:end], _State.FENCED
        else:
            self._turn_to(_State.OTHER, text, pos, end, out)
        return end

    def _read_fenced(self, text: str, pos: int, out: list[Event]) -> int:
        end = _skip_blanks(text, pos)
        if end - pos <= MAX_BLANKS:
            if end == len(text):
                return self._hold(text, pos)
            if text[end] in "{[":
                return self._begin_value(self._fence + text[pos:end], end)
        self._say(self._fence, out)
        self._fence, self._state = "", _State.OTHER
        return pos

    def _read_call(self, text: str, pos: int, out: list[Event]) -> int:
        pos = self._reader.feed(text, pos, out)
        if self._reader.ended:
            self._state = self._state_after_value()
            self._fence_due = self._fence_due or (self._reader.called and self._fence != "")
            self._fence, self._at_line = "", False
        return pos

    def _state_after_value(self) -> _State:
        if self._reader.cut_off:
            return _State.SKIPPING_INSIDE
        if self._reader.called:
            return _State.INSIDE if self._reader.failed else _State.AFTER
        return _State.OTHER_INSIDE if self._fence else _State.INSIDE

    def _read_after(self, text: str, pos: int, out: list[Event]) -> int:
        end = _skip_blanks(text, pos)
        if end - pos > MAX_BLANKS:
            end = pos + MAX_BLANKS
            return self._turn_to(_State.LINE if text[end - 1] == "\n" else _State.INSIDE, text, pos, end, out)
        if end == len(text):
            return self._hold(text, pos)
        if self._fence_due and text[end] == "`":
            return self._read_head(text, pos, end, out)
        line = text.rfind("\n", pos, end) + 1 or (pos if self._at_line else -1)
        if line < 0:
            return self._turn_to(_State.INSIDE, text, pos, end, out)
        return self._read_head(text, pos, line, out)

    def _read_other(self, text: str, pos: int, out: list[Event]) -> int:
        fence = CLOSING_FENCE.match(text, pos)
        if fence is not None:
            return self._turn_to(_State.LINE, text, pos, fence.end(), out)
        if CLOSING_FENCE_BEGINNING.match(text, pos):
            return self._hold(text, pos)
        self._state = _State.OTHER_INSIDE
        return pos

    def _skip(self, text: str, pos: int, out: list[Event]) -> int:
        self._state = _State.SKIPPING_INSIDE if text[pos] in " \t\r\n}]," else _State.LINE
        return pos

    def _read_inside(self, text: str, pos: int, out: list[Event]) -> int:
        next_line, next_state = _LINE_ENDS[self._state]
        found = next_line.search(text, pos)
        end = found.end() if found else len(text)
        if self._state is not _State.SKIPPING_INSIDE:
            self._say(text[pos:end], out)
        if found:
            self._state = next_state
        return end

    def _say(self, plain: str, out: list[Event]) -> None:
        if plain:
            out.append(Text(plain))


_STEPS: dict[_State, Callable[[JsonParser, str, int, list[Event]], int]] = {
    _State.LINE: JsonParser._read_line,
    _State.INSIDE: JsonParser._read_inside,
    _State.FENCED: JsonParser._read_fenced,
    _State.CALL: JsonParser._read_call,
    _State.AFTER: JsonParser._read_after,
    _State.OTHER: JsonParser._read_other,
    _State.OTHER_INSIDE: JsonParser._read_inside,
    _State.SKIPPING: JsonParser._skip,
    _State.SKIPPING_INSIDE: JsonParser._read_inside,
}

# Where the lines end whose starts matter, and what is read then.
_LINE_ENDS: dict[_State, tuple[re.Pattern[str], _State]] = {
    _State.INSIDE: (_NEXT_LINE, _State.LINE),
    _State.OTHER_INSIDE: (_NEXT_FENCE, _State.OTHER),
    _State.SKIPPING_INSIDE: (_NEWLINE, _State.SKIPPING),
}


def _skip_blanks(text: str, pos: int) -> int:
    match = _BLANKS.match(text, pos)
    return match.end() if match else pos


def _instructions(tools: Sequence[ToolSchema]) -> str:
    return (
        f"You can use these tools:\n{list_tools(tools)}\n"
        "To use a tool, write only one line of JSON like this one, with the name of the tool and its arguments:\n"
        f"{example_call(tools)}\n"
        "The result comes in the next message."
    )


def _grammar(tools: Sequence[ToolSchema]) -> str:
    return f"start: call\n{call_rules(tools)}"


JSON = Format(
    name="json",
    description="a JSON object, or an array of them, bare or in a ```json fence, as Qwen2.5-Coder writes it",
    parser=JsonParser,
    instructions=_instructions,
    grammar=_grammar,
    template_native=False,
)
