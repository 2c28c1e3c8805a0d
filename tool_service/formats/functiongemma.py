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

from protos.schemas.shapes import Alternative, Fields, Items, Literals, Number, Shape, Text
from tool_service.formats.events import JsonValue
from tool_service.formats.families.named_json import NAME
from tool_service.formats.families.python_calls import Pattern
from tool_service.formats.format import EndReason, Format, Tools, ToolSchema
from tool_service.formats.grammar import (
    Rules,
    arguments_of,
    grammar_of,
    joined,
    json_value,
    listed,
    quoted,
    raw_string,
    repeated,
)
from tool_service.formats.instructions import instructions_by
from tool_service.formats.scanning.coercion import NoUsableValueError, read_value
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
        if keys is None or (name in keys and not self._sink.last_counts):
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
            return f"{{{','.join(f'{_key(key)}:{_value(each)}' for key, each in value.items())}}}"
    return json.dumps(value)


_BARE = r"[^\s:{}\[\],<]"
_BARE_KEY = re.compile(rf"{_BARE}(?:[^:{{}}\[\],<]{{0,{MAX_KEY - 2}}}{_BARE})?")


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else ESCAPE + name + ESCAPE


class _Values:
    """Writes shapes as rules. Shapes that are shared are written once."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._names: dict[int, tuple[str, Shape]] = {}  # by the shape's id, which is kept so its own

    def rule(self, shape: Shape) -> str:
        """The name of the rule of a shape that is not empty."""
        if id(shape) not in self._names:
            name = self._rules.add("value", " | ".join(map(self._alternative, shape)))
            self._names[id(shape)] = name, shape
        return self._names[id(shape)][0]

    def object(self, fields: Fields) -> str:
        """What stands in a rule for an object."""
        parts = {
            self._rules.add("field", f"{quoted(f'{_key(name)}:')} {self.rule(shape)}"): name in fields.required
            for name, shape in fields.properties.items()
            if shape
        }
        row = listed(parts, ",")
        if fields.more:
            least, most = max(fields.least - len(fields.required), 0), fields.most
            row = listed(parts, ",", self._other(fields), least, None if most is None else most - len(fields.required))
        return joined(quoted("{"), row, quoted("}"))

    def _other(self, fields: Fields) -> str:
        """The rule of a property that is not listed."""
        name = raw_string((Text(most=MAX_KEY, patterns=(fields.names or "[^<]*",)),), "")
        taken = " | ".join(map(quoted, fields.properties))
        free = self._rules.add("NAME", f"{name} & ~({taken})" if taken else name)
        bare = self._rules.add("NAME", f"{free} & /[A-Za-z_][A-Za-z0-9_]*/")
        key = f"({bare} | {quoted(ESCAPE)} {free} {quoted(ESCAPE)})"
        return self._rules.add("field", f"{key} {quoted(':')} {self.rule(fields.more)}")

    def _alternative(self, shape: Alternative) -> str:
        match shape:
            case Literals():
                return f"({' | '.join(quoted(_value(value)) for value in shape.values)})"
            case Number():
                return json_value((shape,))
            case Text():
                return f"{quoted(ESCAPE)} {self._rules.add('RAW', raw_string((shape,), ESCAPE))}"
            case Items():
                return joined(quoted("["), self._items(shape), quoted("]"))
            case Fields():
                return self.object(shape)

    def _items(self, shape: Items) -> str:
        count, row = len(shape.first), ""
        if shape.rest and (shape.most is None or shape.most > count):
            least, most = max(shape.least - count, 0), None if shape.most is None else shape.most - count
            rest = self.rule(shape.rest)
            row = repeated(f"{quoted(',')} {rest}", least, most) if count else listed({}, ",", rest, least, most)
        for index in reversed(range(count)):
            row = joined(quoted("," if index else ""), self.rule(shape.first[index]), row)
            row = row if index < shape.least else f"({row})?"
        return row


def _call(tool: ToolSchema, rules: Rules) -> str:
    values = _Values(rules)
    calls = (values.object(fields) for fields in arguments_of(tool, (ESCAPE,)))
    return " | ".join(f"{quoted(f'{_BEFORE}{tool.name}')} {call} {quoted(_AFTER)}" for call in calls)


FUNCTIONGEMMA = Format(
    name="functiongemma",
    description="call:name{key:value} in <start_function_call>…<end_function_call>, as FunctionGemma writes it",
    parser=_parser,
    write=_write,
    instructions=instructions_by(_write),
    grammar=grammar_of(_call),
)
