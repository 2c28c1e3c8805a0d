"""The format of models that were taught nothing but to write code: a Python fence is a call.

    turn = ( line | "```python\\n" code "```\\n" )*          the call: python(code=code)

    state    a line of it is            "```python" or "```py"     "```" and any other word    "```"
    TEXT     said                       ─▶ CODE, opens a call      ─▶ OTHER, said              ─▶ OTHER, said
    OTHER    said                       said                       said                        ─▶ TEXT, said
    CODE     the code's                 the code's                 the code's                  ─▶ TEXT, seals the call
    SKIPPED  dropped                    dropped                    dropped                     ─▶ TEXT

Fences stand at the start of a line; blanks may follow them. The newline before the closing fence is the code's. A turn
that stops inside the fence closes it: models end their turn there. Code that is too long is malformed, and the rest is
skipped.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto

from tool_service.formats.events import (
    ArgumentOpened,
    ArgumentsDelta,
    ArgumentSealed,
    CallMalformed,
    CallOpened,
    CallSealed,
    Event,
    StringDelta,
    Text,
)
from tool_service.formats.format import EndReason, Format, ToolSchema, TurnStop
from tool_service.formats.json_call import INCOMPLETE, MAX_CALLS, TOO_MANY, CallNumbers
from tool_service.formats.json_lexer import MAX_CHARACTERS
from tool_service.formats.markers import CLOSING_FENCE, CLOSING_FENCE_BEGINNING, FENCE, FENCE_BEGINNING

TOOL = "python"
ARGUMENT = "code"

_PYTHON = frozenset({"python", "py"})
_NEXT_FENCE = re.compile(r"\n(?=`|\Z)")


class _State(Enum):
    TEXT = auto()
    OTHER = auto()
    CODE = auto()
    SKIPPED = auto()


class CodeBlockParser:
    """Reads one turn."""

    def __init__(self) -> None:
        self._state = _State.TEXT
        self._numbers = CallNumbers()
        self._call = 0
        self._code: list[str] = []
        self._room = 0
        self._line = ""  # the beginning of a line that may become a fence
        self._inside_line = False

    def feed(self, text: str) -> list[Event]:
        """Takes the next piece of the turn."""
        out: list[Event] = []
        text, self._line, pos = self._line + text, "", 0
        while pos < len(text):
            pos = self._read_on(text, pos, out) if self._inside_line else self._read_fence(text, pos, out)
        return out

    def close(self, reason: EndReason) -> list[Event]:
        """Takes the turn's end. Only a `stop` seals code whose closing fence is missing."""
        out: list[Event] = []
        stopped, in_code = reason == "stop", self._state is _State.CODE
        if not (in_code and stopped and CLOSING_FENCE.fullmatch(self._line + "\n")):
            self._say(self._line, out)
        if self._state is _State.CODE and stopped:
            self._seal(out)
        elif self._state is _State.CODE:
            out.append(CallMalformed(self._call, INCOMPLETE, incomplete=True))
        return out

    def _read_on(self, text: str, pos: int, out: list[Event]) -> int:
        """Reads up to the next line that may be a fence."""
        newline = _NEXT_FENCE.search(text, pos)
        end = newline.end() if newline else len(text)
        self._say(text[pos:end], out)
        self._inside_line = newline is None
        return end

    def _read_fence(self, text: str, pos: int, out: list[Event]) -> int:
        """Reads a line's beginning: a fence, text that may still become one, or something else."""
        in_text = self._state is _State.TEXT
        fence = (FENCE if in_text else CLOSING_FENCE).match(text, pos)
        if fence is not None:
            self._pass_fence(fence[0], fence[1].strip().lower(), out)
            return fence.end()
        if (FENCE_BEGINNING if in_text else CLOSING_FENCE_BEGINNING).match(text, pos):
            self._line = text[pos:]
            return len(text)
        self._inside_line = True
        return pos

    def _pass_fence(self, line: str, word: str, out: list[Event]) -> None:
        if self._state is _State.TEXT and word in _PYTHON:
            self._open(out)
        elif self._state is _State.CODE:
            self._seal(out)
        else:
            self._say(line, out)
            self._state = _State.OTHER if self._state is _State.TEXT else _State.TEXT

    def _open(self, out: list[Event]) -> None:
        self._call = self._numbers.take()
        self._code, self._room, self._state = [], MAX_CHARACTERS, _State.CODE
        out.append(CallOpened(self._call, TOOL))
        if self._call >= MAX_CALLS:
            self._skip(TOO_MANY, out)
        else:
            out.append(ArgumentOpened(self._call, ARGUMENT))

    def _seal(self, out: list[Event]) -> None:
        code = "".join(self._code)
        out += [ArgumentSealed(self._call, ARGUMENT, code), CallSealed(self._call, {ARGUMENT: code})]
        self._state = _State.TEXT

    def _skip(self, reason: str, out: list[Event]) -> None:
        out.append(CallMalformed(self._call, reason))
        self._state = _State.SKIPPED

    def _say(self, plain: str, out: list[Event]) -> None:
        if self._state is _State.CODE:
            self._say_code(plain, out)
        elif plain and self._state is not _State.SKIPPED:
            out.append(Text(plain))

    def _say_code(self, plain: str, out: list[Event]) -> None:
        code = plain[: self._room]
        if code:
            self._code.append(code)
            out += [ArgumentsDelta(self._call, code), StringDelta(self._call, ARGUMENT, code)]
        self._room -= len(code)
        if len(code) < len(plain):
            self._skip(f"code of more than {MAX_CHARACTERS} characters", out)


def _parser(tools: frozenset[str]) -> CodeBlockParser:
    return CodeBlockParser()


def _instructions(tools: Sequence[ToolSchema]) -> str:
    return (
        "You can run Python. Write the code in one ```python block and print what you want to know. For example:\n"
        "```python\nprint(6 * 7)\n```\n"
        "The output comes in the next message."
    )


def _grammar(tools: Sequence[ToolSchema]) -> str:
    # The code begins with neither newline nor backtick, so the first fence the parser sees is the one that ends it.
    return 'start: "```python\\n" code\ncode[suffix="\\n```"]: /[^`\\n](.|\\n)*/\n'


CODE_BLOCK = Format(
    name="code_block",
    description="a ```python fence whose text is the code of a call of the tool python",
    parser=_parser,
    instructions=_instructions,
    grammar=_grammar,
    template_native=False,
    stops=tuple(TurnStop(f"```{word}", "\n```") for word in ("python", "py", "Python", "Py")),
    only_tool=TOOL,
)
