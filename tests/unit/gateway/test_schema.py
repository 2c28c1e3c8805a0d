import json

import pytest

from gateway.schema import check_schema
from protos.rpc.errors import Reason, ServiceError

GOOD = [
    {},
    {"type": "object", "properties": {"a": {"type": ["string", "null"]}, "type": {"type": "integer"}}},
    {"properties": {"a": True, "b": {"items": {"type": "number"}}}, "required": ["a"], "additionalProperties": False},
    {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/x"}], "$defs": {"x": {"type": "array", "items": []}}},
    {
        "enum": [{"type": "no type, data"}],
        "const": {"type": 3},
        "default": {"properties": 1},
        "examples": [{"type": 0}],
    },
    {"description": "[" * 100 + '\\"[{'},
]

BAD = [
    ("", "no valid JSON"),
    ("{", "no valid JSON"),
    ("[]", "JSON array"),
    ("true", "JSON boolean"),
    ("1.5", "JSON number"),
    ('"object"', "JSON string"),
    ('{"a": NaN}', "NaN is not JSON"),
    ('{"maximum": -Infinity}', "-Infinity is not JSON"),
    ('{"a": 1, "a": 2}', "a key stands twice"),
    (f'{{"maximum": {"9" * 5000}}}', "no valid JSON"),
    ('{"type": "str"}', 'the type "str"'),
    ('{"type": []}', "empty list of types"),
    ('{"type": ["string", 7]}', "the type 7"),
    ('{"type": {"type": "string"}}', "the type {"),
    ('{"properties": {"a": {"type": "text"}}}', 'the type "text"'),
    ('{"properties": {"a": "string"}}', "JSON string where a schema belongs"),
    ('{"properties": ["a"]}', "JSON array as `properties`"),
    ('{"anyOf": {"type": "string"}}', "JSON object as `anyOf`"),
    ('{"items": {"not": {"type": "nil"}}}', 'the type "nil"'),
    ('{"items": 5}', "JSON number where a schema belongs"),
    ('{"a": ' * 33 + "1" + "}" * 33, "nested 33 deep"),
    ("[" * 60_000, "nested 60000 deep"),
    (json.dumps({"title": "x" * 70_000}), "at most 65536"),
    (json.dumps({"title": "é" * 40_000}, ensure_ascii=False), "at most 65536"),
]


@pytest.mark.parametrize("schema", GOOD)
def test_takes_a_schema(schema):
    check_schema(json.dumps(schema), "response_json_schema")


def test_takes_the_deepest_nesting():
    check_schema('{"a": ' * 32 + "1" + "}" * 32, "response_json_schema")


@pytest.mark.parametrize(("text", "sentence"), BAD)
def test_refuses_what_is_no_schema(text, sentence):
    with pytest.raises(ServiceError) as raised:
        check_schema(text, "response_json_schema")
    assert raised.value.reason is Reason.INVALID_SCHEMA
    assert sentence in raised.value.message
    assert len(raised.value.message) < 1000
