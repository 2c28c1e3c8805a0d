"""Calls that are a block of lines: the text between two lines is the one argument of the one tool.

    state      a line of it is    the opening line          another block's opening    a closing line
    TEXT       said               ─▶ BLOCK, opens a call    ─▶ OTHER, said             said
    OTHER      said               said                      said                       ─▶ TEXT, said
    BLOCK      the argument's     the argument's            the argument's             ─▶ TEXT, seals the call

A line that begins with `<think>` begins reasoning; behind `</think>` a line starts. The newline before the closing line
is the argument's. A turn that stops inside the block closes it: models end their turn there. After `length` only a
closing line does.
"""

import re
from typing import ClassVar

from tool_service.formats.format import EndReason
from tool_service.formats.scanning.markers import MAX_BLANKS
from tool_service.formats.scanning.turn import INCOMPLETE, Call
from tool_service.formats.scanning.turn_parser import THINK, TurnParser

THINK_HEAD = rf"(?P<think>[ \t]{{0,{MAX_BLANKS}}}{THINK.literal})"
THINK_BEGINNING = rf"[ \t]{{0,{MAX_BLANKS}}}(?:{THINK.beginning})?\Z"


class BlockParser(TurnParser):
    """Reads one turn.

    `opening` matches, at a line's start, one of its groups `open`, `other`, `think`, or `beginning` for what may still
    become one of them; `closing` likewise `close` or `beginning`. `next_line` matches the end of a line after which
    they are to be tried.
    """

    tool: ClassVar[str]
    argument: ClassVar[str]
    opening: ClassVar[re.Pattern[str]]
    closing: ClassVar[re.Pattern[str]]
    next_line: ClassVar[re.Pattern[str]]

    def __init__(self) -> None:
        super().__init__()
        self._call: Call | None = None  # the call whose block is read
        self._parts: list[str] = []
        self._in_other = False

    def to_text(self) -> None:
        """What follows is a line's start."""
        self._read = self._read_head

    def end_inside(self, held: str, reason: EndReason) -> None:
        """The turn ended; in a block that may close it."""
        match = self.closing.match(held + "\n") if held else None
        closed = match is not None and match.lastgroup == "close"
        if self._call is None or not closed:
            self._pass(held)
        if self._call is not None and (closed or reason == "stop"):
            self._seal(self._call)
        elif self._call is not None:
            self._call.malform(INCOMPLETE, incomplete=True)

    def _read_head(self, text: str, pos: int) -> int:
        """Reads a line's beginning."""
        head = (self.opening if self._call is None and not self._in_other else self.closing).match(text, pos)
        if head is None:
            self._read = self._read_inside
            return pos
        if head.lastgroup == "beginning":
            return self.hold(text, pos)
        self._pass_head(head)
        return head.end()

    def _pass_head(self, head: re.Match[str]) -> None:
        match head.lastgroup:
            case "open":
                self._call, self._parts = Call(self.turn, self.tool), []
                self._call.open_string(self.argument)
            case "think":
                self._pass(head[0].removesuffix(THINK.literal))
                self._read = self._read_thinking
            case "close" if self._call is not None:
                self._seal(self._call)
            case _:
                self._pass(head[0])
                self._in_other = not self._in_other

    def _read_inside(self, text: str, pos: int) -> int:
        found = self.next_line.search(text, pos)
        end = found.end() if found else len(text)
        self._pass(text[pos:end])
        if found:
            self._read = self._read_head
        return end

    def _seal(self, call: Call) -> None:
        call.seal_string("".join(self._parts))
        call.seal()
        self._call = None

    def _pass(self, plain: str) -> None:
        if self._call is None:
            self.turn.say(plain)
        elif plain and not self._call.failure:
            self._call.grow_raw(plain)
            self._parts.append(plain)
