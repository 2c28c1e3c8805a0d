"""What of a shape a grammar can write, and a parser reads as it was meant.

Numbers without a bound could be too large for a float or have digits without an end; llguidance takes bounds and
literals for floats; and in a format that writes plain text, what ends a value may not stand inside.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from protos.schemas import shapes
from protos.schemas.reading import step_of
from protos.schemas.shapes import Alternative, Fields, Items, JsonValue, Literals, Number, Shape, Text

MAX_INTEGER = Fraction(10**18)
MAX_NUMBER = Fraction(10**15)
STEP = Fraction(1, 10**10)  # of numbers, where a schema names none
_EXACT = 2**53  # integers up to it are the same as floats
_NO_OPENER = "[^<]*"


class Narrowing:
    """Narrows shapes for one format.

    `avoid`: the texts that end a value. Where there are some, no string may have a `<`, which they begin with but for
    white space, unless the schema lists the string and it has none of these texts.
    """

    def __init__(self, avoid: Sequence[str] = ()) -> None:
        self._avoid = avoid
        self._known: dict[int, tuple[Shape, Shape]] = {}  # by the id of a shape, which is kept so that the id stays its

    def shape(self, shape: Shape) -> Shape:
        """What can be written; shapes that share parts do so still."""
        if id(shape) not in self._known:
            narrowed = (self._alternative(each) for each in shape)
            self._known[id(shape)] = shape, tuple(each for each in narrowed if each is not None)
        return self._known[id(shape)][1]

    def _alternative(self, shape: Alternative) -> Alternative | None:
        match shape:
            case Literals():
                values = tuple(value for value in shape.values if self._is_writable(value))
                return Literals(values) if values else None
            case Number():
                return narrow_number(shape)
            case Text():
                return replace(shape, patterns=(*shape.patterns, _NO_OPENER)) if self._avoid else shape
            case Items():
                return shapes.cut(
                    replace(shape, first=tuple(map(self.shape, shape.first)), rest=self.shape(shape.rest))
                )
            case Fields():
                return self._fields(shape)

    def _fields(self, shape: Fields) -> Fields | None:
        properties = {
            name: self.shape(each) if self._is_writable(name) else () for name, each in shape.properties.items()
        }
        more = self.shape(shape.more)
        if self._avoid and (shape.names is not None or shape.properties):  # one pattern is all that names can have, and
            more = ()  # it would be asked of listed ones too
        least = shape.least if shape.least > len(shape.required) else 0
        if least and not more:
            return None
        names = _NO_OPENER if self._avoid and more else shape.names
        return shapes.possible(
            replace(shape, properties=properties, others=more, unsaid=False, names=names, least=least)
        )

    def _is_writable(self, value: JsonValue) -> bool:
        match value:
            case str():
                return all(map(_is_plain, value)) and not any(text in value for text in self._avoid)
            case list():
                return all(map(self._is_writable, value))
            case dict():
                return all(self._is_writable(name) and self._is_writable(each) for name, each in value.items())
            case int():
                return abs(value) <= _EXACT
            case float():
                return abs(value) <= _EXACT
        return True


def _is_plain(char: str) -> bool:
    return char in "\n\r\t" or (char >= " " and char != "\x7f" and not "\ud800" <= char <= "\udfff")


def narrow_number(shape: Number) -> Number | None:
    """The number with bounds that are floats, and a step; None where there is none."""
    most = MAX_INTEGER if shape.integer else MAX_NUMBER
    step = shape.step or (Fraction(1) if shape.integer else STEP)
    step = Fraction(step.numerator) if shape.integer else step
    if shape.step is not None:
        step = step_of(float(step))  # several can have come to one that is too long
    low = max(-most, -most if shape.low is None else shape.low)
    high = min(most, most if shape.high is None else shape.high)
    low = _inward(math.ceil(low / step) * step, math.inf)
    high = _inward(math.floor(high / step) * step, -math.inf)
    return Number(low, high, step, shape.integer) if low <= high else None


def _inward(bound: Fraction, direction: float) -> Fraction:
    """The bound, moved to the next float inside where it is none."""
    nearest = float(bound)
    outside = Fraction(nearest) < bound if direction > 0 else Fraction(nearest) > bound
    return Fraction(math.nextafter(nearest, direction) if outside else nearest)
