"""Checks JSON of clients. Of a schema its shape, not its meaning, which the decoder and the tool service know.

Keywords that hold schemas are those of JSON Schema 2020-12 and draft 7 (https://json-schema.org/draft/2020-12/schema).
"""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from protos.rpc.errors import Reason, reject_field

MAX_BYTES = 64 * 1024
MAX_NESTING = 32
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_HOLDS_ONE = frozenset(("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items"))
_HOLDS_ONE |= frozenset(("not", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"))
_HOLDS_LIST = frozenset(("allOf", "anyOf", "items", "oneOf", "prefixItems"))
_HOLDS_NAMED = frozenset(("$defs", "definitions", "dependentSchemas", "patternProperties", "properties"))


class _Problem(Exception):
    """What is wrong, to follow the field's name."""


def check_schema(text: str, field: str) -> None:
    """Raises `ServiceError` INVALID_SCHEMA unless `text`, of `field`, is a JSON object that can be a schema."""
    try:
        if (size := len(text.encode())) > MAX_BYTES:
            _refuse(f"has {size} bytes; at most {MAX_BYTES} are taken")
        _check_types(_object(text, '{"type": "object"}'))
    except _Problem as problem:
        reject_field(Reason.INVALID_SCHEMA, field, f"{problem}.")


def check_arguments(field: str, text: str) -> None:
    """Raises `ServiceError` INVALID_MESSAGE unless `text`, of `field`, is a JSON object."""
    try:
        _object(text, "{}")
    except _Problem as problem:
        reject_field(Reason.INVALID_MESSAGE, field, f"{problem}.")


def _object(text: str, example: str) -> dict[str, Any]:
    if (depth := _nesting(text)) > MAX_NESTING:
        _refuse(f"is nested {depth} deep; at most {MAX_NESTING} levels are taken")
    value = _parse(text)
    if not isinstance(value, dict):
        _refuse(f"is a JSON {_json_type(value)}; write an object such as {example}")
    return value


def _parse(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except ValueError as error:
        _refuse(f"is no valid JSON: {str(error)[:200]}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _nesting(text: str) -> int:
    """The deepest bracket outside strings. Counted before parsing, whose recursion a hostile text could exhaust."""
    depth = deepest = 0
    inside = escaped = False
    for char in text:
        if inside:
            inside = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _check_types(schema: object) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        _refuse(f"holds a JSON {_json_type(schema)} where a schema belongs; write an object, true or false")
    if "type" in schema:
        _check_type(schema["type"])
    for inner in _inner(schema):
        _check_types(inner)


def _check_type(value: object) -> None:
    names = value if isinstance(value, list) else [value]
    for name in names:
        if name not in _TYPES:
            _refuse(f"names the type {json.dumps(name)[:80]}; there are {', '.join(_TYPES)}")
    if not names:
        _refuse("has an empty list of types; name one or leave `type` out")


def _inner(schema: dict[str, Any]) -> Iterator[object]:
    """Schemas directly inside `schema`; what stands in `const`, `default`, `enum` or `examples` is data."""
    for keyword, value in schema.items():
        if keyword in _HOLDS_LIST and isinstance(value, list):
            yield from value
        elif keyword in _HOLDS_NAMED and isinstance(value, dict):
            yield from value.values()
        elif keyword in _HOLDS_ONE:
            yield value
        elif keyword in _HOLDS_LIST | _HOLDS_NAMED:
            _refuse(f"has a JSON {_json_type(value)} as `{keyword}`, which holds schemas")


def _json_type(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _refuse(problem: str) -> NoReturn:
    raise _Problem(problem)
