"""Whatever is written under a grammar is one call of an allowed tool, and its arguments fit the tool's schema.

Sentences are random walks through what the grammar allows, byte by byte. They lean to what ends a value, so that most
walks end; to what formats and JSON write with, so that mistakes show; and, some more than others, to what they wrote
before, so that keys come again where the schema leaves them free.
"""

import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema
import jsonschema_rs
import numpy as np
import pytest
from llguidance import LLMatcher

from protos.schemas.reading import UnenforceableError
from tests.unit.tool_service.formats.test_grammar import TOKENIZER
from tests.unit.tool_service.formats.turns import calls_of, parse, text_of
from tool_service.formats import FORMATS
from tool_service.formats.format import ToolSchema
from tool_service.formats.scanning.json_lexer import TWICE

END = 256
LONG = 300  # bytes after which a walk turns to what ends it
LONGEST = 1500
SCHEMAS, WALKS = 20, 3
FORMAT_CHECKER = jsonschema.Draft202012Validator.FORMAT_CHECKER
CLOSERS = b'"<]})>\n,e'
LIKELY = b'<>"\\{}[]():,/ \n\x00-.0159abcdefnrtuxE\x7f'

WITH_ARGUMENTS = sorted(name for name, format_ in FORMATS.items() if not format_.only_tool)

TEXTS = ["", "a", "no", "x < y", "</b>", 'say "no"', "é😀", "two\nlines", "\\", "</", "{}", "null", "12"]
PATTERNS = [
    "^[A-Z]{2,3}$",
    "^a.c$",
    r"^\d+$",
    r"^\w*[-_]\w*$",
    "b|^x",
    r"[^\s<]{2}",
    r"^(?:a|bc)*$",
    "^[^a]?$",
    r"^/[a-z\/]+$",
    r"^[\[\]&~]+$",
    r"^\S+$",
    r"^\W\D$",
]
FORMAT_NAMES = ["date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", "path"]
NUMBERS = [0, 0.5, -2.25, 1e-7, 99.999, 123456789012, -3, 7, -1000]
KEYS = ["a", "b_2", "größe", "with space", 'q"uote', "x:y", "<k>"]
TAGGED = {
    "oneOf": [
        {"type": "object", "properties": {"kind": {"const": kind}, kind: {"type": of}}, "required": ["kind", kind]}
        for kind, of in (("count", "integer"), ("name", "string"))
    ]
}
EXTENDED = {"allOf": [{"$ref": "#/$defs/Point"}, {"properties": {"label": {"type": "string", "maxLength": 2}}}]}
DEFINITIONS = {
    "Kind": {"enum": ["no", "new\nline", "</i>"], "description": "One of a few."},
    "Point": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
    "Tree": {
        "type": "object",
        "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
        "required": ["value"],
    },
}
FIXED: list[Any] = [
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["integer", "null"]},
    {"type": ["string", "boolean"], "maxLength": 3},
    {"enum": [1, 1.5, True, None, "one", [1], {"a b": {"c": "<"}}]},
    {"const": {"x": [1, "y"]}},
    {},
    True,
    {"$ref": "#/$defs/Kind"},
    {"$ref": "#/$defs/Kind", "maxLength": 2},
    {"$ref": "#/$defs/Tree"},
    {"type": "array", "items": {"enum": ["x", "y", 3]}, "uniqueItems": True},
    TAGGED,
    EXTENDED,
    {"type": "object"},
    {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2},
    {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": {"type": "boolean"}}},
    {"type": "object", "patternProperties": {"^[ab]$": {"type": ["null", "integer"]}}, "properties": {"a": {}}},
    {"type": "object", "patternProperties": {"^[a-z]$": {"type": "boolean"}}, "minProperties": 1},
    {"type": "object", "propertyNames": {"enum": ["one", "two"]}, "additionalProperties": {"type": "null"}},
]


