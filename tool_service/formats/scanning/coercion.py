"""Reads an argument that was written as plain text, by the tool's schema; where that says nothing, by its look.

`"123"` is 123 for an integer and `"123"` for a string; with no schema, or one that allows several types, what is valid
JSON of an allowed type is that value, and anything else a string. What fits no allowed type is passed on as it looks:
the tool's own check knows the better words for it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tool_service.formats.events import JsonValue
from tool_service.formats.scanning.json_lexer import MAX_DEPTH, JsonLexer, ValueBuilder

_WORDS: dict[str, bool | None] = {"True": True, "False": False, "None": None}  # as templates print Python's


class NoUsableValueError(ValueError):
    """The text is written as JSON but breaks a limit of ours; the message says which."""


def kinds_of(schema: Any, root: Mapping[str, Any]) -> frozenset[str]:
    """The JSON types a parameter may have; empty for any. References are looked up in `root`."""
    kinds: set[str] = set()
    references: set[str] = set()
    schemas = [schema]
    while schemas:
        each = schemas.pop()
        if not isinstance(each, Mapping):
            continue
        reference = each.get("$ref")
        if isinstance(reference, str) and reference not in references:
            references.add(reference)
            schemas.append(_target(reference, root))
        for key in ("anyOf", "oneOf", "allOf"):
            schemas += _listed(each.get(key))
        kinds.update(_own_kinds(each))
    return frozenset(kinds)


def resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a parameter's schema says where it is but a reference to somewhere in `root`; empty for nothing usable."""
    seen: set[str] = set()
    while isinstance(schema, Mapping) and isinstance(reference := schema.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        target = _target(reference, root)
        schema = {**target, **schema, "$ref": target.get("$ref")} if isinstance(target, Mapping) else {}
    return schema if isinstance(schema, Mapping) else {}


def _own_kinds(schema: Mapping[str, Any]) -> Iterator[str]:
    named = schema.get("type")
    if isinstance(named, str):
        yield named
    elif named is not None:
        yield from (name for name in _listed(named) if isinstance(name, str))
    else:
        yield from map(_kind_of, _listed(schema.get("enum")))
        yield from [_kind_of(schema["const"])] if "const" in schema else []


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _target(reference: str, root: Mapping[str, Any]) -> Any:
    """What a JSON pointer into the schema itself leads to; None for nothing."""
    target: Any = root
    for part in reference.removeprefix("#/").split("/"):
        target = target.get(part) if isinstance(target, Mapping) else None
    return target


def read_value(text: str, kinds: frozenset[str], *, last_counts: bool = False) -> JsonValue:
    """The value that the text stands for. Raises `NoUsableValueError` for JSON that breaks a limit.

    `last_counts`: a key may come again, and then has its last value.
    """
    if kinds == {"string"}:
        return text
    written = text.strip(" \t\r\n")
    try:
        value: JsonValue = _WORDS[written] if written in _WORDS else _read_json(written, last_counts=last_counts)
    except NoUsableValueError:
        if "string" in kinds:
            return text
        raise
    except ValueError:
        return text
    if isinstance(value, float) and value.is_integer() and "integer" in kinds and "number" not in kinds:
        value = int(value)
    if "string" in kinds and not _fits(value, kinds):
        return text
    return value


def _fits(value: JsonValue, kinds: frozenset[str]) -> bool:
    kind = _kind_of(value)
    return kind in kinds or (kind == "integer" and "number" in kinds)


def _kind_of(value: JsonValue) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


class _Builder(ValueBuilder):
    reason = ""

    def spoil(self, reason: str) -> None:
        self.reason = self.reason or reason


def _read_json(text: str, *, last_counts: bool) -> JsonValue:
    builder = _Builder(last_counts=last_counts)
    lexer = JsonLexer(builder, MAX_DEPTH - 1)  # the arguments are the first level
    text += "\n"  # only what follows a number seals it
    if lexer.feed(text) < len(text) - 1 or not builder.complete:
        raise ValueError(lexer.failure or "incomplete")
    if builder.reason:
        raise NoUsableValueError(builder.reason)
    return builder.value
