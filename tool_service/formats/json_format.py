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

A line that begins with `<think>` begins reasoning; behind `</think>` a line starts. A value stands at the start of a
line, after blanks. An object is a call if it has a name and looks like one (see `JsonCallReader`); a known name opens
the call as soon as it is sealed. What is no call is said unchanged, with the fence around it.
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import ClassVar

from tool_service.formats.families.marked_json import marked_call
from tool_service.formats.format import EndReason, Format, Tools, ToolSchema
from tool_service.formats.grammar import marked_grammar
from tool_service.formats.instructions import example_call, list_tools
from tool_service.formats.scanning.json_call import JsonCallReader
from tool_service.formats.scanning.markers import (
    CLOSING_FENCE,
    CLOSING_FENCE_BEGINNING,
    FENCE,
    FENCE_BEGINNING,
    MAX_BLANKS,
    skip_blanks,
)
from tool_service.formats.scanning.turn_parser import THINK, TurnParser

_MARGIN = rf"[ \t]{{0,{MAX_BLANKS}}}"
_NEXT_LINE = re.compile(r"\n(?=[ \t`{\[<]|\Z)")
_NEXT_FENCE = re.compile(r"\n(?=`|\Z)")
_NEWLINE = re.compile(r"\n")


def line_head(value: str, beginning: str) -> re.Pattern[str]:
    """What a line that matters begins with. `value`: what stands before a call's bracket; `beginning`: a part of it."""
    return re.compile(
        rf"(?P<value>{_MARGIN}{value})|(?P<think>{_MARGIN}{THINK.literal})|(?P<fence>{FENCE.pattern})"
        rf"|(?P<beginning>{_MARGIN}(?:(?:{beginning}|{THINK.beginning})?\Z)|{FENCE_BEGINNING.pattern})"
    )


class _State(Enum):
    __hash__ = object.__hash__  # of the Enum class it is a Python function, and each step looks its state up
    LINE = auto()
    INSIDE = auto()
    FENCED = auto()
    CALL = auto()
    AFTER = auto()
    OTHER = auto()
    OTHER_INSIDE = auto()
    SKIPPING = auto()
    SKIPPING_INSIDE = auto()


class JsonParser(TurnParser):
    """Reads one turn. The tools' names open a call at once."""

    head: ClassVar[re.Pattern[str]] = line_head(r"(?=[{\[])", r"[{\[]")

    def __init__(self, tools: Tools) -> None:
        super().__init__()
        self._tools = frozenset(tools)
        self._reader = JsonCallReader(self.turn)
        self._fence = ""  # the opening fence that stands right before the value
        self._fence_due = False  # a fence around calls is open
        self._at_line = False  # the state AFTER began at a line's start

    def to_text(self) -> None:
        """What follows is a line's start."""
        self._state, self._read = _State.LINE, self._step

    def end_inside(self, held: str, reason: EndReason) -> None:
        """A value that is not complete, a fence, or white space that calls make meaningless."""
        if self._state is _State.CALL:
            self._reader.close()
        elif self._state is _State.FENCED:
            self.turn.say(self._fence)
        stripped = held.strip(" \t\r\n")
        if not (self._fence_due and stripped == "```") and not (self._state is _State.AFTER and not stripped):
            self.turn.say(held)

    def _step(self, text: str, pos: int) -> int:
        return _STEPS[self._state](self, text, pos)

    def _read_line(self, text: str, pos: int) -> int:
        return self._read_head(text, pos, pos)

    def _read_head(self, text: str, pos: int, start: int) -> int:
        """Decides what the line at `start` is. From `pos` on there is white space that a call makes meaningless."""
        head = self.head.match(text, start)
        if head is None:
            return self._turn_to(_State.INSIDE, text, pos, start)
        if head.lastgroup == "beginning":
            return self.hold(text, pos)
        if head.lastgroup == "think":
            self.turn.say(text[pos : head.end() - len(THINK.literal)])
            self._read = self._read_thinking
            return head.end()
        if head.lastgroup == "value":
            return self._begin_value(text[pos : head.end()], head.end())
        return self._pass_fence(text, pos, head.end(), head["word"].strip().lower())

    def _turn_to(self, state: _State, text: str, pos: int, end: int) -> int:
        self.turn.say(text[pos:end])
        self._state = state
        return end

    def _begin_value(self, prefix: str, end: int) -> int:
        self._reader = JsonCallReader(self.turn, prefix, self._tools)
        self._state = _State.CALL
        return end

    def _pass_fence(self, text: str, pos: int, end: int, word: str) -> int:
        if self._fence_due and not word:
            self._fence_due, self._at_line, self._state = False, True, _State.AFTER
        elif word in ("", "json"):
            self._fence, self._state = text[pos:end], _State.FENCED
        else:
            self._turn_to(_State.OTHER, text, pos, end)
        return end

    def _read_fenced(self, text: str, pos: int) -> int:
        end = skip_blanks(text, pos)
        if end - pos <= MAX_BLANKS:
            if end == len(text):
                return self.hold(text, pos)
            if text[end] in "{[":
                return self._begin_value(self._fence + text[pos:end], end)
        self.turn.say(self._fence)
        self._fence, self._state = "", _State.OTHER
        return pos

    def _read_call(self, text: str, pos: int) -> int:
        pos = self._reader.feed(text, pos)
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

    def _read_after(self, text: str, pos: int) -> int:
        end = skip_blanks(text, pos)
        if end - pos > MAX_BLANKS:
            end = pos + MAX_BLANKS
            return self._turn_to(_State.LINE if text[end - 1] == "\n" else _State.INSIDE, text, pos, end)
        if end == len(text):
            return self.hold(text, pos)
        if self._fence_due and text[end] == "`":
            return self._read_head(text, pos, end)
        line = text.rfind("\n", pos, end) + 1 or (pos if self._at_line else -1)
        if line < 0:
            return self._turn_to(_State.INSIDE, text, pos, end)
        return self._read_head(text, pos, line)

    def _read_other(self, text: str, pos: int) -> int:
        fence = CLOSING_FENCE.match(text, pos)
        if fence is not None:
            return self._turn_to(_State.LINE, text, pos, fence.end())
        if CLOSING_FENCE_BEGINNING.match(text, pos):
            return self.hold(text, pos)
        self._state = _State.OTHER_INSIDE
        return pos

    def _skip(self, text: str, pos: int) -> int:
        self._state = _State.SKIPPING_INSIDE if text[pos] in " \t\r\n}]," else _State.LINE
        return pos

    def _read_inside(self, text: str, pos: int) -> int:
        next_line, next_state = _LINE_ENDS[self._state]
        found = next_line.search(text, pos)
        end = found.end() if found else len(text)
        if self._state is not _State.SKIPPING_INSIDE:
            self.turn.say(text[pos:end])
        if found:
            self._state = next_state
        return end


_STEPS: dict[_State, Callable[[JsonParser, str, int], int]] = {
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


_write = marked_call("", "")


def _instructions(tools: Sequence[ToolSchema]) -> str:
    return (
        f"You can use these tools:\n{list_tools(tools)}\n"
        "To use a tool, write only one line of JSON like this one, with the name of the tool and its arguments:\n"
        f"{example_call(tools, _write)}\n"
        "The result comes in the next message."
    )


JSON = Format(
    name="json",
    description="a JSON object, or an array of them, bare or in a ```json fence, as Qwen2.5-Coder writes it",
    parser=JsonParser,
    write=_write,
    instructions=_instructions,
    grammar=marked_grammar("", ""),
    template_native=False,
)
