"""What values a schema allows, as a union of simple alternatives; no references, no conjunctions.

    Shape = tuple of alternatives, of which a value fits one; the empty one fits nothing
    alternative = Literals | Number | Text | Items | Fields

Shapes are finite trees whose parts may be shared: a reference inside what it refers to was followed a few times and
then cut. A shape may allow less than its schema, never more.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"

ANY_DEPTH = 4  # brackets in one another, where a schema says nothing


@dataclass(frozen=True, slots=True)
class Literals:
    """These values."""

    values: tuple[JsonValue, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """Numbers from `low` to `high`, both included, that are multiples of `step`."""

    low: Fraction | None = None
    high: Fraction | None = None
    step: Fraction | None = None
    integer: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Strings of so many characters, all of which each pattern matches as a whole."""

    least: int = 0
    most: int | None = None
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Items:
    """Arrays of so many items: the first ones each of a shape of its own, then more of the shape `rest`."""

    first: "tuple[Shape, ...]"
    rest: "Shape"
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """Objects. A property whose shape is empty may not be there.

    `others`: the shape of what is not listed; `names`: what its keys match; `unsaid`: the schema does not speak of it.
    `least` and `most`: of all keys.
    """

    properties: "Mapping[str, Shape]"
    required: frozenset[str]
    others: "Shape"
    unsaid: bool = False
    names: str | None = None
    least: int = 0
    most: int | None = None

    @property
    def more(self) -> "Shape":
        """The shape of what may be written besides the properties: nothing where there are some and no word of more."""
        return () if self.unsaid and self.properties else self.others


Alternative: TypeAlias = Literals | Number | Text | Items | Fields
Shape: TypeAlias = tuple[Alternative, ...]

BOOLEAN, NULL = Literals((True, False)), Literals((None,))


@lru_cache
def anything(depth: int = ANY_DEPTH) -> Shape:
    """Any value with so many brackets in one another."""
    scalars = (NULL, BOOLEAN, Number(), Text())
    if not depth:
        return scalars
    inner = anything(depth - 1)
    return (*scalars, Items((), inner), Fields({}, frozenset(), inner, unsaid=True))


class TooComplexError(Exception):
    """Comparing shapes takes too long."""


_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


@contextmanager
def bounded(comparisons: int) -> Iterator[None]:
    """Shapes can share parts, and comparing two of them visits each as often as it is reached. Inside this block so
    many comparisons are made at most; the next one raises TooComplexError."""
    token = _left.set([comparisons])
    try:
        yield
    finally:
        _left.reset(token)


def spend(comparisons: int = 1) -> None:
    """Counts work that is worth so many comparisons."""
    left = _left.get()
    if left is not None:
        left[0] -= comparisons
        if left[0] < 0:
            raise TooComplexError


def common(one: Shape, other: Shape) -> Shape:
    """What fits both."""
    if one is anything() or other is anything():
        return other if one is anything() else one
    return tuple(met for each in one for each_other in other if (met := _meet(each, each_other)) is not None)


def disjoint(one: Shape, other: Shape) -> bool:
    """Whether it is sure that no value which is written as one shape says fits the other, and the other way round."""
    return all(_apart(each, each_other) for each in one for each_other in other)


def admits(shape: Shape, value: JsonValue) -> bool:
    """Whether a value fits."""
    return any(_fits(each, value) for each in shape)


def _meet(one: Alternative, other: Alternative) -> Alternative | None:
    spend()
    if isinstance(other, Literals):
        one, other = other, one
    match one, other:
        case Literals(), _:
            return Literals(values) if (values := tuple(v for v in one.values if _fits(other, v))) else None
        case Number(), Number():
            return _numbers(one, other)
        case Text(), Text():
            patterns = dict.fromkeys(one.patterns + other.patterns)
            return _some(Text(max(one.least, other.least), _least(one.most, other.most), tuple(patterns)))
        case Items(), Items():
            return _items(one, other)
        case Fields(), Fields():
            return _fields(one, other)
    return None


def _some(text: Text) -> Text | None:
    return None if text.most is not None and text.most < text.least else text


def _numbers(one: Number, other: Number) -> Number:
    lows = [each.low for each in (one, other) if each.low is not None]
    highs = [each.high for each in (one, other) if each.high is not None]
    steps = [each.step for each in (one, other) if each.step is not None]
    return Number(
        max(lows, default=None),
        min(highs, default=None),
        Fraction(math.lcm(*(s.numerator for s in steps)), math.gcd(*(s.denominator for s in steps))) if steps else None,
        one.integer or other.integer,
    )


def _items(one: Items, other: Items) -> Items | None:
    count = max(len(one.first), len(other.first))
    first = tuple(common(_item(one, index), _item(other, index)) for index in range(count))
    return cut(Items(first, common(one.rest, other.rest), max(one.least, other.least), _least(one.most, other.most)))


def _item(items: Items, index: int) -> Shape:
    return items.first[index] if index < len(items.first) else items.rest


