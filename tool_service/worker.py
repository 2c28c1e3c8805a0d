"""A worker, started by `execution/workers.py` with the arguments SOCKET, LEASH and MEMORY_BYTES.

Reads a task a line and answers each with a line. It holds no gRPC object and knows nothing of completions: it loads the
tool from its source, as the service did, and calls the function.
"""

import base64
import contextlib
import fcntl
import functools
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

from tool_service.execution.descendants import adopt_descendants
from tool_service.execution.output import MAX_ARTIFACT_BYTES, left_out
from tool_service.execution.render import cut, described, render, whole
from tool_service.interface.artifact import Artifact
from tool_service.interface.reject import Reject, ToolError
from tool_service.interface.schema import InvalidArgumentError
from tool_service.interface.tool import Tool
from tool_service.tools.sources import ToolLoadError, tools_of

F_SETSIG = 10  # fcntl(2), Linux


def main() -> None:
    """Answers until the service closes the socket."""
    descriptor, leash, memory_bytes = map(int, sys.argv[1:])
    _die_with(leash)
    adopt_descendants()
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=descriptor) as connection:
        connection.set_inheritable(False)
        stream = connection.makefile("rwb")
        worker = os.getpid()
        _write(stream, {"ready": "", "number": 0})
        for line in stream:
            number, task = json.loads(line)
            answer = _answer(**task)
            if os.getpid() != worker:  # a function has forked and returned in both: only one may answer
                os._exit(0)
            _write(stream, answer | {"number": number})


def _write(stream: Any, answer: dict[str, Any]) -> None:
    for printed in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a function may have closed it
            printed.flush()
    stream.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
    stream.flush()


def _answer(source: str, tool: str = "", arguments_json: str = "{}", max_chars: int = 10_000) -> dict[str, Any]:
    try:
        tools = _tools(source)
        if not tool:
            return {"loaded": source}
        return _given(_called(tools, source, tool, json.loads(arguments_json)), max_chars)
    except Reject as error:
        return {"rejected": whole(str(error))[:max_chars]}
    except ToolError as error:
        return {"failed": cut(whole(str(error)), max_chars)}
    except BaseException as error:  # SystemExit too: a tool that wants to exit has failed, its worker has not
        return {"raised": cut(described(error), max_chars)}


def _given(result: Any, max_chars: int) -> dict[str, Any]:
    if not isinstance(result, Artifact):
        return {"result": cut(render(result), max_chars)}
    if len(result.data) > MAX_ARTIFACT_BYTES:
        return {"result": left_out(result)}
    return {"artifact": [whole(result.name), whole(result.media_type), base64.b64encode(result.data).decode()]}


@functools.cache
def _tools(source: str) -> Mapping[str, Tool]:
    return {tool.name: tool for tool in tools_of(source)}


def _called(tools: Mapping[str, Tool], source: str, name: str, arguments: dict[str, Any]) -> Any:
    if name not in tools:
        raise ToolLoadError(f"{source} no longer has the tool {name}")
    return tools[name].function(**_values(tools[name], arguments))


def _values(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the parameters' types; what is left out takes Python's defaults."""
    try:
        return {name: tool.signature.parameters[name].validate(value) for name, value in arguments.items()}
    except (InvalidArgumentError, KeyError) as error:  # the service has validated them: the source has changed since
        raise ToolLoadError(f"{tool.source} has changed: {error}") from error


def _die_with(leash: int) -> None:
    """Has the kernel kill our whole group when the service closes the pipe `leash`, dying included.

    The signal comes whatever a function is doing, and also to what it has started, unlike that of PR_SET_PDEATHSIG,
    which goes to one process, and when the *thread* ends that started it.
    """
    if sys.platform == "linux":
        fcntl.fcntl(leash, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(leash, F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(leash, fcntl.F_SETFL, fcntl.fcntl(leash, fcntl.F_GETFL) | os.O_ASYNC)
    os.set_inheritable(leash, False)
    os.set_blocking(leash, False)
    with contextlib.suppress(BlockingIOError):
        if not os.read(leash, 1):
            os._exit(1)  # the service ended before we were tied to it
