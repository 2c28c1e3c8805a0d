"""Calls that are written as Python: pythonic, olmo3, lfm2.

    state        reads                                              it ends at
    FIRST        what stands before the first call's arguments      ( ─▶ ARGUMENTS, opens the call    else ─▶ TEXT, said
    ARGUMENTS    keywords with literals, see `PythonLexer`          ) ─▶ NEXT, seals the call
    NEXT         what stands between two calls, or behind the last  ( ─▶ ARGUMENTS    the list's end, or else ─▶ AFTER

Calls of a list live and die on their own: one with wrong arguments is malformed, and the next is read.
"""

import json
import re
from collections.abc import Mapping
from typing import ClassVar

from protos.schemas.shapes import Fields
from tool_service.formats.events import JsonValue
from tool_service.formats.format import EndReason, ToolSchema, Write
from tool_service.formats.grammar import Grammar, Rules, arguments_of, grammar_of, joined, json_value, listed, quoted
from tool_service.formats.scanning.markers import BLANKS, Found
from tool_service.formats.scanning.python_lexer import PythonArgumentsSink, PythonLexer
from tool_service.formats.scanning.turn import INCOMPLETE, Call
from tool_service.formats.scanning.turn_parser import MarkedTurnParser

NAME = r"[^\W\d][\w.\-/]{0,127}"
KEYWORD = r"[^\W\d]\w{0,127}"


class Pattern:
    """A sequence of parts, of which each is one character or a run of one kind of characters."""

    def __init__(self, *parts: str) -> None:
        self._whole = re.compile("".join(parts))
        beginning = ""
        for part in reversed(parts[:-1]):
            beginning = f"(?:{part}{beginning})?"
        self._beginning = re.compile(rf"{beginning}\Z")

    def match(self, text: str, pos: int) -> re.Match[str] | None:
        """The whole pattern, at `pos`."""
        return self._whole.match(text, pos)

    def may_begin(self, text: str, pos: int) -> bool:
        """Whether all of `text` from `pos` on may become the pattern."""
        return self._beginning.match(text, pos) is not None


_CALL = (f"(?P<name>{NAME})", r"(?P<open>\()")
BARE_CALL = Pattern(BLANKS, *_CALL)
LISTED_CALL = Pattern(BLANKS, r"\[", BLANKS, *_CALL)
NEXT_CALL = Pattern(BLANKS, ",", BLANKS, *_CALL)
LIST_END = Pattern(BLANKS, ",?", BLANKS, r"\]")


class PythonCallsParser(MarkedTurnParser):
    """Reads one turn. `first` and `next` end with a call's `(`, `last` with the end of the list."""

    first: ClassVar[Pattern] = LISTED_CALL
    next: ClassVar[Pattern] = NEXT_CALL
    last: ClassVar[Pattern] = LIST_END

    def __init__(self) -> None:
        super().__init__()
        self._opener = ""
        self._call = Call(self.turn)
        self._lexer = PythonLexer(PythonArgumentsSink(self._call, self._call.seal))

    def begin(self, text: str, found: Found) -> int:
        """A list of calls begins."""
        self._opener = self.take_opener(text, found)
        self._read = self.read_first
        return found.end

    def end_inside(self, held: str, reason: EndReason) -> None:
        """What was held is no call, or the call is not complete."""
        if self._read == self._read_arguments:
            self._call.malform(INCOMPLETE, incomplete=True)
        elif self._read != self._read_next:
            self.turn.say(self._opener + held)
        elif held.strip():
            self.turn.say(held)

    def read_first(self, text: str, pos: int) -> int:
        """Reads what stands before the first call's arguments."""
        if match := self.first.match(text, pos):
            return self._open(match)
        if self.first.may_begin(text, pos):
            return self.hold(text, pos)
        self.turn.say(self._opener)
        MarkedTurnParser.to_text(self)
        return pos

    def _open(self, match: re.Match[str]) -> int:
        self._opener = ""
        self._call = Call(self.turn, match["name"])
        self._lexer = PythonLexer(PythonArgumentsSink(self._call, self._call.seal))
        self._read = self._read_arguments
        return match.end("open")

    def _read_arguments(self, text: str, pos: int) -> int:
        pos = self._lexer.feed(text, pos)
        if self._lexer.done:
            self._read = self._read_next
        return pos

    def _read_next(self, text: str, pos: int) -> int:
        if match := self.next.match(text, pos):
            return self._open(match)
        last = self.last.match(text, pos)
        if last is None and (self.next.may_begin(text, pos) or self.last.may_begin(text, pos)):
            return self.hold(text, pos)
        self.to_after()
        return last.end() if last else pos


def write_call(name: str, arguments: Mapping[str, JsonValue]) -> str:
    """A call, as Python writes it."""
    return f"{name}({', '.join(f'{key}={_literal(value)}' for key, value in arguments.items())})"


def _literal(value: JsonValue) -> str:
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)  # all of JSON's escapes that it writes are Python's too
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case dict():
            return f"{{{', '.join(f'{_literal(key)}: {_literal(each)}' for key, each in value.items())}}}"
    return repr(value)


def python_call(before: str, after: str) -> Write:
    """Writes a call between these texts."""
    return lambda name, given: before + write_call(name, given) + after


def python_grammar(before: str, after: str) -> Grammar:
    """The grammar of formats that write calls between these texts. Its literals are JSON, which is read too."""

    def call(tool: ToolSchema, rules: Rules) -> str:
        opening, closing = quoted(f"{before}{tool.name}("), quoted(f"){after}")
        return " | ".join(
            joined(opening, listed(_parameters(fields, rules), ", "), closing) for fields in arguments_of(tool)
        )

    return grammar_of(call)


def _parameters(fields: Fields, rules: Rules) -> dict[str, bool]:
    """The rules of the keywords with their values, and whether they must be there."""
    return {
        rules.add("parameter", f"{quoted(f'{name}=')} {json_value(shape)}"): name in fields.required
        for name, shape in fields.properties.items()
        if shape
    }
