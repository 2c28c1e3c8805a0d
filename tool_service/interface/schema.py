"""A tool's parameters, read off its signature and docstring: JSON schema and validation."""

import inspect
import json
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import docstring_parser
from pydantic import TypeAdapter, ValidationError

from tool_service.interface.call import Call
from tool_service.interface.inputs import Arg, Stream
from tool_service.interface.session import Session
from tool_service.interface.toolbox import Toolbox

INJECTED = (Call, Session, Toolbox)


class InvalidToolError(TypeError):
    """A function cannot be a tool; the message names it and says why."""


class InvalidArgumentError(Exception):
    """An argument breaks the schema; the message is for the model."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter. `kind`: "plain", "arg", "stream", or "injected" for what the model does not give."""

    name: str
    kind: str
    type: Any
    adapter: TypeAdapter[Any]
    required: bool
    default: Any
    description: str

    def validate(self, value: Any) -> Any:
        """The value as the parameter's type, strictly by JSON's types. Raises InvalidArgumentError."""
        try:
            return self.adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            problem = error.errors()[0]
            where = "".join(f"[{part!r}]" for part in problem["loc"])
            raise InvalidArgumentError(f"argument {self.name!r}{where}: {problem['msg']}") from None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function's signature and docstring say of it as a tool."""

    description: str
    parameters: dict[str, Parameter]
    injected: dict[str, type]

    @property
    def json_schema(self) -> dict[str, Any]:
        """JSON schema of the arguments, an object schema."""
        properties = {name: _property(parameter) for name, parameter in self.parameters.items()}
        required = [name for name, parameter in self.parameters.items() if parameter.required]
        definitions: dict[str, Any] = {}
        for schema in properties.values():
            definitions |= schema.pop("$defs", {})
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        return {**schema, "$defs": definitions} if definitions else schema


def read_signature(function: Callable[..., Any]) -> Signature:
    """Reads a function. Raises InvalidToolError where a parameter cannot be one of a tool."""
    hints = typing.get_type_hints(function, include_extras=True)
    doc = docstring_parser.parse(inspect.getdoc(function) or "")
    described = {parameter.arg_name: parameter.description or "" for parameter in doc.params}
    parameters: dict[str, Parameter] = {}
    injected: dict[str, type] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InvalidToolError(f"{function.__name__}: parameter {name!r} must be one that can be given by name")
        if name not in hints:
            raise InvalidToolError(f"{function.__name__}: parameter {name!r} has no type; annotate it")
        if hints[name] in INJECTED:
            injected[name] = hints[name]
        else:
            parameters[name] = _parameter(function.__name__, parameter, hints[name], described.get(name, ""))
    description = "\n".join(part for part in (doc.short_description, doc.long_description) if part)
    return Signature(description, parameters, injected)


def _parameter(function: str, parameter: inspect.Parameter, hint: Any, description: str) -> Parameter:
    kind, type_ = {Arg: "arg", Stream: "stream"}.get(typing.get_origin(hint), "plain"), hint
    if kind != "plain":
        type_ = typing.get_args(hint)[0]
    if kind == "stream" and type_ is not str:
        raise InvalidToolError(
            f"{function}: parameter {parameter.name!r} is Stream[{type_}]; only Stream[str] can be streamed"
        )
    required = parameter.default is parameter.empty
    try:
        return Parameter(
            parameter.name,
            kind,
            type_,
            TypeAdapter(type_),
            required,
            None if required else parameter.default,
            description,
        )
    except Exception as error:
        raise InvalidToolError(f"{function}: parameter {parameter.name!r}: {error}") from error


def _property(parameter: Parameter) -> dict[str, Any]:
    schema = parameter.adapter.json_schema()
    if parameter.description:
        schema["description"] = parameter.description
    if not parameter.required and parameter.default is not None:
        schema["default"] = parameter.adapter.dump_python(parameter.default, mode="json")
    return schema
