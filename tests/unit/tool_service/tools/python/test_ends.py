"""However an interpreter ends - by itself, cancelled, closed - it is told, and nothing of it stays."""

import asyncio
import os
import sys
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
import uvloop

from tests.interpreters import opened
from tests.processes import ended, is_running
from tests.unit.tool_service.tools.python.interpreting import (
    REPOSITORY,
    failure,
    folder_of,
    printed,
)
from tool_service.tools.python import workplace
from tool_service.tools.python.interpreter import (
    InterpreterDied,
)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("import os; os._exit(3)", "The interpreter exited with status 3."),
        ("import sys; sys.exit()", "The interpreter exited with status 0."),
        ("raise SystemExit(5)", "The interpreter exited with status 5."),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "The interpreter was killed by SIGKILL; too much memory",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "The interpreter was ended by SIGTERM."),
        ("import os; os.abort()", "The interpreter crashed with SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "The interpreter crashed with SIGSEGV"),
        ("import os; os.closerange(3, 256)\nwhile True: pass", "The interpreter was killed by SIGKILL"),
    ],
)
async def test_a_death_is_told_now_and_afterwards(interpreter, statement, sentence):
    folder = await folder_of(interpreter)
    assert sentence in await failure(interpreter, statement)
    assert not interpreter.is_alive
    with pytest.raises(InterpreterDied, match="variables are lost"):
        await interpreter.last_value()
    await interpreter.aclose()
    assert not folder.exists()


async def test_what_was_printed_before_the_end_is_not_lost(interpreter):
    text = ""
    with pytest.raises(InterpreterDied, match="status 1"):
        async for piece in interpreter.run("import sys; print('x' * 50_000); sys.exit('the reason')"):
            text += piece
    assert text == "x" * 50_000 + "\nthe reason\n"


async def test_processes_left_behind_die_with_the_interpreter(interpreter):
    text = ""
    with suppress(InterpreterDied):
        async for piece in interpreter.run(
            "import os, subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid, flush=True)\nos._exit(0)"
        ):
            text += piece
    await ended([int(text)])


async def test_a_fork_that_returns_does_not_answer_in_its_parents_place(interpreter):
    assert (
        await printed(interpreter, "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nelse: print('child')")
        == "child\n"
    )
    grandchild = (
        "if os.fork() == 0:\n    if os.fork() == 0: print('grandchild')\n    else: _ = os.wait()\nelse: _ = os.wait()"
    )
    assert await printed(interpreter, grandchild) == "grandchild\n"
    assert "in the child" in await printed(
        interpreter, "pid = os.fork()\nif not pid: raise ValueError('in the child')\n_ = os.waitpid(pid, 0)"
    )
    assert await printed(interpreter, "print('well')") == "well\n"


LOOP_WITH_GRANDCHILD = """
import os, subprocess
print(os.getpid(), subprocess.Popen(["sleep", "1000"]).pid)
while True: pass
"""


async def test_cancelling_a_statement_kills_the_whole_group_at_once(interpreter):
    folder = await folder_of(interpreter)
    pids: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        text = ""
        async for piece in interpreter.run(LOOP_WITH_GRANDCHILD):
            text += piece
            if text.endswith("\n"):
                pids.set_result([int(pid) for pid in text.split()])

    task = asyncio.create_task(run())
    started = await pids
    assert all(map(is_running, started))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ended(started)
    assert "stopped while a statement was running" in await failure(interpreter, "1")
    await interpreter.aclose()
    assert not folder.exists()


async def test_leaving_the_output_kills_the_interpreter(interpreter):
    async with aclosing(interpreter.run(LOOP_WITH_GRANDCHILD)) as output:
        async for text in output:
            pids = [int(pid) for pid in text.split()]
            break
    await ended(pids)
    assert not interpreter.is_alive


async def test_closing_ends_a_running_statement():
    interpreter = await opened()
    closing = None
    with pytest.raises(InterpreterDied):
        async for _ in interpreter.run(LOOP_WITH_GRANDCHILD):
            closing = asyncio.create_task(interpreter.aclose())
    assert closing is not None
    await closing


async def test_closing_while_output_waits_to_be_read():
    interpreter = await opened()
    output = interpreter.run("while True: print('x')")
    assert "x" in await anext(output)
    await interpreter.aclose()
    with pytest.raises(InterpreterDied, match="closed"):
        async for _ in output:
            pass


def descriptor_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_closing_is_idempotent_and_leaves_nothing_behind():
    await (await opened()).aclose()  # the fork server has come to stay
    descriptors = descriptor_count()
    interpreter = await opened()
    folder = await folder_of(interpreter)
    await printed(
        interpreter,
        "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\nos.symlink('/', 'a/root')\nos.chmod('a', 0)",
    )
    await asyncio.gather(interpreter.aclose(), interpreter.aclose())
    await interpreter.aclose()
    assert not folder.exists()
    assert "closed" in await failure(interpreter, "1")
    assert descriptor_count() == descriptors


async def test_a_cancelled_close_goes_on(interpreter):
    folder = await folder_of(interpreter)
    closing = asyncio.create_task(interpreter.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await interpreter.aclose()
    assert not folder.exists()


async def test_a_cancelled_open_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(workplace.tempfile, "tempdir", str(tmp_path))
    opening = asyncio.create_task(opened())
    await asyncio.sleep(0)
    assert list(tmp_path.iterdir())
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert list(tmp_path.iterdir()) == []


async def test_two_statements_at_once_are_the_callers_mistake(interpreter):
    async with aclosing(interpreter.run("print(1)\nwhile True: pass")) as output:
        await anext(output)
        with pytest.raises(RuntimeError, match="one statement at a time"):
            await printed(interpreter, "2")


SERVICE = """
import asyncio
from tests.interpreters import opened

async def main():
    interpreter = await opened()
    async for text in interpreter.run("import os; print(os.getpid(), flush=True)\\nwhile True: pass"):
        print(text, flush=True)

asyncio.run(main())
"""


async def test_the_child_dies_with_a_killed_service(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)}
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert service.stdout is not None
    pid = int(await service.stdout.readline())
    assert is_running(pid)
    service.kill()
    await ended([pid])
    await service.communicate()


def test_it_works_on_uvloop():
    async def session() -> None:
        async with aclosing(await opened()) as interpreter:
            assert (
                await printed(interpreter, "print('x' * 1_000_000)")
                == "x" * 65536 + "\n[output cut at 65536 characters]\n"
            )
            assert "status 3" in await failure(interpreter, "import os; os._exit(3)")

    uvloop.run(session())


async def test_it_works_without_process_descriptors(monkeypatch):
    def unavailable(pid: int) -> int:
        raise OSError(f"no descriptor of {pid}")

    monkeypatch.setattr(os, "pidfd_open", unavailable)
    async with aclosing(await opened()) as interpreter:
        assert "status 3" in await failure(interpreter, "import os; os._exit(3)")
