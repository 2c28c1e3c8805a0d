"""`@tool`: makes a function one that a model can call."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, overload

from tool_service.interface.call import Call
from tool_service.interface.effect import Effect
from tool_service.interface.schema import InvalidToolError, Signature, read_signature

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
DEFAULT_TIMEOUT = 30.0
DEFAULT_CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model can call.

    `timeout`: seconds that a call may work. `concurrency`: calls at once, over all completions; further ones wait.
    `asks`: whether a person must allow each sealed call. `source`: the file or module that it was loaded from, so that
    a worker can load it too; empty where there is none.
    """

    name: str
    function: Callable[..., Any]
    signature: Signature
    effect: Effect
    timeout: float
    concurrency: int
    asks: bool = False
    source: str = ""

    @property
    def description(self) -> str:
        """What it does, for the model."""
        return self.signature.description

    @property
    def starts_early(self) -> bool:
        """Whether it may run before its call is sealed.

        It must be able to wait for its inputs, and know when to wait where it does harm or must be allowed.
        """
        waits = _is_async(self.function) and all(
            parameter.kind != "plain" for parameter in self.signature.parameters.values()
        )
        free = self.effect.harmless and not self.asks
        return waits and (free or Call in self.signature.injected.values())


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str = ...,
    effect: Effect = ...,
    timeout: float = ...,
    concurrency: int = ...,
    approve: Literal["never", "ask"] = ...,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    effect: Effect = Effect.NONE,
    timeout: float = DEFAULT_TIMEOUT,
    concurrency: int = DEFAULT_CONCURRENCY,
    approve: Literal["never", "ask"] = "never",
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Makes a tool of an `async def` (returning or yielding) or a plain `def`, which runs in a worker process.

    `approve="ask"` has each sealed call wait until a person allows it (`GatewayService.Approve`). The name is the
    function's, the description and schema come from its docstring and signature. Raises InvalidToolError.
    """
    if function is None:
        return lambda decorated: _make(decorated, name, effect, timeout, concurrency, approve)
    return _make(function, name, effect, timeout, concurrency, approve)


def _make(
    function: Callable[..., Any], name: str, effect: Effect, timeout: float, concurrency: int, approve: str
) -> Tool:
    name = name or function.__name__
    if not NAME.fullmatch(name):
        raise InvalidToolError(f"{name!r} is no name for a tool: letters, digits, '_', '-' and '.', at most 64")
    if timeout <= 0 or concurrency < 1:
        raise InvalidToolError(f"{name}: timeout and concurrency must be positive")
    if inspect.isgeneratorfunction(function):
        raise InvalidToolError(f"{name}: a tool that yields is an `async def`")
    if approve not in ("never", "ask"):
        raise InvalidToolError(f"{name}: approve is {approve!r}; it must be 'never' or 'ask'")
    signature = read_signature(function)
    if not signature.description:
        raise InvalidToolError(f"{name}: has no docstring; a model reads it to know what the tool does")
    made = Tool(name, function, signature, effect, timeout, concurrency, approve == "ask")
    if not _is_async(function):
        _refuse_waiting(made)
    return made


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _refuse_waiting(made: Tool) -> None:
    kinds = {parameter.kind for parameter in made.signature.parameters.values()}
    if kinds & {"arg", "stream"} or made.signature.injected:
        raise InvalidToolError(f"{made.name}: only an `async def` can take Arg, Stream, Call, Session or Toolbox")