class Schemas:
    """Draws schemas that grammars can follow."""

    def __init__(self, luck: random.Random) -> None:
        self._luck = luck

    def parameters(self) -> dict[str, Any]:
        return self._object(["query", "limit", "site", "b_2"], 2) | {"$defs": DEFINITIONS}

    def with_free_keys(self) -> dict[str, Any]:
        """Each argument is there, and an object with keys that the schema does not name."""
        properties = {name: self._free(2) for name in ("query", "limit")}
        return {"type": "object", "properties": properties, "required": [*properties], "$defs": DEFINITIONS}

    def any_value(self) -> dict[str, Any]:
        return {"anyOf": [self._schema(2), self._schema(2)]}

    def _schema(self, depth: int) -> Any:
        kinds = [self._text, self._text, self._choice, self._number, self._integer, self._fixed]
        if depth:
            kinds += [self._list, self._tuple, self._any_of, self._free, lambda depth: self._object(KEYS, depth)]
        return self._luck.choice(kinds)(depth)

    def _bounds(self, low: str, high: str, one: float, other: float, apart: int = 0) -> dict[str, Any]:
        """Two keywords, of which any may be missing."""
        both = {low: min(one, other), high: max(one, other) + apart}
        return {key: value for key, value in both.items() if self._luck.random() < 0.6}

    def _count(self, low: str, high: str) -> dict[str, Any]:
        return self._bounds(low, high, self._luck.randrange(4), self._luck.randrange(4))

    def _text(self, _: int) -> dict[str, Any]:
        with_pattern = {"pattern": self._luck.choice(PATTERNS)}
        with_format = {"format": self._luck.choice(FORMAT_NAMES)}
        counted = self._count("minLength", "maxLength")
        of = [counted, counted, counted | {"pattern": "^[a-f<]*$"}, with_pattern, with_format]
        return {"type": "string", **self._luck.choice(of)}

    def _choice(self, _: int) -> dict[str, Any]:
        values = self._luck.sample(TEXTS, self._luck.randint(1, 4))
        return self._luck.choice([{"enum": values}, {"type": "string", "enum": values}, {"const": values[0]}])

    def _number(self, _: int) -> dict[str, Any]:
        one, other = self._luck.choices(NUMBERS, k=2)
        inside = self._bounds("minimum", "maximum", one, other, 1)
        beyond = self._bounds("exclusiveMinimum", "exclusiveMaximum", one, other, 1)
        return {
            "type": "number",
            **self._luck.choice([inside, beyond, {"multipleOf": self._luck.choice([0.5, 0.25, 3])}]),
        }

    def _integer(self, _: int) -> dict[str, Any]:
        one, other = self._luck.randint(-300, 300), self._luck.randint(-300, 300)
        inside = self._bounds("minimum", "maximum", one, other)
        beyond = self._bounds("exclusiveMinimum", "exclusiveMaximum", one, other, 2)
        return {"type": "integer", **self._luck.choice([inside, beyond, {"multipleOf": self._luck.choice([2, 7, 10])}])}

    def _fixed(self, _: int) -> Any:
        return self._luck.choice(FIXED)

    def _list(self, depth: int) -> dict[str, Any]:
        return {"type": "array", "items": self._schema(depth - 1), **self._count("minItems", "maxItems")}

    def _tuple(self, depth: int) -> dict[str, Any]:
        first = [self._schema(depth - 1) for _ in range(self._luck.randint(1, 3))]
        return {"type": "array", "prefixItems": first, "items": self._luck.choice([False, self._schema(depth - 1)])}

    def _any_of(self, depth: int) -> dict[str, Any]:
        return {"anyOf": [self._schema(depth - 1), self._luck.choice([{"type": "null"}, self._schema(depth - 1)])]}

    def _free(self, depth: int) -> dict[str, Any]:
        of, listed = self._schema(depth - 1), {name: self._schema(depth - 1) for name in self._luck.sample(KEYS, 2)}
        free: list[dict[str, Any]] = [
            {},
            {"additionalProperties": of},
            {"additionalProperties": of, "minProperties": 1},
            {"additionalProperties": of, "properties": listed},
            {"additionalProperties": of, "properties": listed, "required": [*listed], "minProperties": 3},
            {"additionalProperties": False, "patternProperties": {"^[ab]$": of}},
            {"patternProperties": {"^[ab]$": of}, "properties": listed},
        ]
        return {"type": "object", **self._luck.choice(free)}

    def _object(self, keys: list[str], depth: int) -> dict[str, Any]:
        names = self._luck.sample(keys, self._luck.randrange(4))
        schema = {"type": "object", "properties": {name: self._schema(depth - 1) for name in names}}
        if required := [name for name in names if self._luck.random() < 0.5]:
            schema["required"] = required
        if self._luck.random() < 0.5:
            schema["additionalProperties"] = self._luck.choice([False, False, True, {"type": "integer"}])
        return schema


@lru_cache(maxsize=1)
def matcher_of(grammar: str) -> LLMatcher:
    """At its beginning. It takes milliseconds to make, and several walks through a grammar follow each other."""
    return LLMatcher(TOKENIZER, grammar)


