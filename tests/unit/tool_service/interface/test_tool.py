"""`@tool`: schema and refusals."""

import enum
from typing import Literal

import pytest

from tool_service.interface import Arg, Call, Effect, Session, Stream, tool
from tool_service.interface.schema import InvalidArgumentError, InvalidToolError
from tool_service.interface.tool import Tool


class Currency(enum.Enum):
    EUR = "EUR"
    USD = "USD"


@tool(effect=Effect.READ, timeout=3)
async def convert(
    amount: Arg[float],
    session: Session,
    call: Call,
    to: Arg[Currency] = Currency.EUR,  # type: ignore[assignment]
    how: Arg[Literal["exact", "rounded"] | None] = None,  # type: ignore[assignment]
) -> str:
    """Convert an amount.

    Today's rate.

    Args:
        amount: How much.
        to: Into what.
    """
    return ""


def test_the_schema_comes_from_signature_and_docstring() -> None:
    schema = convert.signature.json_schema
    assert convert.name == "convert"
    assert convert.description == "Convert an amount.\nToday's rate."
    assert schema["required"] == ["amount"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["amount"] == {"type": "number", "description": "How much."}
    assert schema["properties"]["to"]["default"] == "EUR"
    assert set(schema["properties"]) == {"amount", "to", "how"}


@pytest.mark.parametrize(("name", "value"), [("amount", "3"), ("amount", True), ("to", "GBP"), ("how", "about")])
def test_values_are_checked_strictly_by_jsons_types(name: str, value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=name):
        convert.signature.parameters[name].validate(value)


def test_valid_values_become_the_parameters_type() -> None:
    assert convert.signature.parameters["to"].validate("USD") is Currency.USD
    assert convert.signature.parameters["amount"].validate(3) == 3.0


def test_a_tool_starts_early_when_it_can_wait_for_all_of_its_inputs() -> None:
    @tool
    async def mixed(a: Arg[str], b: str) -> str:
        """Mixed."""
        return b

    assert convert.starts_early
    assert not mixed.starts_early


def no_docstring(a: str) -> str:
    return a


def no_annotation(a) -> str:  # type: ignore[no-untyped-def]
    """Text."""
    return str(a)


def variadic(*a: str) -> str:
    """Text."""
    return "".join(a)


def waits(a: Arg[str]) -> str:
    """Text."""
    return ""


async def streams_numbers(a: Stream[int]) -> str:  # type: ignore[type-var]
    """Text."""
    return ""


def generates() -> object:
    """Text."""
    yield 1


@pytest.mark.parametrize("function", [no_docstring, no_annotation, variadic, waits, streams_numbers, generates])
def test_what_cannot_be_a_tool_is_refused_by_name(function: object) -> None:
    with pytest.raises(InvalidToolError, match=function.__name__):  # type: ignore[attr-defined]
        tool(function)  # type: ignore[call-overload]


def test_options_are_checked() -> None:
    for wrong in ({"timeout": 0}, {"concurrency": 0}, {"name": "no spaces"}):
        with pytest.raises(InvalidToolError):
            tool(**wrong)(no_docstring)  # type: ignore[call-overload]
    assert isinstance(convert, Tool)
