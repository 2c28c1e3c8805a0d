"""Stands between the service and an MCP server: `python launcher.py DESCRIPTOR COMMAND…`.

The descriptor is a socket whose other end the service holds. When that end is closed, in whatever way the service
ended, every process that descends from the server is killed. When the server itself ends, the same is done with what it
left, and the socket tells how it ended. On Linux this reaches processes that left the group, too.

A script of its own, which imports nothing of ours: it must start quickly and stay small.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_KILL_SECONDS = 1.0
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    """Starts the server, and ends with it or with the service."""
    service = socket.socket(fileno=int(sys.argv[1]))
    child_ended, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    child_ended.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in _IGNORED:  # they are for the server
        signal.signal(number, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        server = subprocess.Popen(sys.argv[2:], preexec_fn=_prepare)  # no threads here
    except (OSError, subprocess.SubprocessError) as error:
        service.sendall(f"cannot be started: {error}".encode(errors="replace"))
        return
    _let_go_of_streams()
    while not (status := _reap(server.pid)):
        readable, _, _ = select.select([service, child_ended], [], [])
        if child_ended in readable:
            child_ended.recv(4096)
        if service in readable and not service.recv(4096):
            break
    with contextlib.suppress(OSError):
        service.sendall(status.encode())
    _kill_descendants()
    os.killpg(0, signal.SIGKILL)


def _prepare() -> None:
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _let_go_of_streams() -> None:
    """Leaves the streams to the server alone, so that they end when it does."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _reap(server: int) -> str:
    """Collects the children that have ended; how the server ended, or empty while it runs."""
    status = ""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == server:
                code = os.waitstatus_to_exitcode(found[1])
                status = f"it exited with status {code}" if code >= 0 else f"it was killed by signal {-code}"
    return status


def _kill_descendants() -> None:
    """Kills the children until there are none: those of a child that was killed become ours."""
    deadline = time.monotonic() + _KILL_SECONDS
    path = f"/proc/self/task/{os.getpid()}/children"
    while time.monotonic() < deadline:
        try:
            with open(path) as file:  # noqa: PTH123 - pathlib takes longer to import than all of this
                children = file.read().split()
        except OSError:
            return
        if not children:
            return
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        time.sleep(0.002)
        _reap(0)


main()
