"""Plain functions that misbehave, for workers to load."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tool_service.interface import Artifact, Effect, Reject, ToolError, tool

calls = 0


@tool
def count() -> list[int]:
    """Tell the process and how often it was called."""
    global calls
    calls += 1
    return [os.getpid(), calls]


@tool
def add(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


@tool
def fail(how: str) -> str:
    """Fail in one of many ways."""
    match how:
        case "reject":
            raise Reject("not for you")
        case "raise":
            raise ValueError("caf\udce9")
        case "mute":
            raise Mute
        case "exit":
            sys.exit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "_exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "memory":
            return str(len(bytearray(10 << 30)))
        case "close":
            os.closerange(3, 100)
        case "garble":
            write_to_service(b"{garbled\n")
        case "sentence":
            raise NotThereError("There is no such page.")
    return "failed to fail"


class NotThereError(ToolError):
    """Speaks to the model."""


def write_to_service(text: bytes) -> None:
    """Write where only the worker may."""
    sockets = [link for link in Path("/proc/self/fd").glob("*") if link.is_socket()]
    os.write(int(sockets[0].name), text)


@tool
def fork() -> str:
    """Go on in two processes."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return "parent" if child else "child"


@tool
def forge(later: bool) -> str:
    """Write an answer that is another's, now or when the call is over."""
    forged = b'{"result": "forged"}\n' * 3
    if later:
        threading.Timer(0.05, write_to_service, [forged]).start()
    else:
        write_to_service(forged)
    return "real"


class Mute(Exception):
    """Cannot tell what is wrong."""

    def __str__(self) -> str:
        raise RuntimeError


@tool(timeout=0.3)
def hang() -> str:
    """Hang where Python cannot be interrupted."""
    ctypes.PyDLL(None).sleep(60)
    return ""


@tool
def wait(file: str) -> str:
    """Tell the process in a file, start a child that does not end, and wait."""
    child = subprocess.Popen(["sleep", "60"])
    Path(file).with_suffix(".new").write_text(f"{os.getpid()} {child.pid}")
    Path(file).with_suffix(".new").rename(file)
    time.sleep(60)
    return ""


@tool
def leave_child(folder: str = "") -> int:
    """Start a child that does not end, and leave it; it puts its process id into a folder."""
    return subprocess.Popen(["sh", "-c", 'test -z "$1" || : > "$1/$$"; exec sleep 60', "sh", folder]).pid


@tool(timeout=1.0)
def leave_daemon(file: str) -> str:
    """Start one that leaves the group and whose parent ends, tell both in a file, and hang."""
    script = 'echo $$ > "$1.new"; mv "$1.new" "$1"; exec sleep 60'
    subprocess.run(["sh", "-c", 'setsid sh -c "$2" sh "$1" &', "sh", file, script], check=True)
    time.sleep(60)
    return ""


@tool
def long_result(chars: int) -> str:
    """Give much."""
    return "\x01" * chars


@tool
def loud(lines: int) -> str:
    """Print much."""
    for _ in range(lines):
        print("x" * 999)
    os.write(2, b"the last words\n")
    return "done"


@tool
def plot(size: int) -> Artifact:
    """Draw."""
    return Artifact("a/plot.png", "image/png", bytes(size))


@tool(effect=Effect.WRITE, timeout=0.3)
def write(file: str, seconds: float = 0.0) -> str:
    """Write a line."""
    with Path(file).open("a") as opened:
        opened.write("line\n")
    time.sleep(seconds)
    return "written"


@tool
def doze(seconds: float) -> int:
    """Take a while."""
    time.sleep(seconds)
    return os.getpid()
