"""Functions of a client: the model calls them as it calls tools, and the client runs them."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from tool_service.interface.artifact import Artifact
from tool_service.interface.call import Call
from tool_service.interface.effect import Effect
from tool_service.interface.given_schema import GivenTool, tool_from_schema, unchecked

_SECONDS = 1.0  # there is no work to limit


@dataclass(frozen=True, slots=True)
class ClientFunction(GivenTool):
    """A function that does not run here. A call of it that is sealed is handed over, whatever its arguments are: the
    client has seen them while they were written, and judges them itself."""


def client_function(name: str, description: str, schema: dict[str, Any]) -> ClientFunction:
    """Makes one. Raises InvalidToolError where the name or the schema cannot be one's."""
    given = tool_from_schema(_never, name=name, description=description, schema=schema, effect=Effect.NONE)
    signature = unchecked(given.signature, schema)
    return ClientFunction(given.name, given.function, signature, given.effect, _SECONDS, given.concurrency)


async def _never(_arguments: dict[str, Any], _call: Call) -> AsyncGenerator[str | Artifact, None]:
    raise AssertionError("the client runs it")
    yield  # a generator, as tools of a schema are
