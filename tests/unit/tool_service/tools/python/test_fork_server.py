"""The process from which interpreters are forked, and what happens when it or a fork of it does not start."""

import os
from contextlib import aclosing, suppress

import pytest

from tests.interpreters import opened
from tests.processes import ended
from tests.unit.tool_service.tools.python.interpreting import IS_OPEN, changed_copy, failure, printed
from tool_service.tools.python import fork_server
from tool_service.tools.python.fork_server import ForkServer
from tool_service.tools.python.interpreter import (
    Interpreter,
    InterpreterDied,
    InterpreterLimits,
)


async def test_interpreters_share_no_random_numbers(interpreter):
    statement = "import numpy, random, uuid; print(numpy.random.rand(), random.random(), uuid.uuid4())"
    async with aclosing(await opened()) as other:
        mine, its = [await printed(each, statement) for each in (interpreter, other)]
    assert not set(mine.split()) & set(its.split())


async def test_an_interpreter_holds_no_descriptor_but_its_own(interpreter):
    await printed(interpreter, IS_OPEN)
    assert await printed(interpreter, "print(sum(is_open(n) for n in range(256)))") == "4\n"


async def test_a_fork_server_that_died_takes_its_interpreters_along_and_another_starts():
    server = ForkServer(())
    try:
        async with aclosing(await Interpreter.open(server)) as interpreter:
            pids = [
                int(pid)
                for pid in (
                    await printed(
                        interpreter,
                        "import os, subprocess\nprint(os.getpid(), subprocess.Popen(['sleep', '1000']).pid)",
                    )
                ).split()
            ]
            os.kill(server.pid, 9)
            assert "killed by SIGKILL" in await failure(interpreter, "import time; time.sleep(60)")
            await ended(pids)
        async with aclosing(await Interpreter.open(server)) as interpreter:
            assert await printed(interpreter, "print(6 * 7)") == "42\n"
    finally:
        server.close()


async def test_a_fork_server_that_cannot_start_is_given_up_for_a_while(tmp_path, server_of):
    server = server_of(changed_copy(tmp_path, "zygote.py", "    problems = preload(", "    os._exit(3)\n    preload("))
    for _ in range(3):
        with suppress(fork_server.ForkServerDied):
            await server.ready()
    with pytest.raises(fork_server.ForkServerDied, match="cannot be started"):
        await server.ready()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("    os.setsid()\n", "    raise ValueError('broken')\n", "did not start"),
        ("    os.setsid()\n", "    import time; time.sleep(1000)\n", "did not start within 0.3 seconds"),
        ("    os.setsid()\n", "    os.write(job.control, b'\\xff' * 100)\n", "did not start"),
        (
            "    problems = preload(",
            "    return\n    problems = preload(",
            "did not start: the fork server ended with status 0",
        ),
        ("    problems = preload(", "    os._exit(3)\n    problems = preload(", "did not start: the fork server"),
        (
            "    problems = preload(",
            "    import time; time.sleep(1000)\n    preload(",
            "did not start within 0.3 seconds",
        ),
    ],
)
async def test_a_child_that_does_not_start_is_told(tmp_path, server_of, old, new, reason):
    server = server_of(changed_copy(tmp_path, "zygote.py", old, new))
    seconds = 0.3 if "0.3" in reason else 30.0
    with pytest.raises(InterpreterDied, match=f"(?s){reason}"):
        await Interpreter.open(server, InterpreterLimits(open_seconds=seconds))


async def test_a_module_that_cannot_be_imported_is_skipped_with_a_warning(caplog):
    server = ForkServer(("no_such_module",))
    try:
        await server.ready()
        async with aclosing(await Interpreter.open(server)) as interpreter:
            assert await printed(interpreter, "print(6 * 7)") == "42\n"
        assert "python.preload: no_such_module: ModuleNotFoundError" in caplog.text
    finally:
        server.close()
