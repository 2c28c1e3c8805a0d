"""Tools whose JSON schema is given: what is taken, what is refused, and how arguments are checked."""

import contextlib
import gc
import json
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tool_service.completions import Log, end, outcome, start, written
from tool_service.execution import events as ev
from tool_service.interface import Call, Effect, Tool
from tool_service.interface.given_schema import tool_from_schema
from tool_service.interface.schema import InvalidArgumentError, InvalidToolError

MOST_SECONDS = 0.1  # of this thread, to read a schema or to check an argument


@contextlib.contextmanager
def soon() -> Iterator[None]:
    """Takes no longer than that, the collector of garbage aside: it may have all that other tests have left to do."""
    gc.disable()
    began = time.thread_time()
    try:
        yield
        assert time.thread_time() - began < MOST_SECONDS
    finally:
        gc.enable()


async def show(arguments: dict[str, Any], call: Call) -> AsyncGenerator[str, None]:
    yield json.dumps(arguments)


def tool(schema: dict[str, Any], name: str = "show") -> Tool:
    return tool_from_schema(show, name=name, description="Show.", schema=schema, effect=Effect.WRITE)


def objects(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def check(schema: dict[str, Any], **arguments: Any) -> str:
    """The first problem, or nothing."""
    parameters = tool(schema).signature.parameters
    try:
        for name, value in arguments.items():
            parameters[name].validate(value)
    except InvalidArgumentError as error:
        return str(error)
    return ""


async def shown(schema: dict[str, Any], **arguments: object) -> str | ev.Failure:
    return await outcome(tool(schema), [written("show", **arguments)])


async def test_the_function_gets_what_the_model_gave_and_nothing_else() -> None:
    schema = objects(a={"type": "integer"}, b={"type": "string", "default": "x"}) | {"required": ["a"]}
    assert await shown(schema, a=1) == '{"a": 1}'
    assert await shown(schema, a=1, b="y") == '{"a": 1, "b": "y"}'
    assert await shown(schema, b="y") == ev.Failure("INVALID_ARGUMENTS", "argument 'a' is missing.")
    assert tool(schema).signature.json_schema == schema


async def test_a_wrong_argument_fails_the_call_before_the_rest_is_written() -> None:
    log = Log()
    runner = start(log, tool(objects(a={"type": "integer"}, b={"type": "string"})))
    runner.text('<tool_call>{"name": "show", "arguments": {"a": "one", "b": "')
    assert ev.TurnVetoed("call_1", 'argument \'a\': "one" is not of type "integer".') in log.events
    await end(runner, "veto")
    await runner.aclose()


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        ({"type": "integer"}, True, "argument 'x': true is not of type \"integer\""),
        ({"enum": ["a", "b"]}, "c", "argument 'x': \"c\" is not one of "),
        ({"items": {"type": "string"}}, ["a", 1], "argument 'x'[1]: 1 is not of type \"string\""),
        ({"$ref": "#/$defs/place"}, {"town": 1}, "argument 'x'['town']: 1 is not of type \"string\""),
        ({"allOf": [{"$ref": "#/$defs/place"}], "title": "X"}, {}, "argument 'x': \"town\" is a required property"),
        ({"$ref": "#/$defs/place", "maxProperties": 1}, {"town": "x", "y": 1}, "argument 'x': "),
        ({"$ref": "#/$defs/tree"}, {"children": [{"children": 1}]}, "argument 'x'['children'][0]['children']: "),
        ({"type": "string", "pattern": "^a+$"}, "b", "argument 'x': \"b\" does not match"),
        (False, 1, "argument 'x': "),
        (True, 1, ""),
        ({"type": "string", "format": "date"}, "no date", ""),
        ({"$ref": "#/properties/y"}, "no number", "argument 'x': "),
    ],
)
def test_each_argument_is_checked_against_its_own_schema(schema: Any, value: Any, problem: str) -> None:
    place = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}
    document = objects(x=schema, y={"type": "number"}) | {"$defs": {"place": place, "tree": tree}}
    found = check(document, x=value)
    assert found.startswith(problem) and bool(found) == bool(problem)


def test_older_drafts_mean_what_they_meant() -> None:
    tuples = objects(x={"type": "array", "items": [{"type": "string"}]})
    assert check(tuples | {"$schema": "http://json-schema.org/draft-07/schema#"}, x=[1]).startswith("argument 'x'[0]")
    assert check(objects(x={"type": "integer"}) | {"$schema": "https://evil.example/"}, x="1")


def test_a_root_that_is_a_reference_is_followed() -> None:
    named = {"$ref": "#/definitions/A", "definitions": {"A": objects(a={"type": "integer"}) | {"required": ["a"]}}}
    assert list(tool(named).signature.parameters) == ["a"]
    assert tool(named).signature.json_schema["properties"] == {"a": {"type": "integer"}}


@pytest.mark.parametrize("more", [{"additionalProperties": True}, {"anyOf": [{"properties": {"z": {}}}]}])
async def test_where_there_is_more_than_the_properties_it_is_let_through(more: dict[str, Any]) -> None:
    assert await shown(objects(a={}) | more, z=1) == '{"z": 1}'


