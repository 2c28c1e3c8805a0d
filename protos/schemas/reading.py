"""Reads a JSON schema (2020-12, or an older draft) into a shape.

What a grammar cannot enforce is refused. A schema without a type has the one that its other keywords are for.
Annotations say nothing, and nor do `format` names that nobody knows.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any
from urllib.parse import unquote

from protos.schemas import shapes
from protos.schemas.patterns import whole_pattern
from protos.schemas.shapes import (
    BOOLEAN,
    NULL,
    Alternative,
    Fields,
    Items,
    JsonValue,
    Literals,
    Number,
    Shape,
    Text,
    TooComplexError,
    bounded,
    common,
    field,
)
from protos.schemas.string_formats import PATTERNS

MAX_COMPARISONS = 50_000  # some tenths of a second
PATTERN_COMPARISONS = 250  # that compiling a pattern is worth
RECURSIONS = 5  # a reference inside what it refers to
MAX_CHOICES = 200  # of one value, with all combinations of what conjunctions choose from
MAX_STEP = 10_000  # as an integer of its digits
MAX_SETS = 64  # ways to choose different ones of a few values

_OF_TYPE = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "array": {"items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"},
    "object": {
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "unevaluatedProperties",
    },
}
_REFUSED = (
    "not",
    "if",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
)


class UnenforceableError(ValueError):
    """No grammar for such values can be made; the message says of what, and which keyword is in the way.

    `tool`: whose arguments they are; empty for an answer.
    """

    def __init__(self, problem: str, keyword: str = "") -> None:
        super().__init__(problem, keyword)
        self.problem = problem
        self.keyword = keyword
        self.tool = ""
        self.path: list[str] = []  # to the part with the keyword, from the arguments or the answer on

    def __str__(self) -> str:
        part = f"{'argument' if self.tool else 'property'} {'.'.join(self.path)!r}" if self.path else ""
        whose = f"tool {self.tool!r}" if self.tool else ""
        where = ", ".join(filter(None, [whose, part]))
        return ": ".join(filter(None, [where, self.keyword, self.problem]))


@contextmanager
def bounded_work() -> Iterator[None]:
    """Inside this block schemas are read and narrowed in some tenths of a second, or UnenforceableError is raised."""
    try:
        with bounded(MAX_COMPARISONS):
            yield
    except (OverflowError, RecursionError, TooComplexError):
        raise UnenforceableError("its numbers are too large for a grammar, or its parts too many") from None


def read_schema(schema: Mapping[str, Any]) -> Shape:
    """The values that a schema allows. Raises UnenforceableError."""
    return _Reader(schema).whole(schema, 0)


class _Reader:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[tuple[str, int], Shape] = {}
        self._circles: dict[str, bool] = {}
        self._inside: dict[str, set[str]] = {}  # the references in what one refers to

    def whole(self, schema: Any, depth: int, name: str = "") -> Shape:
        """The values of a schema that nothing is added to: that of a property `name`, or of a part of it."""
        try:
            return _few(_counted(self.shape(schema, depth)))
        except UnenforceableError as error:
            error.path[:0] = [name] if name else []
            raise

    def shape(self, schema: Any, depth: int) -> Shape:
        """`depth`: how many references to what is around them lead here."""
        if not isinstance(schema, Mapping):
            return () if schema is False else shapes.anything()
        for keyword in _REFUSED:
            if keyword in schema and (schema[keyword] or not keyword.startswith("depend")):
                raise UnenforceableError("no grammar can enforce this keyword", keyword)
        shape = self._typed(schema, depth)
        if "$ref" in schema:
            shape = _few(common(self._referred(schema["$ref"], depth), shape))
        for each in schema.get("allOf", ()):
            shape = _few(common(shape, self.shape(each, depth)))
        if "anyOf" in schema:
            choices = tuple(itertools.chain(*(self.shape(each, depth) for each in schema["anyOf"])))
            shape = _few(common(shape, choices))
        if "oneOf" in schema:
            shape = self._one_of([common(shape, self.shape(each, depth)) for each in schema["oneOf"]])
        for values in ([schema["const"]] if "const" in schema else None, schema.get("enum")):
            shape = shape if values is None else common((Literals(tuple(values)),), shape)
        # What it is made of lists properties too, so that this is said only at the end.
        return _closed(shape) if schema.get("unevaluatedProperties") is False else shape

    def _one_of(self, choices: list[Shape]) -> Shape:
        for one, other in itertools.combinations(choices, 2):
            if not shapes.disjoint(one, other):
                raise UnenforceableError(
                    "a value may fit several of its choices; write anyOf, or tell them apart", "oneOf"
                )
        needed = {name for each in itertools.chain(*choices) if isinstance(each, Fields) for name in each.required}
        return tuple(_without(each, needed) for each in itertools.chain(*choices))

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Shape:
        named = schema.get("type")
        types = [named] if isinstance(named, str) else list(named or ())
        types = types or [name for name, keywords in _OF_TYPE.items() if keywords & schema.keys()]
        if not types:
            return shapes.anything()
        if "number" in types:
            types = [name for name in types if name != "integer"]
        read: dict[str, Callable[[], Shape]] = {
            "null": lambda: (NULL,),
            "boolean": lambda: (BOOLEAN,),
            "integer": lambda: (_number(schema, integer=True),),
            "number": lambda: (_number(schema, integer=False),),
            "string": lambda: _text(schema),
            "array": lambda: self._items(schema, depth),
            "object": lambda: self._fields(schema, depth),
        }
        return tuple(itertools.chain(*(read[name]() for name in types if name in read)))

    def _referred(self, reference: Any, depth: int) -> Shape:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise UnenforceableError(f"{str(reference)[:100]!r} leads out of the schema", "$ref")
        if not reference.startswith("#/") and reference != "#":
            raise UnenforceableError(f"{reference[:100]!r} is an anchor; write its place, as '#/$defs/name'", "$ref")
        if self._is_circle(reference):
            depth += 1
        if depth > RECURSIONS:
            return ()
        if (reference, depth) not in self._known:
            self._known[reference, depth] = self.shape(self._target(reference), depth)
        return self._known[reference, depth]

    def _target(self, reference: str) -> Any:
        target: Any = self._root
        for part in reference.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and key.isdecimal() and int(key[:9]) < len(target):
                target = target[int(key)]
            elif isinstance(target, Mapping) and key in target:
                target = target[key]
            else:
                raise UnenforceableError(f"{reference[:100]!r} leads nowhere", "$ref")
        return target

    def _is_circle(self, reference: str) -> bool:
        """Whether a reference leads to what holds it again."""
        if reference not in self._circles:
            seen: set[str] = set()
            ahead = self._references_in(reference)
            while ahead:
                seen |= ahead
                ahead = set().union(*(self._references_in(each) for each in ahead if each.startswith("#"))) - seen
            self._circles[reference] = reference in seen or "#" in seen
        return self._circles[reference]

    def _references_in(self, reference: str) -> set[str]:
        if reference not in self._inside:
            self._inside[reference] = set(_references(self._target(reference)))
        return self._inside[reference]

    def _items(self, schema: Mapping[str, Any], depth: int) -> Shape:
        listed = schema.get("prefixItems", schema.get("items"))
        first = listed if isinstance(listed, list) else []
        rest = schema.get("additionalItems" if listed is schema.get("items") and first else "items", True)
        items = Items(
            tuple(self.whole(each, depth) for each in first),
            self.whole(rest, depth),
            _count(schema, "minItems") or 0,
            _count(schema, "maxItems"),
        )
        possible = shapes.cut(items)
        if possible is None:
            return ()
        unique = schema.get("uniqueItems") is True and (possible.most is None or possible.most > 1)
        return (_sets(possible),) if unique else (possible,)

    def _fields(self, schema: Mapping[str, Any], depth: int) -> Shape:
        said = schema.get("additionalProperties", schema.get("unevaluatedProperties") or True)
        others = self.whole(said, depth)
        names = None
        patterns = schema.get("patternProperties") or {}
        if len(patterns) > 1:
            raise UnenforceableError("a grammar can follow one pattern, not several", "patternProperties")
        properties = {name: self.whole(each, depth, name) for name, each in schema.get("properties", {}).items()}
        for pattern, each in patterns.items():
            names, others = _translated("patternProperties", pattern), self.whole(each, depth)
            properties = {
                name: common(shape, others) if shapes.matches(names, name) else shape
                for name, shape in properties.items()
            }
        fields = Fields(
            properties,
            frozenset(),
            others,
            unsaid=said is True and not patterns,
            names=names,
            least=_count(schema, "minProperties") or 0,
            most=_count(schema, "maxProperties"),
        )
        if "propertyNames" in schema:
            fields = self._named(fields, schema["propertyNames"], depth)
        missing = [name for name in schema.get("required", ()) if name not in fields.properties]
        listed = {**fields.properties, **{name: field(fields, name) for name in missing}}
        possible = shapes.possible(replace(fields, properties=listed, required=frozenset(schema.get("required", ()))))
        return () if possible is None else (possible,)

    def _named(self, fields: Fields, schema: Any, depth: int) -> Fields:
        """The object with the names that `propertyNames` allows."""
        shape = common((Text(),), self.shape(schema, depth)) if schema is not True else (Text(),)
        properties = {name: each if shapes.admits(shape, name) else () for name, each in fields.properties.items()}
        match shape:
            case ():
                return replace(fields, properties=properties, others=())
            case (Literals(values),):
                named = {str(name): field(fields, str(name)) for name in values}
                return replace(fields, properties=named | properties, others=(), unsaid=False)
            case (Text(0, None, ()),):
                return fields
            case (Text(0, None, (pattern,)),) if fields.names is None:
                others = () if properties else fields.others  # the pattern would be asked of listed ones too
                return replace(fields, properties=properties, others=others, names=pattern, unsaid=False)
        raise UnenforceableError("a grammar can follow one pattern or a choice, nothing else", "propertyNames")


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from _references(each)
    elif isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for each in schema.values():
            yield from _references(each)


def _without(choice: Alternative, names: Set[str]) -> Alternative:
    """A choice in which those of these names stay unwritten that it does not list: by them it is told from others,
    whatever else is asked of it."""
    if not isinstance(choice, Fields) or choice.more:
        return choice
    return replace(choice, properties={**dict.fromkeys(names - choice.properties.keys(), ()), **choice.properties})


def _count(schema: Mapping[str, Any], keyword: str) -> int | None:
    """A whole number, which may be written as 1.0."""
    return int(schema[keyword]) if keyword in schema else None


def _few(shape: Shape) -> Shape:
    if len(shape) > MAX_CHOICES:
        raise UnenforceableError(f"it comes to more than {MAX_CHOICES} combinations", "anyOf")
    return shape


def _number(schema: Mapping[str, Any], *, integer: bool) -> Number:
    lows: list[Fraction] = []
    highs: list[Fraction] = []
    for bounds, key, exclusive, direction in (
        (lows, "minimum", "exclusiveMinimum", math.inf),
        (highs, "maximum", "exclusiveMaximum", -math.inf),
    ):
        beyond = schema.get(exclusive)  # in draft 4 a boolean, which makes the other one exclusive
        if key in schema:
            bounds.append(_inside(schema[key], direction, integer) if beyond is True else _exact(schema[key]))
        if beyond is not None and not isinstance(beyond, bool):
            bounds.append(_inside(beyond, direction, integer))
    step = step_of(schema["multipleOf"]) if "multipleOf" in schema else None
    return Number(max(lows, default=None), min(highs, default=None), step, integer)


def _exact(number: float) -> Fraction:
    return Fraction(str(number))


def step_of(number: float) -> Fraction:
    """What numbers are multiples of. llguidance has a state for each remainder, and finds the digits by steps of 10.

    Raises UnenforceableError where there are too many.
    """
    exact, digits = _exact(number), float(number)
    while not digits.is_integer() and digits < MAX_STEP:
        digits *= 10
    if digits > MAX_STEP or exact != Fraction(digits) / 10 ** round(math.log10(Fraction(digits) / exact)):
        raise UnenforceableError(f"a grammar cannot follow {number}", "multipleOf")
    return exact


def _inside(bound: float, direction: float, integer: bool) -> Fraction:
    """The first number inside an exclusive bound: what lies nearer is the bound itself once it is a float."""
    if integer:
        exact = _exact(bound)
        return Fraction(math.floor(exact) + 1 if direction > 0 else math.ceil(exact) - 1)
    return Fraction(math.nextafter(bound, direction))


def _text(schema: Mapping[str, Any]) -> Shape:
    patterns = [_translated("pattern", schema["pattern"])] if "pattern" in schema else []
    if schema.get("format") in PATTERNS:
        patterns.append(PATTERNS[schema["format"]])
    least, most = _count(schema, "minLength") or 0, _count(schema, "maxLength")
    return () if most is not None and most < least else (Text(least, most, tuple(patterns)),)


def _closed(shape: Shape) -> Shape:
    """Without what no schema speaks of."""
    closed = (replace(each, others=()) if isinstance(each, Fields) and each.unsaid else each for each in shape)
    return tuple(closed)


def _translated(keyword: str, pattern: str) -> str:
    shapes.spend(PATTERN_COMPARISONS)
    try:
        whole = whole_pattern(pattern)
        shapes.matches(whole, "")
    except ValueError as error:
        problem = str(error).partition("\n")[0]
        raise UnenforceableError(f"{pattern[:100]!r} cannot be followed: {problem}, or too large", keyword) from None
    return whole


def _sets(items: Items) -> Literals:
    """Arrays of different values, where there are few: each choice of them, in one order."""
    values: list[JsonValue] = []
    for shape in items.rest:
        listed = shape.values if isinstance(shape, Literals) else ()
        values += [each for at, each in enumerate(listed) if each not in (*values, *listed[:at])]  # 1 and 1.0 are one
    few = len(values) <= math.log2(MAX_SETS) and all(isinstance(shape, Literals) for shape in items.rest)
    if items.first or not few:
        raise UnenforceableError(
            "no grammar can keep the items of a list different, unless they are few", "uniqueItems"
        )
    most = len(values) if items.most is None else min(items.most, len(values))
    chosen = itertools.chain(*(itertools.combinations(values, count) for count in range(items.least, most + 1)))
    return Literals(tuple(list(each) for each in chosen))


def _counted(shape: Shape) -> Shape:
    """The shape, its objects with as many properties as they must have; the same one where that changes nothing."""
    if not any(isinstance(each, Fields) and (each.least or each.most is not None) for each in shape):
        return shape
    return tuple(itertools.chain(*(_with_count(each) if isinstance(each, Fields) else (each,) for each in shape)))


def _with_count(fields: Fields) -> Shape:
    optional = [name for name, shape in fields.properties.items() if shape and name not in fields.required]
    least, most = fields.least - len(fields.required), fields.most
    if most is not None and most <= len(fields.required):
        listed = {name: shape for name, shape in fields.properties.items() if name in fields.required}
        return (replace(fields, properties=listed, others=(), least=0),) if most == len(listed) >= fields.least else ()
    if most is not None and optional and (fields.more or most < len(fields.required) + len(optional)):
        raise UnenforceableError("a grammar can follow it where all listed properties are required", "maxProperties")
    if least == 1 and optional and not fields.more:
        return tuple(replace(fields, required=fields.required | {name}, least=0) for name in optional)
    if least > len(optional) and not fields.more:
        return ()
    if least > 0 and (least > 1 or optional):
        raise UnenforceableError("a grammar can ask for one property more than the required ones", "minProperties")
    return (fields,)
