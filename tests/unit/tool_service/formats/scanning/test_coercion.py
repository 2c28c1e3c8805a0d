"""Plain text as values: B18."""

from typing import Any

import pytest

from tool_service.formats.scanning.coercion import NoUsableValueError, kinds_of, read_value

TREE = {"anyOf": [{"$ref": "#/$defs/Tree"}] * 9 + [{"type": "string"}]}
NODE = {"$defs": {"Node": {"type": "object"}, "Loop": {"$ref": "#/$defs/Loop"}, "Tree": TREE}}


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": ["integer", "null"]}, {"integer", "null"}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"integer", "null"}),
        ({"oneOf": [{"type": "string"}, {"anyOf": [{"type": "boolean"}]}]}, {"string", "boolean"}),
        ({"allOf": [{"$ref": "#/$defs/Node"}]}, {"object"}),
        ({"$ref": "#/$defs/Node"}, {"object"}),
        ({"$ref": "#/$defs/Loop"}, set()),
        ({"$ref": "#/nowhere"}, set()),
        ({"anyOf": [{"$ref": "#/$defs/Tree"}] * 2}, {"string"}),
        ({"enum": ["a", "b"]}, {"string"}),
        ({"enum": [1, "b", None]}, {"integer", "string", "null"}),
        ({"const": 1.5}, {"number"}),
        ({"type": 3, "anyOf": 3, "enum": 3, "$ref": 3}, set()),
        ({}, set()),
        (True, set()),
        (None, set()),
    ],
)
def test_a_schema_tells_the_types(schema: Any, kinds: set[str]) -> None:
    assert kinds_of(schema, NODE) == kinds


@pytest.mark.parametrize(
    ("text", "kinds", "value"),
    [
        ("123", {"integer"}, 123),
        ("123", {"string"}, "123"),
        ("123", set(), 123),
        (" 123\n", {"integer"}, 123),
        (" 123\n", {"string"}, " 123\n"),
        ("3.0", {"integer"}, 3),
        ("3.0", {"number"}, 3.0),
        ("3", {"number"}, 3),
        ("3.5", {"integer"}, 3.5),  # the tool's own check says what is wrong
        ("abc", {"integer"}, "abc"),
        ("", {"integer"}, ""),
        ("null", {"string", "null"}, None),
        ("null", {"string"}, "null"),
        ("None", {"null", "integer"}, None),
        ("True", {"boolean"}, True),
        ("True", {"boolean", "string"}, True),
        ("True", {"string"}, "True"),
        ("true", {"string", "integer"}, "true"),
        ("12", {"string", "integer"}, 12),
        ("12", {"string", "number"}, 12),
        ("12.0", {"string", "integer"}, 12),
        ("[1", {"array"}, "[1"),
        ('["a", {"b": null}]', {"array"}, ["a", {"b": None}]),
        ('{"a": 1}', set(), {"a": 1}),
        ('"quoted"', set(), "quoted"),
        ("plain text", set(), "plain text"),
        ('["\x1f', set(), '["\x1f'),
        ("NaN", {"string", "number"}, "NaN"),
    ],
)
def test_a_text_is_read_by_the_types(text: str, kinds: set[str], value: Any) -> None:
    assert repr(read_value(text, frozenset(kinds))) == repr(value)


@pytest.mark.parametrize("text", ["NaN", "1e999", '{"a": 1, "a": 1}', '["\\ud800"]', "1" * 1001, "[" * 200 + "]" * 200])
def test_json_that_breaks_a_limit_is_refused(text: str) -> None:
    with pytest.raises(NoUsableValueError):
        read_value(text, frozenset({"number", "object", "array"}))