class Walk:
    """One sentence of a grammar."""

    def __init__(self, grammar: str, luck: random.Random, closers: bytes = CLOSERS, repetition: float = 0.0) -> None:
        self._matcher = matcher_of(grammar).deep_copy()
        self._luck = luck
        self._closers = (END, *closers)
        self._repetition = repetition  # how likely it is at each byte that what was written before is written again
        self._copied = 0  # where in the sentence stands what is written again; 0 for nowhere
        assert not self._matcher.is_error(), self._matcher.get_error()

    def sentence(self) -> str | None:
        """None where it did not end."""
        written = bytearray()
        while len(written) < LONGEST:
            token = self._again(written) or self._choose(self._allowed(), hurried=len(written) > LONG)
            if token != END:
                assert self._matcher.consume_token(token), self._matcher.get_error()
                written.append(token)
            if token == END or self._matcher.is_stopped():
                return written.decode()
        return None

    def _again(self, written: bytearray) -> int:
        """What followed when the last byte was written before, and what followed that; 0 where that may not be."""
        if self._repetition and not self._copied and len(written) < LONG and self._luck.random() < self._repetition:
            before = [at for at in range(1, len(written)) if written[at - 1] == written[-1]]
            self._copied = self._luck.choice(before) if before else 0
        at, self._copied = self._copied, 0
        if not at or self._matcher.validate_tokens([written[at]]) != 1:
            return 0
        self._copied = at + 1 if self._luck.random() < 0.9 else 0
        return written[at]

    def _allowed(self) -> list[int]:
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        assert not self._matcher.is_error(), self._matcher.get_error()
        found: list[int] = np.unpackbits(bits, count=END + 1, bitorder="little").nonzero()[0].tolist()
        return found

    def _choose(self, allowed: list[int], *, hurried: bool) -> int:
        closers = [token for token in self._closers if token in allowed]
        if closers and self._luck.random() < (0.9 if hurried else 0.15):
            return self._luck.choice(closers)
        likely = [token for token in LIKELY if token in allowed]
        return self._luck.choice(likely if likely and self._luck.random() < 0.7 else allowed)


def check(format_name: str, tools: Mapping[str, dict[str, Any]], text: str) -> None:
    """Whether it is a call that fits."""
    events = parse(format_name, text, tools=tools, constrained=True)
    ((name, arguments),) = calls_of(events)
    assert isinstance(arguments, dict), (text, arguments)
    assert text_of(events) == ""
    error = next(
        jsonschema.Draft202012Validator(tools[name], format_checker=FORMAT_CHECKER).iter_errors(arguments), None
    )
    assert error is None, (text, tools[name], error.message)
    jsonschema_rs.validate(tools[name], arguments)


def has_a_key_twice(format_name: str, tools: Mapping[str, dict[str, Any]], text: str) -> bool:
    """Whether it would be no call had it been written freely."""
    ((_, arguments),) = calls_of(parse(format_name, text, tools=tools))
    assert isinstance(arguments, dict) or TWICE in arguments
    return not isinstance(arguments, dict)


@pytest.mark.parametrize("format_name", WITH_ARGUMENTS)
def test_what_a_grammar_allows_is_a_call_that_fits_the_schema(format_name: str) -> None:
    luck, ended, refused = random.Random(format_name), 0, 0
    for _ in range(SCHEMAS):
        tools = {f"tool_{index}": Schemas(luck).parameters() for index in range(2)}
        try:
            grammar = FORMATS[format_name].grammar([ToolSchema(name, "", schema) for name, schema in tools.items()])
        except UnenforceableError:
            refused += 1
            continue
        sentences = [sentence for _ in range(WALKS) if (sentence := Walk(grammar, luck).sentence()) is not None]
        for sentence in sentences:
            check(format_name, tools, sentence)
        ended += len(sentences)
    assert refused <= SCHEMAS // 10
    assert ended > 0.9 * WALKS * (SCHEMAS - refused)


@pytest.mark.parametrize("format_name", WITH_ARGUMENTS)
def test_what_a_grammar_allows_is_a_call_though_free_keys_come_again(format_name: str) -> None:
    luck, ended, twice, refused = random.Random(format_name), 0, 0, 0
    for _ in range(SCHEMAS):
        tools = {"tool": Schemas(luck).with_free_keys()}
        try:
            grammar = FORMATS[format_name].grammar([ToolSchema("tool", "", tools["tool"])])
        except UnenforceableError:
            refused += 1
            continue
        walks = (Walk(grammar, luck, repetition=0.5) for _ in range(WALKS))
        sentences = [sentence for walk in walks if (sentence := walk.sentence()) is not None]
        for sentence in sentences:
            check(format_name, tools, sentence)
        ended += len(sentences)
        twice += sum(has_a_key_twice(format_name, tools, sentence) for sentence in sentences)
    assert twice
    assert refused < SCHEMAS / 2
    assert ended > 0.9 * WALKS * (SCHEMAS - refused)


@pytest.mark.parametrize(
    ("format_name", "tool", "argument"), [("code_block", "python", "code"), ("plan", "plan", "plan")]
)
def test_what_the_grammar_of_a_block_allows_is_a_call_with_its_text(format_name: str, tool: str, argument: str) -> None:
    schema = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    luck, grammar = random.Random(format_name), FORMATS[format_name].grammar([ToolSchema(tool, "", schema)])
    sentences = [Walk(grammar, luck, b"\n`<").sentence() for _ in range(60)]
    ended = [sentence for sentence in sentences if sentence is not None]
    assert len(ended) > 40
    for sentence in ended:
        check(format_name, {tool: schema}, sentence)
