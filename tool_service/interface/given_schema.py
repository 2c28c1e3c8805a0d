"""Tools whose JSON schema is given, not read off a Python function: those of other programs."""

import contextlib
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from tool_service.interface.artifact import Artifact
from tool_service.interface.call import Call
from tool_service.interface.effect import Effect
from tool_service.interface.json_schema import JsonSchema, SchemaDocument, check_size, resolve, without_costly_patterns
from tool_service.interface.schema import InvalidToolError, Parameter, Signature
from tool_service.interface.tool import DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT, NAME, Tool

MAX_PARAMETERS = 256
Piece: TypeAlias = str | Artifact
Function: TypeAlias = Callable[[dict[str, Any], Call], AsyncGenerator[Piece, None]]

_PARAMETER = re.compile(r"[A-Za-z_$@][A-Za-z0-9_.$@-]{0,127}")
_ANY: TypeAdapter[Any] = TypeAdapter(Any)
_ABSENT = object()  # the value of what the model did not give
_CALL = "/call"  # no parameter can have this name


def tool_from_schema(
    function: Function,
    *,
    name: str,
    description: str,
    schema: dict[str, Any],
    effect: Effect,
    timeout: float = DEFAULT_TIMEOUT,
    concurrency: int = DEFAULT_CONCURRENCY,
) -> Tool:
    """Makes a tool of `function(arguments, call)`, which yields its output and is run when the call is sealed.

    `schema` is an object schema; each argument is validated against its part of it as it is sealed. `arguments` has
    what the model gave and nothing else. Raises InvalidToolError where the schema is malformed, too large, or would be
    dangerous to validate with.
    """
    if not NAME.fullmatch(name):
        raise InvalidToolError(f"{name!r} is no name for a tool: letters, digits, '_', '-' and '.', at most 64")

    async def run(**given: Any) -> AsyncGenerator[Piece, None]:
        call: Call = given.pop(_CALL)
        arguments = {name: value for name, value in given.items() if value is not _ABSENT}
        async with contextlib.aclosing(function(arguments, call)) as pieces:
            async for piece in pieces:
                yield piece

    return GivenTool(name, run, _read_schema(description, schema), effect, timeout, concurrency)


@dataclass(frozen=True, slots=True)
class GivenTool(Tool):
    """A tool that starts when its call is sealed, even where it has no parameters to wait for."""

    @property
    def starts_early(self) -> bool:
        """Never."""
        return False


@dataclass(frozen=True, slots=True)
class GivenParameter(Parameter):
    """A parameter with a JSON schema of its own."""

    schema: JsonSchema | None = None

    def validate(self, value: Any) -> Any:
        """The value, as it came. Raises InvalidArgumentError."""
        if self.schema is not None:
            self.schema.check(self.name, value)
        return value


@dataclass(frozen=True, slots=True)
class GivenSignature(Signature):
    """Parameters by a JSON schema."""

    schema: dict[str, Any] = field(default_factory=dict)

    @property
    def json_schema(self) -> dict[str, Any]:
        """The schema as it was given."""
        return self.schema


class _OpenParameters(dict[str, Parameter]):
    """Takes arguments that are not listed, too."""

    def __init__(self, listed: dict[str, Parameter], others: JsonSchema | None) -> None:
        super().__init__(listed)
        self._others = others

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Parameter:
        return _parameter(name, False, self._others)


def unchecked(signature: Signature, schema: dict[str, Any]) -> Signature:
    """The signature of `schema`, told to the model as it is, which takes any arguments. Nothing is matched with its
    patterns here, so it keeps those that would take too long: a grammar that must follow one refuses it."""
    return GivenSignature(signature.description, _OpenParameters({}, None), signature.injected, _object_schema(schema))


def _read_schema(description: str, schema: dict[str, Any]) -> Signature:
    check_size(schema)
    root = _object_schema(without_costly_patterns(schema))
    document = SchemaDocument(root)
    properties: dict[str, Any] = root["properties"]
    required = set(root.get("required", ()))
    names = [*properties, *sorted(required - properties.keys())]
    if len(names) > MAX_PARAMETERS:
        raise InvalidToolError(f"the schema has {len(names)} parameters; at most {MAX_PARAMETERS} are allowed")
    parameters: dict[str, Parameter] = {}
    for name in names:
        if not _PARAMETER.fullmatch(name):
            raise InvalidToolError(f"{name[:100]!r} is no name for a parameter")
        parameters[name] = _parameter(name, name in required, document.compile(properties.get(name, True)))
    return GivenSignature(description, _opened(parameters, root, document), {_CALL: Call}, root)


def _object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its type and properties at the top, where some generators put a reference."""
    root = schema
    if "$ref" in schema:
        target = resolve(schema["$ref"], schema)
        if not isinstance(target, dict) or "$ref" in target:
            raise InvalidToolError(f"the reference {schema['$ref']!r} leads to no schema of an object")
        root = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    if root.get("type", "object") != "object":
        raise InvalidToolError(f"the schema is one of type {root['type']!r}; arguments are an object")
    return {**root, "type": "object", "properties": root.get("properties", {})}


def _opened(parameters: dict[str, Parameter], root: dict[str, Any], document: SchemaDocument) -> dict[str, Parameter]:
    """Where the schema says that there is more than its properties, arguments that it does not list are let through."""
    others = root.get("additionalProperties")
    if others is True or root.keys() & {"allOf", "anyOf", "oneOf", "patternProperties"}:
        return _OpenParameters(parameters, None)
    return _OpenParameters(parameters, document.compile(others)) if isinstance(others, dict) else parameters


def _parameter(name: str, required: bool, schema: JsonSchema | None) -> Parameter:
    return GivenParameter(name, "plain", Any, _ANY, required, None if required else _ABSENT, "", schema)