async def test_other_arguments_are_checked_too() -> None:
    schema = objects() | {"additionalProperties": {"type": "integer"}}
    assert await shown(schema, z=1) == '{"z": 1}'
    failed = await shown(schema, z="1")
    assert failed == ev.Failure("INVALID_ARGUMENTS", 'argument \'z\': "1" is not of type "integer".')


def doubling(width: int) -> dict[str, Any]:
    levels = {str(level): {"allOf": [{"$ref": f"#/$defs/{level - 1}"}] * width} for level in range(1, 30)}
    return objects(x={"$ref": "#/$defs/29"}) | {"$defs": {"0": {}, **levels}}


REFUSED: list[tuple[Any, str]] = [
    ([], "the schema is not an object"),
    ({"type": "array"}, "the schema is one of type 'array'; arguments are an object"),
    ({"type": "object", "properties": []}, "malformed schema"),
    ({"type": "object", "required": "a"}, "malformed schema"),
    (objects(x={"type": "text"}), "malformed schema"),
    (objects(x={"enum": "a"}), "malformed schema"),
    (objects(x={"minLength": -1}), "malformed schema"),
    (objects(x=[]), "malformed schema"),
    (objects(x={"pattern": "("}), "malformed schema"),
    (objects(x={"pattern": "((a{1,1000}){1,1000}){1,1000}"}), "malformed schema"),
    (objects(x={"patternProperties": {"(?=a)b": {}}}), "malformed schema"),
    (objects(x={"$ref": "https://example.org/x"}), "leads out of the schema"),
    (objects(x={"$ref": "file:///etc/passwd"}), "leads out of the schema"),
    (objects(x={"$ref": "#anchor"}), "leads out of the schema"),
    (objects(x={"$ref": "#/$defs/none"}), "leads nowhere"),
    (objects(x={"$ref": "#/zzz"}) | {"zzz": 1}, "stands where a schema should"),
    ({"$ref": "#/zzz", "zzz": {"properties": []}}, "malformed schema"),
    ({"$ref": "#"}, "leads to no schema of an object"),
    (objects(x={"$dynamicRef": "#x"}), "which is not supported"),
    (objects(**{f"p{number}": {"allOf": [{}] * 40} for number in range(120)}), "more than 4096 parts"),
    (objects(x={"enum": ["y" * 40_000]}), "at most 32768 are allowed"),
    (objects(x={"default": json.loads("[" * 40 + "]" * 40)}), "nested more than 32 deep"),
    (objects(**{f"p{number}": {} for number in range(300)}), "at most 256 are allowed"),
    (objects(**{"a b": {}}), "is no name for a parameter"),
    (objects(**{"/call": {}}), "is no name for a parameter"),
    (objects(**{"a\n": {}}), "is no name for a parameter"),
]


@pytest.mark.parametrize(("schema", "problem"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_what_would_be_trouble_later_is_refused_when_it_is_read(schema: Any, problem: str) -> None:
    with soon(), pytest.raises(InvalidToolError) as refused:
        tool(schema)
    assert problem in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", "^(.*)*b$", "(x+x+)+y", "^([a-zA-Z0-9])(([\\-.]|[_]+)?([a-zA-Z0-9]+))*$"]
)
def test_known_patterns_that_explode_take_linear_time(pattern: str) -> None:
    with soon():
        assert check(objects(x={"type": "string", "pattern": pattern}), x="a" * 100_000 + "!")


def test_patterns_without_a_bound_in_time_are_left_out() -> None:
    schema = objects(x={"type": "string", "pattern": "^(?!b)a"}, pattern={"type": "string", "pattern": "^a"})
    shown = tool(schema).signature.json_schema["properties"]
    assert shown == {"x": {"type": "string"}, "pattern": {"type": "string", "pattern": "^a"}}
    assert check(schema, x="b") == ""


def test_references_in_circles_end() -> None:
    circles = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}, "c": {"anyOf": [{"$ref": "#/$defs/c"}]}}
    with soon():
        assert check(objects(x={"$ref": "#/$defs/a"}, y={"$ref": "#/$defs/c"}) | {"$defs": circles}, x=1, y=1) == ""
        for width in (2, 9, 40):
            assert check(doubling(width), x=1) == ""


@pytest.mark.parametrize("name", ["", "1a", "a b", "a\n", "x" * 65])
def test_a_name_that_no_model_could_write_is_refused(name: str) -> None:
    with pytest.raises(InvalidToolError, match="is no name for a tool"):
        tool({"type": "object"}, name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab$/#", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "$ref", "enum", "pattern", "allOf", "required", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values, json_values)
@settings(max_examples=300, deadline=None)
def test_any_schema_is_taken_or_refused_and_never_crashes(schema: Any, value: Any) -> None:
    try:
        made = tool(schema)
    except InvalidToolError:
        return
    for parameter in made.signature.parameters.values():
        try:
            parameter.validate(value)
        except InvalidArgumentError as error:
            assert str(error).startswith("argument ")
