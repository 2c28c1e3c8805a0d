"""Arithmetic on what a model writes: numbers, operators, a few functions. Nothing else can be said in it.

An expression is parsed by Python's own parser and only the node types named here are evaluated; there are no strings,
attributes, comparisons or bools. Every operation whose result could be long is measured before it is done, and the bits
that all operations together go through are counted, so that each expression is answered or refused within milliseconds.
"""

import ast
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from tool_service.execution.render import shortened

Number = int | float

SHOWN_CHARS = 40
MAX_CHARS = 1000
MAX_NESTING = 50
MAX_DIGITS = 10_000
MAX_FACTORIAL = 3_000
MAX_TOTAL_BITS = 500_000  # of the operands and results of one expression; the slowest one then takes about 5 ms

_TOO_LARGE = 10**MAX_DIGITS
_MAX_BITS = _TOO_LARGE.bit_length()
_TEXT_DIGITS = 4_000  # Python refuses to write longer integers in one piece

_NOT_ARITHMETIC = "Only numbers, + - * / // % **, parentheses and functions such as sqrt(2) can be used"
_QUOTES = re.compile(r"[\"'\\`]")
_NUMBER_THEN_WORD = re.compile(r"\b\d[\w.]*(?:and|else|for|if|in|is|or|not)\b")


class CannotEvaluate(Exception):
    """There is no result; the text says why, in a sentence for the model."""


def evaluate(expression: str) -> Number:
    """The value of an expression such as `2 * (sqrt(9) + 1)`, by Python's rules. Raises `CannotEvaluate`.

    Numbers, `+ - * / // % **`, parentheses, the constants pi, e and tau, and the functions of `FUNCTIONS`. A result
    is a finite float or an integer of at most 10,000 digits (`as_text` writes these).
    """
    tree = _parsed(" ".join(expression.split()))
    try:
        return _Evaluation().value(tree, MAX_NESTING)
    except ZeroDivisionError:
        raise CannotEvaluate("The expression divides by zero.") from None
    except OverflowError:
        raise CannotEvaluate("A number in the expression becomes too large.") from None


def as_text(value: Number) -> str:
    """The value in decimal digits. `str` refuses integers of more than 4,300 digits."""
    if isinstance(value, float) or abs(value) < 10**_TEXT_DIGITS:
        return str(value)
    rest, digits = divmod(abs(value), 10**_TEXT_DIGITS)
    sign = "-" if value < 0 else ""
    return f"{sign}{as_text(rest)}{digits:0{_TEXT_DIGITS}d}"


def _parsed(expression: str) -> ast.expr:
    if not expression:
        raise CannotEvaluate("The expression is empty.")
    if len(expression) > MAX_CHARS:
        raise CannotEvaluate(f"The expression is longer than {MAX_CHARS} characters.")
    if _QUOTES.search(expression) or _NUMBER_THEN_WORD.search(expression):  # the parser would warn of some of these
        raise CannotEvaluate(f"{_NOT_ARITHMETIC}.")
    try:
        return ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise CannotEvaluate(f"The expression cannot be read: {error.msg}.") from None
    except (ValueError, MemoryError, RecursionError):
        raise CannotEvaluate("The expression cannot be read.") from None


class _Evaluation:
    """One expression, and the bits that it may still go through."""

    def __init__(self) -> None:
        self._bits_left = MAX_TOTAL_BITS

    def value(self, node: ast.expr, depth: int) -> Number:
        """The value of a node that may be nested `depth` deep."""
        if depth <= 0:
            raise CannotEvaluate(f"The expression is nested more than {MAX_NESTING} deep.")
        match node:
            case ast.Constant(value=number):
                return _constant(number)
            case ast.Name(id=name):
                return _named(name)
            case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
                value = self.value(operand, depth - 1)
                return -value if isinstance(sign, ast.USub) else value
            case ast.BinOp():
                return self._chain(node, depth)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, [self.value(argument, depth - 1) for argument in arguments])
        raise CannotEvaluate(f"{_NOT_ARITHMETIC}.")

    def _chain(self, node: ast.BinOp, depth: int) -> Number:
        """`a + b - c + …`, which is nested to the left but is not deep to a reader."""
        steps = []
        first: ast.expr = node
        while isinstance(first, ast.BinOp):
            steps.append((first.op, first.right))
            first = first.left
        value = self.value(first, depth - 1)
        for sign, right in reversed(steps):
            value = self._computed(_operation(sign), [value, self.value(right, depth - 1)])
        return value

    def _call(self, name: str, arguments: list[Number]) -> Number:
        function = FUNCTIONS.get(name)
        if function is None:
            raise CannotEvaluate(
                f"There is no function {shortened(name, SHOWN_CHARS)}; there are {', '.join(FUNCTIONS)}."
            )
        if not function.fewest <= len(arguments) <= function.most:
            raise CannotEvaluate(f"{name} takes {function.arity}, not {len(arguments)}.")
        try:
            return self._computed(function.compute, arguments)
        except ValueError:
            raise CannotEvaluate(f"{name} has no value for {', '.join(map(_shown_number, arguments))}.") from None
        except TypeError:
            raise CannotEvaluate(f"{name} needs whole numbers.") from None

    def _computed(self, operation: Callable[..., Number], operands: list[Number]) -> Number:
        for operand in operands:
            self._count(operand)
        value = _checked(operation(*operands))
        self._count(value)
        return value

    def _count(self, number: Number) -> None:
        self._bits_left -= number.bit_length() if isinstance(number, int) else 64
        if self._bits_left < 0:
            raise CannotEvaluate("The expression goes through too many long numbers.")