def cut(items: Items) -> Items | None:
    """The array without the places that nothing fits; None where it needs them."""
    possible = next((at for at, each in enumerate(items.first) if not each), len(items.first))
    most = items.most
    if possible < len(items.first) or not items.rest:
        most = _least(most, possible)
    if most is not None and most < items.least:
        return None
    return replace(items, first=items.first[:possible], most=most)


def _fields(one: Fields, other: Fields) -> Fields | None:
    if one.names and other.names and one.names != other.names:
        return None
    names = dict.fromkeys((*one.properties, *other.properties))
    return possible(
        Fields(
            {name: common(field(one, name), field(other, name)) for name in names},
            one.required | other.required,
            common(one.others, other.others),
            one.unsaid and other.unsaid,
            one.names or other.names,
            max(one.least, other.least),
            _least(one.most, other.most),
        )
    )


def possible(fields: Fields) -> Fields | None:
    """The object; None where something that it needs fits nothing."""
    return fields if all(fields.properties[name] for name in fields.required) else None


def field(fields: Fields, name: str) -> Shape:
    """The shape of an object's property, listed or not."""
    if name in fields.properties:
        return fields.properties[name]
    return fields.others if fields.names is None or matches(fields.names, name) else ()


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern, in the dialect of Rust's crate `regex`, matches all of a text. Raises ValueError where it is
    none. In linear time, whatever the pattern: that takes a library, which parsers do without."""
    from protos.schemas.validation import whole_match

    return whole_match(pattern, text)


def _fits(shape: Alternative, value: JsonValue) -> bool:
    spend(len(shape.values) if isinstance(shape, Literals) else 1)
    match shape:
        case Literals():
            return any(same(value, each) for each in shape.values)
        case Number():
            return isinstance(value, int | float) and not isinstance(value, bool) and _counts(shape, value)
        case Text():
            return isinstance(value, str) and _reads(shape, value)
        case Items():
            return isinstance(value, list) and _lists(shape, value)
        case Fields():
            return isinstance(value, dict) and _holds(shape, value)


def same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two values are the same in JSON Schema, where 1.0 is 1 and true is not."""
    return json.dumps(_integral(one), sort_keys=True) == json.dumps(_integral(other), sort_keys=True)


def _integral(value: JsonValue) -> JsonValue:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_integral(each) for each in value]
        case dict():
            return {name: _integral(each) for name, each in value.items()}
    return value


def _counts(shape: Number, value: float) -> bool:
    exact = Fraction(str(value)) if math.isfinite(value) else None
    return (
        exact is not None
        and not (shape.integer and exact.denominator != 1)
        and not (shape.low is not None and exact < shape.low)
        and not (shape.high is not None and exact > shape.high)
        and not (shape.step is not None and exact % shape.step)
    )


def _reads(shape: Text, value: str) -> bool:
    return (
        len(value) >= shape.least
        and (shape.most is None or len(value) <= shape.most)
        and all(matches(pattern, value) for pattern in shape.patterns)
    )


def _lists(shape: Items, value: list[JsonValue]) -> bool:
    return (
        len(value) >= shape.least
        and (shape.most is None or len(value) <= shape.most)
        and all(admits(_item(shape, index), each) for index, each in enumerate(value))
    )


def _holds(shape: Fields, value: dict[str, JsonValue]) -> bool:
    return (
        shape.required <= value.keys()
        and len(value) >= shape.least
        and (shape.most is None or len(value) <= shape.most)
        and all(admits(field(shape, name), each) for name, each in value.items())
    )


def _apart(one: Alternative, other: Alternative) -> bool:
    spend()
    if isinstance(other, Literals):
        one, other = other, one
    match one, other:
        case Literals(), _:
            return not any(_fits(other, value) for value in one.values)
        case Number(), Number():
            return _beyond(one, other) or _beyond(other, one)
        case Fields(), Fields():
            return _lacks(one, other) and _lacks(other, one)
    return type(one) is not type(other)


def _beyond(one: Number, other: Number) -> bool:
    return one.high is not None and other.low is not None and one.high < other.low


def _lacks(written: Fields, other: Fields) -> bool:
    """Whether no object that is written as `written` says fits `other`."""
    return any(
        (name not in written.properties and not written.more)
        or (name in written.required and disjoint(field(written, name), field(other, name)))
        for name in other.required
    )


def _least(*counts: int | None) -> int | None:
    given = [count for count in counts if count is not None]
    return min(given, default=None)


def of_kinds(shape: Shape, kinds: frozenset[str]) -> Shape:
    """The part of a shape whose values are of these JSON types."""
    parts = (_of_kinds(each, kinds) for each in shape)
    return tuple(each for each in parts if each is not None)


def _of_kinds(shape: Alternative, kinds: frozenset[str]) -> Alternative | None:
    if isinstance(shape, Literals):
        values = tuple(value for value in shape.values if _is_of(_KINDS[type(value)], kinds))
        return Literals(values) if values else None
    kind = "integer" if isinstance(shape, Number) and shape.integer else _KINDS[type(shape)]
    return shape if _is_of(kind, kinds) else None


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    Number: "number",
    Text: "string",
    Items: "array",
    Fields: "object",
}


def _is_of(kind: str, kinds: frozenset[str]) -> bool:
    return kind in kinds or (kind == "integer" and "number" in kinds)
