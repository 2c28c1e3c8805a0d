"""A call's arguments on their way from the parser to the tool."""

from typing import Any

from tool_service.formats.events import JsonValue
from tool_service.interface.inputs import Arg, Stream
from tool_service.interface.meter import Meter
from tool_service.interface.schema import InvalidArgumentError, Signature


class Arguments:
    """Validates each argument as it is sealed and hands it to whoever waits for it.

    `inputs` are the `Arg` and `Stream` objects that the tool is given; plain parameters are in `values` when all is
    sealed. Each verb raises InvalidArgumentError at the first offence.
    """

    def __init__(self, signature: Signature, meter: Meter) -> None:
        self._signature = signature
        self.values: dict[str, Any] = {}
        self.inputs: dict[str, Arg[Any] | Stream[str]] = {
            name: Stream(name, meter) if parameter.kind == "stream" else Arg(name, meter)
            for name, parameter in signature.parameters.items()
            if parameter.kind != "plain"
        }

    def open(self, name: str) -> None:
        """A string argument began."""
        self._parameter(name)

    def push(self, name: str, text: str, offset: int) -> None:
        """More of an open string."""
        stream = self.inputs.get(name)
        if isinstance(stream, Stream):
            stream.push(text, offset)

    def seal(self, name: str, value: JsonValue, offset: int) -> None:
        """An argument is complete."""
        self._resolve(name, self._parameter(name).validate(value), offset)

    def complete(self, offset: int) -> None:
        """There are no more arguments: the others take their defaults."""
        for name, parameter in self._signature.parameters.items():
            if name in self.values:
                continue
            if parameter.required:
                raise InvalidArgumentError(f"argument {name!r} is missing")
            if isinstance(stream := self.inputs.get(name), Stream):
                stream.push(parameter.default or "", offset)
            self._resolve(name, parameter.default, offset)

    def _resolve(self, name: str, value: Any, offset: int) -> None:
        self.values[name] = value
        match self.inputs.get(name):
            case Arg() as arg:
                arg.seal(value, offset)
            case Stream() as stream:
                stream.seal(offset)

    def _parameter(self, name: str) -> Any:
        if name not in self._signature.parameters:
            known = ", ".join(self._signature.parameters) or "none"
            raise InvalidArgumentError(f"unknown argument {name!r}; the arguments are: {known}")
        return self._signature.parameters[name]