def _operation(sign: ast.operator) -> Callable[[Number, Number], Number]:
    if isinstance(sign, ast.BitXor):
        raise CannotEvaluate("^ is not a power here; write 2 ** 3 for the third power of 2.")
    operation = OPERATORS.get(type(sign))
    if operation is None:
        raise CannotEvaluate(f"{_NOT_ARITHMETIC}.")
    return operation


def _constant(value: object) -> Number:
    if isinstance(value, bool):
        raise CannotEvaluate(f"{value} is not a number.")
    if isinstance(value, (int, float)):
        return _checked(value)
    if isinstance(value, complex):
        raise CannotEvaluate("Only real numbers can be used.")
    raise CannotEvaluate(f"{_NOT_ARITHMETIC}.")


def _named(name: str) -> Number:
    if name in CONSTANTS:
        return CONSTANTS[name]
    if name in FUNCTIONS:
        raise CannotEvaluate(f"{name} is a function; write {name}(…).")
    raise CannotEvaluate(f"There is no {shortened(name, SHOWN_CHARS)} here; the constants are {', '.join(CONSTANTS)}.")


def _checked(value: Number) -> Number:
    """The value if it may go on; measured here so that no intermediate result is too long either."""
    if isinstance(value, int):
        if abs(value) >= _TOO_LARGE:
            raise CannotEvaluate(f"A number in the expression has more than {MAX_DIGITS} digits.")
    elif not math.isfinite(value):
        raise OverflowError
    return value


def _power(base: Number, exponent: Number) -> Number:
    bits = base.bit_length() if isinstance(base, int) and isinstance(exponent, int) else 1
    if (bits - 1) * exponent > _MAX_BITS:
        raise CannotEvaluate(f"A power in the expression has more than {MAX_DIGITS} digits.")
    value = base**exponent
    if isinstance(value, complex):
        raise CannotEvaluate("A fractional power of a negative number is not a real number.")
    result: Number = value
    return result


def _factorial(number: Number) -> int:
    if isinstance(number, float) or number < 0:
        raise CannotEvaluate("factorial needs a whole number that is not negative.")
    if number > MAX_FACTORIAL:
        raise CannotEvaluate(f"factorial goes up to {MAX_FACTORIAL}.")
    return math.factorial(number)


def _round(number: Number, digits: Number = 0, *given: Number) -> Number:
    if isinstance(digits, float):
        raise TypeError
    if abs(digits) > MAX_DIGITS:
        raise ValueError
    return round(number, digits) if given or digits else round(number)


def _gcd(*numbers: Number) -> int:
    whole = [number for number in numbers if isinstance(number, int)]
    if len(whole) < len(numbers):
        raise TypeError
    return math.gcd(*whole)


def _shown_number(number: Number) -> str:
    return shortened(as_text(number), SHOWN_CHARS)


@dataclass(frozen=True, slots=True)
class Function:
    """A function with the number of arguments that it takes."""

    compute: Callable[..., Number]
    fewest: int = 1
    most: int = 1

    @property
    def arity(self) -> str:
        """The number of arguments in words."""
        if self.most > MAX_CHARS - 1:
            return f"at least {self.fewest} numbers"
        count = str(self.fewest) if self.fewest == self.most else f"{self.fewest} or {self.most}"
        return f"{count} number{'s' if self.most > 1 else ''}"


CONSTANTS: dict[str, float] = {"pi": math.pi, "e": math.e, "tau": math.tau}

OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}

FUNCTIONS: dict[str, Function] = {
    "sqrt": Function(math.sqrt),
    "sin": Function(math.sin),
    "cos": Function(math.cos),
    "tan": Function(math.tan),
    "asin": Function(math.asin),
    "acos": Function(math.acos),
    "atan": Function(math.atan),
    "atan2": Function(math.atan2, 2, 2),
    "log": Function(math.log, 1, 2),
    "log10": Function(math.log10),
    "log2": Function(math.log2),
    "exp": Function(math.exp),
    "abs": Function(abs),
    "round": Function(_round, 1, 2),
    "floor": Function(math.floor),
    "ceil": Function(math.ceil),
    "min": Function(lambda *numbers: min(numbers), 1, MAX_CHARS),
    "max": Function(lambda *numbers: max(numbers), 1, MAX_CHARS),
    "factorial": Function(_factorial),
    "gcd": Function(_gcd, 1, MAX_CHARS),
}
