"""What statements cannot do, and what they still can."""

import os
from contextlib import aclosing

import pytest

from tests.interpreters import opened
from tests.unit.tool_service.tools.python.interpreting import (
    changed_copy,
    failure,
    printed,
)
from tool_service.tools.python import landlock
from tool_service.tools.python.interpreter import (
    Interpreter,
    InterpreterLimits,
    SandboxUnavailable,
)

CONNECT = """
import socket
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(family, kind).connect((address, 9))
        except PermissionError as error:
            print(error.errno, end=" ")
"""


async def test_there_is_no_network(interpreter):
    assert await printed(interpreter, CONNECT) == "1 " * 6
    assert "PermissionError" in await failure(interpreter, "socket.create_connection(('127.0.0.1', 9))")
    assert "PermissionError" in await failure(interpreter, "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)")


async def test_what_the_interpreter_starts_has_no_network_either(interpreter):
    await printed(interpreter, "import subprocess, sys")
    assert await printed(interpreter, f"_ = subprocess.run([sys.executable, '-c', {CONNECT!r}])") == "1 " * 6


async def test_nothing_can_leave_the_process_group(interpreter):
    assert "PermissionError" in await failure(interpreter, "import os; os.setsid()")
    statement = "import subprocess; subprocess.run(['true'], start_new_session=True)"
    assert "PermissionError" in await failure(interpreter, statement)


async def test_pairs_of_local_sockets_work(interpreter):
    statement = "import socket; a, b = socket.socketpair(); _ = a.send(b'x'); print(b.recv(1))"
    assert await printed(interpreter, statement) == "b'x'\n"
    statement = "import asyncio\nasync def f(): return await asyncio.to_thread(lambda: 7)\nprint(asyncio.run(f()))"
    assert await printed(interpreter, statement) == "7\n"


async def test_worker_processes_work(interpreter):
    statement = "import multiprocessing\nwith multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1, -2]))"
    assert await printed(interpreter, statement) == "[1, 2]\n"
    statement = (
        "from concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(2) as pool: print(list(pool.map(abs, range(-50, 0)))[-1])"
    )
    assert await printed(interpreter, statement) == "1\n"


async def test_where_the_kernel_has_no_landlock_no_interpreter_opens_unless_told_to(monkeypatch):
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with pytest.raises(SandboxUnavailable, match=r"no Landlock"):
        await opened()
    async with aclosing(await opened(has_boundary=False)) as interpreter:
        assert await printed(interpreter, "print(6 * 7)") == "42\n"


async def test_without_a_sandbox_the_network_and_the_limits_hold_still():
    async with aclosing(await opened(InterpreterLimits(cpu_seconds=1), has_boundary=False)) as interpreter:
        assert await printed(interpreter, CONNECT) == "1 " * 6
        assert await printed(interpreter, "print(open('/etc/hostname').read() != '')") == "True\n"
        assert "has used its 1 seconds" in await failure(interpreter, "while True: pass")


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("seccomp.py", f'"{os.uname().machine}": (', '"another": (', "no system call filter is known for"),
        ("landlock.py", "    return max(0, _syscall(CREATE_RULESET, None, 0, VERSION))", "    return 0", "no Landlock"),
    ],
)
async def test_a_boundary_that_is_missing_in_the_child_is_told(tmp_path, server_of, name, old, new, reason):
    server = server_of(changed_copy(tmp_path, name, old, new))
    with pytest.raises(SandboxUnavailable, match=f"cannot be held in .*: {reason}|cannot be held in .*{reason}"):
        await Interpreter.open(server)


@pytest.mark.parametrize("abi", [1, 3, 5])
async def test_older_kernels_hold_what_they_can(tmp_path, server_of, abi):
    there = "    return max(0, _syscall(CREATE_RULESET, None, 0, VERSION))"
    server = server_of(changed_copy(tmp_path, "landlock.py", there, f"    return {abi}  # {there}"))
    async with aclosing(await Interpreter.open(server)) as interpreter:
        statement = "import os, subprocess; print(subprocess.run(['echo', 'x'], capture_output=True).stdout)"
        assert await printed(interpreter, statement) == "b'x\\n'\n"
        assert "PermissionError" in await failure(interpreter, "open('/etc/passwd')")
        assert "PermissionError" in await failure(interpreter, f"os.kill({os.getpid()}, 0)")
