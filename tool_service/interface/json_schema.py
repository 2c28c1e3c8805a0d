"""A JSON schema that came from outside, made safe to validate with.

Whoever wrote it may be careless or hostile, so all that could cost time or memory later is refused or taken out when it
is read: nothing is fetched, patterns are matched in linear time or not at all, and references are replaced by what they
refer to, up to a depth and a number. So a schema is a tree of bounded size, and validating takes time in proportion to
tree and value.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from protos.schemas.validation import PATTERNS, check_form, draft_of
from tool_service.interface.schema import InvalidArgumentError, InvalidToolError

MAX_BYTES = 32_768  # of the schema, as JSON
MAX_DEPTH = 32
MAX_PARTS = 4_096  # subschemas; references bring in half of them at most, a long literal counts as several
LITERAL_CHARS = 64
MAX_REFERENCES = 4  # inside one another; what lies deeper may be anything
MAX_MESSAGE_CHARS = 300

_ONE = {
    "additionalItems",
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
}
_LISTS = {"allOf", "anyOf", "items", "oneOf", "prefixItems"}
_MAPS = {"dependencies", "dependentSchemas", "patternProperties", "properties"}
_LEFT_OUT = {
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "$vocabulary",
    "default",
    "definitions",
    "description",
    "examples",
    "id",
    "title",
}  # nothing to validate with
_UNSUPPORTED = {"$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"}


class JsonSchema:
    """One compiled schema."""

    def __init__(self, tree: dict[str, Any]) -> None:
        try:
            self._validator = jsonschema_rs.validator_for(
                tree, pattern_options=PATTERNS, validate_formats=False, offline=True
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise InvalidToolError(f"malformed schema: {_first_line(str(error))}") from None

    def check(self, name: str, value: Any) -> None:
        """Raises InvalidArgumentError where `value`, that of the argument `name`, does not fit."""
        error = next(iter(self._validator.iter_errors(value)), None)
        if error is not None:
            where = "".join(f"[{part!r}]" for part in error.instance_path)
            raise InvalidArgumentError(f"argument {name!r}{where}: {_first_line(error.message)}")


class SchemaDocument:
    """A whole schema, whose parts are compiled one by one; they share its references and one budget.

    Raises InvalidToolError where it is malformed, too large, or refers outside of itself.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._draft = draft_of(schema)
        self._spent = 0
        self._root = schema
        try:
            check_form(schema)
        except ValueError as error:
            raise InvalidToolError(f"malformed schema: {_first_line(str(error))}") from None

    def compile(self, schema: Any) -> JsonSchema:
        """A part of this schema, ready to validate with."""
        return JsonSchema({**self._inline(schema, ()), **self._draft})

    def _inline(self, schema: Any, references: tuple[str, ...]) -> dict[str, Any]:
        self._spend(1)
        if isinstance(schema, bool):
            return {} if schema else {"not": {}}
        if not isinstance(schema, dict):
            raise InvalidToolError(f"malformed schema: {str(schema)[:100]!r} stands where a schema should")
        if unsupported := _UNSUPPORTED & schema.keys():
            raise InvalidToolError(f"the schema uses {sorted(unsupported)[0]}, which is not supported")
        tree = {key: self._value(key, value, references) for key, value in _kept(schema)}
        if "$ref" not in schema:
            return tree
        target = self._target(schema["$ref"], references)
        return {"allOf": [target, tree]} if tree else target

    def _target(self, reference: Any, references: tuple[str, ...]) -> dict[str, Any]:
        """What a reference leads to; deep inside others, or where they have made the schema large, anything at all."""
        target = resolve(reference, self._root)
        if len(references) >= MAX_REFERENCES or self._spent > MAX_PARTS // 2:
            return {}
        return self._inline(target, (*references, reference))

    def _value(self, key: str, value: Any, references: tuple[str, ...]) -> Any:
        if key in _LISTS and isinstance(value, list):
            return [self._inline(each, references) for each in value]
        if key in _MAPS and isinstance(value, dict):
            return {
                name: each if isinstance(each, list) else self._inline(each, references) for name, each in value.items()
            }
        if key in _ONE:
            return self._inline(value, references)
        self._spend(len(str(value)) // LITERAL_CHARS)
        return value

    def _spend(self, parts: int) -> None:
        self._spent += parts
        if self._spent > MAX_PARTS:
            raise InvalidToolError(f"the schema has more than {MAX_PARTS} parts")


def resolve(reference: Any, root: Mapping[str, Any]) -> Any:
    """What a reference like `#/$defs/Place` leads to in its own document. Raises InvalidToolError."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise InvalidToolError(f"the reference {str(reference)[:100]!r} leads out of the schema")
    target: Any = root
    for part in reference.split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        match target:
            case dict() if key in target:
                target = target[key]
            case list() if key.isdecimal() and int(key[:9]) < len(target):
                target = target[int(key)]
            case _:
                raise InvalidToolError(f"the reference {reference[:100]!r} leads nowhere")
    return target


def _kept(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in schema.items() if key not in _LEFT_OUT)


def check_size(schema: Any) -> None:
    """Raises InvalidToolError where a schema is nested too deep or too long."""
    if not isinstance(schema, dict):
        raise InvalidToolError("the schema is not an object")
    if _depth(schema) > MAX_DEPTH:
        raise InvalidToolError(f"the schema is nested more than {MAX_DEPTH} deep")
    if (size := len(json.dumps(schema))) > MAX_BYTES:
        raise InvalidToolError(f"the schema has {size} bytes; at most {MAX_BYTES} are allowed")


def without_costly_patterns(value: Any) -> Any:
    """The schema without patterns that are well-formed but need look-around or back-references: time to match those has
    no bound, so they are left to whoever made the schema."""
    if isinstance(value, list):
        return [without_costly_patterns(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = (
        (key, each) for key, each in value.items() if not (key == "pattern" and isinstance(each, str) and _costly(each))
    )
    return {key: without_costly_patterns(each) for key, each in kept}


def _costly(pattern: str) -> bool:
    return not _compiles(pattern, PATTERNS) and _compiles(pattern, jsonschema_rs.FancyRegexOptions(size_limit=1 << 20))


def _compiles(pattern: str, options: jsonschema_rs.RegexOptions | jsonschema_rs.FancyRegexOptions) -> bool:
    try:
        jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=options, offline=True)
    except ValueError:
        return False
    return True


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    return depth


def _first_line(message: str) -> str:
    line = message.partition("\n")[0]
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"
