"""A worker: `python -m tool_service.worker SOCKET PARENT MEMORY_BYTES`, started by `execution/workers.py`.

Reads a task a line and answers each with a line. It holds no gRPC object and knows nothing of completions: it loads the
tool from its source, as the service did, and calls the function.
"""

import ctypes
import functools
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

from tool_service.execution.render import cut, render
from tool_service.interface.reject import Reject
from tool_service.interface.schema import InvalidArgumentError
from tool_service.interface.tool import Tool
from tool_service.tools.sources import ToolLoadError, tools_of

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answers until the service closes the socket."""
    descriptor, parent, memory_bytes = map(int, sys.argv[1:])
    _die_with(parent)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the service's affair; it ends us when it has drained
    with socket.socket(fileno=descriptor) as connection:
        connection.set_inheritable(False)
        stream = connection.makefile("rwb")
        for line in stream:
            stream.write(json.dumps(_answer(**json.loads(line))).encode() + b"\n")
            stream.flush()


def _answer(source: str, tool: str, arguments: dict[str, Any], max_chars: int) -> dict[str, str]:
    try:
        found = _tool(source, tool)
        return {"result": cut(render(found.function(**_values(found, arguments))), max_chars)}
    except Reject as error:
        return {"rejected": str(error)[:max_chars]}
    except BaseException as error:  # SystemExit too: a tool that wants to exit has failed, its worker has not
        return {"raised": cut(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, max_chars)}


@functools.cache
def _tool(source: str, name: str) -> Tool:
    for tool in tools_of(source):
        if tool.name == name:
            return tool
    raise ToolLoadError(f"{source} no longer has the tool {name}")


def _values(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the parameters' types; what is left out takes Python's defaults."""
    try:
        return {name: tool.signature.parameters[name].validate(value) for name, value in arguments.items()}
    except (InvalidArgumentError, KeyError) as error:  # the service has validated them: the source has changed since
        raise ToolLoadError(f"{tool.source} has changed: {error}") from error


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main()
