"""Writes narrowed shapes as JSON schemas for llguidance (see its docs/json_schema.md)."""

import json
from fractions import Fraction
from typing import Any

from protos.schemas.shapes import Alternative, Fields, Items, Literals, Number, Shape, Text

# White space is fixed, so that a small model cannot go round in it. Escapes by number are not needed, and with them a
# name that a schema does not list could be that of one it lists.
_SPELLING = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf\\"',
}


class SchemaWriter:
    """Writes one schema. Shapes that are shared, as those of references are, are written once."""

    def __init__(self) -> None:
        self._definitions: dict[str, Any] = {}
        self._names: dict[
            int, tuple[str, Shape]
        ] = {}  # of lists and objects, by the shape's id, which is kept so its own

    def document(self, schema: dict[str, Any]) -> str:
        """What llguidance takes behind `%json`."""
        return json.dumps({"x-guidance": _SPELLING, "$defs": self._definitions, **schema})

    def schema(self, shape: Shape) -> dict[str, Any]:
        """The schema of a shape that is not empty."""
        if all(isinstance(each, Literals | Number | Text) for each in shape):
            return self._any_of(shape)
        if id(shape) not in self._names:
            name = f"s{len(self._names)}"
            self._names[id(shape)] = name, shape
            self._definitions[name] = self._any_of(shape)
        return {"$ref": f"#/$defs/{self._names[id(shape)][0]}"}

    def _any_of(self, shape: Shape) -> dict[str, Any]:
        written = list(map(self._alternative, shape))
        return written[0] if len(written) == 1 else {"anyOf": written}

    def _alternative(self, shape: Alternative) -> dict[str, Any]:
        match shape:
            case Literals():
                return {"enum": list(shape.values)}
            case Number():
                return _number(shape)
            case Text():
                return _text(shape)
            case Items():
                return self._items(shape)
            case Fields():
                return self.fields(shape)

    def _items(self, shape: Items) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array", "minItems": shape.least}
        if shape.first:
            schema["prefixItems"] = list(map(self.schema, shape.first))
        if shape.most is not None:
            schema["maxItems"] = shape.most
        return schema | {"items": self.schema(shape.rest) if shape.rest else False}

    def fields(self, shape: Fields) -> dict[str, Any]:
        """The schema of an object."""
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {name: self.schema(each) if each else False for name, each in shape.properties.items()},
            "required": [name for name in shape.properties if name in shape.required],
            "additionalProperties": False,
        }
        if not shape.more:
            return schema
        if shape.names is None:
            schema["additionalProperties"] = self.schema(shape.more)
        else:
            schema["patternProperties"] = {f"^(?:{shape.names})$": self.schema(shape.more)}
        schema |= {"minProperties": shape.least} if shape.least else {}
        return schema | ({} if shape.most is None else {"maxProperties": shape.most})


def _number(shape: Number) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer" if shape.integer else "number"}
    bounds = {"minimum": shape.low, "maximum": shape.high}
    schema |= {key: _plain(bound) for key, bound in bounds.items() if bound is not None}
    return schema if shape.step is None or shape.step == 1 else schema | {"multipleOf": _plain(shape.step)}


def _plain(number: Fraction) -> float:
    return number.numerator if number.denominator == 1 else float(number)


def _text(shape: Text) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": shape.least}
    if shape.patterns:
        schema["allOf"] = [{"pattern": f"^(?:{pattern})$"} for pattern in shape.patterns]
    return schema if shape.most is None else schema | {"maxLength": shape.most}
