"""The format of FunctionGemma.

    turn = text ( "<start_function_call>" ws "call:" name object ws "<end_function_call>" text )*
    object = "{" [ key ":" value ( "," key ":" value )* ] "}"        key = bare | string
    value = string | object | "[" [ value ( "," value )* ] "]" | bare        string = "<escape>" text "<escape>"

    state     reads                          it ends at
    HEADER    "call:" and the name           { ─▶ KEY, opens the call    else ─▶ TEXT, said
    KEY       a key                          : ─▶ VALUE   <escape> ─▶ STRING   } without any key ─▶ as in AFTER
    COLON     what is behind a string's key  : ─▶ VALUE
    VALUE     a value's first character      { ─▶ KEY   [ ─▶ VALUE   <escape> ─▶ STRING   else ─▶ WORD
    STRING    text                           <escape> before a comma, colon or closing bracket ─▶ COLON or AFTER
    WORD      a bare value                   a comma or closing bracket ─▶ AFTER
    AFTER     what is behind a value         , ─▶ KEY or VALUE   the closing bracket ─▶ AFTER; the last seals the call

White space between these is skipped; what does not fit makes the call malformed ─▶ SKIPPING. What breaks a limit inside
a string or a bare value makes it malformed too, but is read to its end. A bare value is read by its look: see
`coercion.py`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tool_service.formats.events import JsonValue
from tool_service.formats.families.named_json import NAME
from tool_service.formats.families.python_calls import Pattern, listed_parameters
from tool_service.formats.format import EndReason, Format, Tools, ToolSchema
from tool_service.formats.grammar import alternatives, one_spelling, raw_string
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.coercion import NoUsableValueError, kinds_of, read_value, resolved
from tool_service.formats.scanning.json_call import ArgumentsSink
from tool_service.formats.scanning.json_lexer import MAX_DEPTH, TOO_DEEP, TWICE
from tool_service.formats.scanning.markers import BLANKS, Found, Marker, MarkerScanner, skip_blanks
from tool_service.formats.scanning.turn import INCOMPLETE, MAX_CHARACTERS, NO_CHARACTER, Call
from tool_service.formats.scanning.turn_parser import MarkedTurnParser, Scanners

ESCAPE = "<escape>"
MAX_KEY = 256

WRONG_KEY = "a key was expected"
KEY_TOO_LONG = f"a key of more than {MAX_KEY} characters"
WRONG_COLON = "a colon was expected"
WRONG_VALUE = "a value was expected"
WRONG_NEXT = "a comma or a closing bracket was expected"

_HEADER = Pattern(BLANKS, *"call:", BLANKS, f"(?P<name>{NAME})", BLANKS, "(?P<open>{)")
_OPENING = MarkerScanner(Marker(ESCAPE))
_CLOSING = MarkerScanner(Marker(ESCAPE, then=(",", ":", "}", "]")))
_KEY = Pattern(rf"(?P<key>[^:{{}}\[\],<]{{1,{MAX_KEY}}})", ":")
_WORD = re.compile(r"[^,{}\[\]]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class FunctionGemmaParser(MarkedTurnParser):
    """Reads one turn."""

    scanners = Scanners((Marker("<start_function_call>", then=("c",)),), (Marker("<end_function_call>"),))

    def __init__(self) -> None:
        super().__init__()
        self._opener = ""
        self._call = Call(self.turn)
        self._sink = ArgumentsSink(self._call, self._call.seal)
        self._containers: list[set[str] | None] = []  # an object's keys so far, or None for an array
        self._in_key = False
        self._parts: list[str] = []  # the open string or word
        self._size = 0

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
        if match := _HEADER.match(text, pos):
            self._call = Call(self.turn, match["name"])
            self._sink = ArgumentsSink(self._call, self._call.seal)
            self._containers = [set()]
            self._read = self._read_key
            return match.end()
        if _HEADER.may_begin(text, pos):
            return self.hold(text, pos)
        self.turn.say(self._opener)
        self.to_text()
        return pos

    def _break(self, reason: str, pos: int) -> int:
        self._call.malform(reason)
        self.to_skipping()
        return pos

    def _read_key(self, text: str, pos: int) -> int:
        pos = skip_blanks(text, pos)
        if _OPENING.may_begin(text, pos):
            return self.hold(text, pos)
        if found := _OPENING.at(text, pos):
            return self._open_string(found.end, in_key=True)
        if text[pos] == "}":
            return self._close_container(pos) if not self._containers[-1] else self._break(WRONG_KEY, pos)
        if match := _KEY.match(text, pos):
            return self._take_key(match["key"].strip(" \t\r\n"), match.end())
        return self.hold(text, pos) if _KEY.may_begin(text, pos) else self._break(WRONG_KEY, pos)

    def _take_key(self, name: str, pos: int) -> int:
        keys = self._containers[-1]
        if keys is None or name in keys:
            return self._break(TWICE, pos)
        keys.add(name)
        self._sink.key(name)
        self._read = self._read_value
        return pos

    def _read_colon(self, text: str, pos: int) -> int:
        pos = skip_blanks(text, pos)
        if pos < len(text) and text[pos] != ":":
            return self._break(WRONG_COLON, pos)
        self._read = self._read_value if pos < len(text) else self._read_colon
        return pos + 1 if pos < len(text) else pos

    def _read_value(self, text: str, pos: int) -> int:
        pos = skip_blanks(text, pos)
        if _OPENING.may_begin(text, pos):
            return self.hold(text, pos)
        if found := _OPENING.at(text, pos):
            self._sink.open_string()
            return self._open_string(found.end, in_key=False)
        if text[pos] in "{[":
            return self._open_container(text[pos], pos)
        if text[pos] == "]" and self._containers[-1] is None:
            return self._close_container(pos)
        self._parts, self._size, self._read = [], 0, self._read_word
        return pos

    def _open_container(self, bracket: str, pos: int) -> int:
        if len(self._containers) >= MAX_DEPTH:
            return self._break(TOO_DEEP, pos)
        if bracket == "{":
            self._containers.append(set())
            self._sink.open_object()
            self._read = self._read_key
        else:
            self._containers.append(None)
            self._sink.open_array()
        return pos + 1

    def _close_container(self, pos: int) -> int:
        if self._containers.pop() is None:
            self._sink.close_array()
        else:
            self._sink.close_object()
        if self._containers:
            self._read = self._read_after
        else:
            self.to_after()
        return pos + 1

    def _read_after(self, text: str, pos: int) -> int:
        pos = skip_blanks(text, pos)
        if pos == len(text):
            return pos
        in_object = self._containers[-1] is not None
        if text[pos] == ",":
            self._read = self._read_key if in_object else self._read_value
            return pos + 1
        if text[pos] == ("}" if in_object else "]"):
            return self._close_container(pos)
        return self._break(WRONG_NEXT, pos)

    def _open_string(self, pos: int, *, in_key: bool) -> int:
        self._in_key, self._parts, self._size = in_key, [], 0
        self._read = self._read_string
        return pos

    def _read_string(self, text: str, pos: int) -> int:
        found = _CLOSING.find(text, pos)
        settled = found.start if found else _CLOSING.settled(text, pos)
        if settled > pos:
            self._grow(text[pos:settled])
        if found is None:
            return self.hold(text, settled)
        value = "".join(self._parts)
        if self._in_key:
            self._read = self._read_colon
            return self._take_escaped_key(value, found.end)
        self._sink.seal_string(value)
        self._read = self._read_after
        return found.end

    def _take_escaped_key(self, name: str, pos: int) -> int:
        if self._size > MAX_KEY:
            return self._break(KEY_TOO_LONG, pos)
        if _SURROGATE.search(name):
            return self._break(NO_CHARACTER, pos)
        pos = self._take_key(name, pos)
        if self._read == self._read_value:
            self._read = self._read_colon
        return pos

    def _grow(self, text: str) -> None:
        self._keep(text)
        if self._in_key:
            return
        lone = _SURROGATE.search(text)
        self._sink.grow_string(text[: lone.start()] if lone else text)
        if lone:
            self._call.malform(NO_CHARACTER)

    def _keep(self, text: str) -> None:
        self._size += len(text)
        if self._size <= MAX_CHARACTERS:
            self._parts.append(text)

    def _read_word(self, text: str, pos: int) -> int:
        match = _WORD.match(text, pos)
        end = match.end() if match else pos
        self._keep(text[pos:end])
        if self._size > MAX_CHARACTERS:
            self._call.charge(self._size)
        return end if end == len(text) else self._seal_word("".join(self._parts), end)

    def _seal_word(self, word: str, pos: int) -> int:
        if not word.strip() or _SURROGATE.search(word):
            return self._break(WRONG_VALUE, pos)
        try:
            value = read_value(word.strip(" \t\r\n"), frozenset())
        except NoUsableValueError as error:
            return self._break(str(error), pos)
        self._read = self._read_after
        if isinstance(value, str):
            self._sink.open_string()
            self._sink.grow_string(value)
            self._sink.seal_string(value)
        elif value is None or isinstance(value, int | float):
            self._sink.scalar(value, len(word))
        else:
            return self._break(WRONG_VALUE, pos)
        return pos


def _parser(tools: Tools) -> FunctionGemmaParser:
    return FunctionGemmaParser()


_BEFORE, _AFTER = "<start_function_call>call:", "<end_function_call>"


def _write(name: str, arguments: Mapping[str, Any]) -> str:
    return f"{_BEFORE}{name}{_value(dict(arguments))}{_AFTER}"


def _value(value: JsonValue) -> str:
    match value:
        case str():
            return ESCAPE + value + ESCAPE
        case list():
            return f"[{','.join(map(_value, value))}]"
        case dict():
            return f"{{{','.join(f'{key}:{_value(each)}' for key, each in value.items())}}}"
    return json.dumps(value)


_RULES = r"""
value: string | NUMBER | "true" | "false" | "null" | array | object
string: "<escape>" /[^<]*/ "<escape>"
array: "[" (value ("," value)*)? "]"
object: "{" (KEY ":" value ("," KEY ":" value)*)? "}"
KEY: /[A-Za-z_][A-Za-z0-9_]*/
INTEGER: /-?(0|[1-9][0-9]{0,15})/
NUMBER: /-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,16})?/
"""
_OF_KIND = {
    "string": "string",
    "integer": "INTEGER",
    "number": "NUMBER",
    "boolean": '("true" | "false")',
    "null": '"null"',
    "array": "array",
    "object": "object",
}


_AS_JSON = {"integer", "number", "boolean", "null"}  # written as in JSON


def _parameter(tool: ToolSchema, name: str, schema: Any) -> str:
    kinds, said = kinds_of(schema, tool.parameters), resolved(schema, tool.parameters)
    if choices := said.get("enum"):
        texts = [json.dumps(_value(choice), ensure_ascii=False) for choice in choices]
    elif kinds == {"string"}:
        texts = [f'"{ESCAPE}" {raw_string(said)} "{ESCAPE}"']
    elif kinds and kinds <= _AS_JSON:
        texts = [f"%json {json.dumps(one_spelling(schema, tool))}"]
    else:
        texts = [_OF_KIND[kind] for kind in sorted(kinds) if kind in _OF_KIND] or ["value"]
    return f"{json.dumps(f'{name}:')} ({' | '.join(texts)})"


def _grammar(tools: Any) -> str:
    def rule(tool: ToolSchema) -> str:
        parameters = listed_parameters(tool, ",", lambda name, schema: _parameter(tool, name, schema))
        return f"{json.dumps(f'{_BEFORE}{tool.name}{{')} {parameters} {json.dumps('}' + _AFTER)}"

    return f"start: call\n{alternatives(tools, rule)}{_RULES}"


FUNCTIONGEMMA = Format(
    name="functiongemma",
    description="call:name{key:value} in <start_function_call>…<end_function_call>, as FunctionGemma writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=_grammar,
)
