import asyncio
import os
import resource
import sys
import time
from contextlib import aclosing, suppress
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from tool_service.interface import Artifact
from tool_service.tools.python import font_cache, fork_server, frames, landlock, workplace
from tool_service.tools.python.fork_server import ForkServer
from tool_service.tools.python.interpreter import (
    Interpreter,
    InterpreterDied,
    InterpreterError,
    InterpreterLimits,
    SandboxUnavailable,
    StatementFailed,
)
from tool_service.tools.python.output import OutputText

REPOSITORY = Path(__file__).parents[4]
PROMPTLY = 5.0


@pytest.fixture
async def interpreter():
    async with aclosing(await Interpreter.open()) as interpreter:
        yield interpreter


async def printed(interpreter: Interpreter, statement: str) -> str:
    return "".join([piece async for piece in interpreter.run(statement) if isinstance(piece, str)])


async def failure(interpreter: Interpreter, statement: str) -> str:
    with pytest.raises(InterpreterError) as raised:
        await printed(interpreter, statement)
    return str(raised.value)


async def folder_of(interpreter: Interpreter) -> Path:
    return Path(await printed(interpreter, "import os; print(os.getcwd(), end='')")).parent


def is_running(pid: int) -> bool:
    """Whether a process is there and more than a corpse that its new parent has not buried yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def all_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + PROMPTLY
    while any(map(is_running, pids)) and time.monotonic() < deadline:  # noqa: ASYNC110 - nothing tells of such an end
        await asyncio.sleep(0.005)
    return not any(map(is_running, pids))


# What a statement sees and leaves


async def test_variables_functions_and_imports_last(interpreter):
    await printed(interpreter, "import math\nx = 20")
    await printed(interpreter, "def twice(y):\n    return 2 * y\n")
    assert await printed(interpreter, "print(twice(x) + math.floor(2.5))") == "42\n"


async def test_the_namespace_is_main(interpreter):
    assert await printed(interpreter, "import __main__, pickle\nclass A: pass\n") == ""
    assert await printed(
        interpreter, "print(__name__, __main__.A is A, type(pickle.loads(pickle.dumps(A()))) is A)"
    ) == ("__main__ True True\n")


async def test_interpreters_do_not_see_each_other(interpreter):
    async with aclosing(await Interpreter.open()) as other:
        await asyncio.gather(printed(interpreter, "x = 1"), printed(other, "y = 2"))
        assert "NameError: name 'x' is not defined" in await failure(other, "x")
        assert await folder_of(other) != await folder_of(interpreter)


async def test_future_imports_hold_for_later_statements_of_the_program(interpreter):
    await printed(interpreter, "from __future__ import annotations")
    await printed(interpreter, "def f(a: undefined): pass")
    interpreter.start_program()
    assert "NameError" in await failure(interpreter, "def f(a: undefined): pass")


async def test_standard_input_is_empty(interpreter):
    assert "EOFError" in await failure(interpreter, "input()")


async def test_the_environment_is_bare(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    async with aclosing(await Interpreter.open()) as interpreter:
        seen = await printed(interpreter, "import os, subprocess; print(dict(os.environ))")
        seen += await printed(interpreter, "_ = subprocess.run(['env'])")
        assert "hunter2" not in seen
        assert await printed(interpreter, "print(os.listdir('.'), os.listdir(os.path.expanduser('~')))") == "[] []\n"
        assert await printed(interpreter, "import sys; print(sys.argv)") == "['']\n"


async def test_modules_written_by_a_statement_can_be_imported(interpreter):
    await printed(interpreter, "open('mine.py', 'w').write('x = 7')")
    assert await printed(interpreter, "import mine; print(mine.x)") == "7\n"


async def test_our_own_modules_are_out_of_the_way(interpreter):
    for name in ("frames", "confinement", "child", "zygote", "landlock", "kernel"):
        assert "ModuleNotFoundError" in await failure(interpreter, f"import {name}")
    for name in ("tool_service", "protos"):  # where they are installed so as to be found, they cannot be read
        text = await failure(interpreter, f"import {name}")
        assert "ModuleNotFoundError" in text or "PermissionError" in text


# The last value


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("6 * 7", "42"),
        ("a = 1\n'text'", "'text'"),
        ("a = 1", ""),
        ("None", ""),
        ("print('x')", ""),
        ("", ""),
        ("# comment", ""),
        ("if True:\n    1\n", ""),
    ],
)
async def test_the_last_expressions_value_is_kept(interpreter, statement, shown):
    await printed(interpreter, "'before'")
    await printed(interpreter, statement)
    assert await interpreter.last_value() == shown


async def test_a_failed_statement_has_no_value(interpreter):
    await printed(interpreter, "1")
    await failure(interpreter, "1 / 0")
    assert await interpreter.last_value() == ""


async def test_a_program_of_which_nothing_has_run_has_no_value(interpreter):
    await printed(interpreter, "'of the program before'")
    interpreter.start_program()
    assert await interpreter.last_value() == ""


async def test_a_repr_that_raises_is_a_failed_statement(interpreter):
    await printed(interpreter, "class A:\n    def __repr__(self): raise ValueError('no repr')\nA()")
    with pytest.raises(StatementFailed, match="no repr"):
        await interpreter.last_value()
    assert await printed(interpreter, "print('well')") == "well\n"


async def test_a_repr_that_ends_the_process_is_a_death(interpreter):
    await printed(interpreter, "class A:\n    def __repr__(self): raise SystemExit(4)\nA()")
    with pytest.raises(InterpreterDied, match="status 4"):
        await interpreter.last_value()


async def test_a_repr_that_prints_or_is_long_is_cut():
    async with aclosing(await Interpreter.open(InterpreterLimits(value_chars=100))) as interpreter:
        await printed(interpreter, "class A:\n    def __repr__(self): print('p' * 10**6); return 'r' * 10**6\nA()")
        value = await interpreter.last_value()
        assert "value cut: 1000000 characters" in value
        assert len(value) < 200
        assert await printed(interpreter, "print('next')") == "next\n"


# Tracebacks


async def test_a_traceback_shows_the_programs_lines_and_none_of_ours(interpreter):
    await printed(interpreter, "def divide(a):\n    return a / 0\n\n")
    assert await failure(interpreter, "x = 1\ndivide(x)\n") == (
        "Traceback (most recent call last):\n"
        '  File "<python>", line 5, in <module>\n'
        "    divide(x)\n"
        '  File "<python>", line 2, in divide\n'
        "    return a / 0\n"
        "           ~~^~~\n"
        "ZeroDivisionError: division by zero\n"
    )


async def test_lines_of_the_next_program_count_from_one_and_the_first_keeps_its_source(interpreter):
    await printed(interpreter, "def divide(a):\n    return a / 0")
    interpreter.start_program()
    text = await failure(interpreter, "divide(1)")
    assert '"<python 2>", line 1' in text
    assert '"<python>", line 2, in divide\n    return a / 0' in text
    assert '"<python 2>", line 2' in await failure(interpreter, "1 / 0")


async def test_a_syntax_error_points_at_its_line(interpreter):
    await printed(interpreter, "x = 1")
    assert '"<python>", line 3\n    if x\n        ^\n' in await failure(interpreter, "y = 2\nif x\n")


@pytest.mark.parametrize(
    ("statement", "last_line"),
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", "E: <exception str() failed>"),
        ("raise ValueError('\\ud800')", "ValueError: \\ud800"),
        ("x = '\ud800'", "surrogates not allowed"),
        ("x = '\0'", "null bytes"),
        ("(" * 500 + ")" * 500, "too many nested parentheses"),
        ("assert False", "AssertionError"),
    ],
)
async def test_every_error_is_told_and_survived(interpreter, statement, last_line):
    assert last_line in (await failure(interpreter, statement)).rstrip().splitlines()[-1]
    assert await printed(interpreter, "print('well')") == "well\n"


async def test_a_long_traceback_is_cut_in_the_middle(interpreter):
    text = await failure(interpreter, "raise ValueError('x' * 10**7 + 'the end')")
    assert text.startswith("Traceback")
    assert text.endswith("the end\n")
    assert len(text) < 20_000


# Output


async def test_output_comes_while_the_statement_runs(interpreter):
    folder = await folder_of(interpreter)
    pieces = []
    async for text in interpreter.run("os.mkfifo('gate')\nprint('first', end='')\nprint(open('gate').read(), end='')"):
        pieces.append(text)
        if text == "first":
            await asyncio.to_thread((folder / "work" / "gate").write_text, "second")
    assert "".join(pieces) == "firstsecond"
    assert pieces[0] == "first"


async def test_all_ways_of_output_arrive_in_order(interpreter):
    assert await printed(
        interpreter,
        "import os, sys, subprocess\n"
        "print('a', end='')\nsys.stderr.write('b')\nos.write(1, b'c')\n"
        "subprocess.run(['sh', '-c', 'printf d; printf e >&2'])\nprint('f', end='')",
    ) == "abcdef"  # fmt: skip


async def test_each_statement_gets_exactly_its_own_output(interpreter):
    for number in range(200):
        assert await printed(interpreter, f"print({number}, end='')") == str(number)


async def test_characters_are_never_split(interpreter):
    text = "é€😀" * 50
    assert await printed(interpreter, f"import os\nfor b in '{text}'.encode(): _ = os.write(1, bytes([b]))") == text


async def test_bytes_that_are_no_text_are_replaced(interpreter):
    assert await printed(interpreter, "import os; os.write(1, b'a\\xff\\xe2\\x82')") == "a\ufffd\ufffd"


async def test_a_hundred_megabytes_are_cut_and_do_not_stay_in_memory(interpreter):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = await printed(interpreter, "print('x' * 100_000_000)")
    assert text == "x" * 65536 + "\n[output cut at 65536 characters]\n"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
    assert await printed(interpreter, "print('next')") == "next\n"


async def test_a_statement_may_close_its_output(interpreter):
    assert await printed(interpreter, "import os; os.close(1); os.close(2)") == ""
    await printed(interpreter, "1 + 1")
    assert await interpreter.last_value() == "2"


async def test_waiting_for_a_statement_without_output_takes_no_time_of_ours(interpreter):
    await printed(interpreter, "import os, time; os.close(1); os.close(2)")
    before = time.thread_time()
    await printed(interpreter, "time.sleep(0.3)")
    assert time.thread_time() - before < 0.1


async def test_a_statement_may_replace_its_output(interpreter):
    await printed(interpreter, "import sys\nclass Broken:\n    def flush(self): 1 / 0\nsys.stdout = Broken()")
    assert await printed(interpreter, "sys.stdout = sys.__stdout__; print('back')") == "back\n"


@given(text=st.text(max_size=20), data=st.data())
def test_decoding_does_not_depend_on_how_the_bytes_are_cut(text, data):
    encoded = text.encode("utf-8", "replace")
    limit = data.draw(st.integers(0, 25))
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=6))), len(encoded)]
    pieces = [encoded[a:b] for a, b in pairwise(cuts)]
    assert shown_in_pieces(pieces, limit) == shown_in_pieces([encoded], limit)


def shown_in_pieces(pieces: list[bytes], limit: int) -> str:
    output = OutputText(limit)
    return "".join([*map(output.feed, pieces), output.close()])


# Death


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
    assert await all_gone([int(text)])


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


# Cancellation and closing


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
    assert await all_gone(started)
    assert "stopped while a statement was running" in await failure(interpreter, "1")
    await interpreter.aclose()
    assert not folder.exists()


async def test_leaving_the_output_kills_the_interpreter(interpreter):
    async with aclosing(interpreter.run(LOOP_WITH_GRANDCHILD)) as output:
        async for text in output:
            pids = [int(pid) for pid in text.split()]
            break
    assert await all_gone(pids)
    assert not interpreter.is_alive


async def test_closing_ends_a_running_statement():
    interpreter = await Interpreter.open()
    closing = None
    with pytest.raises(InterpreterDied):
        async for _ in interpreter.run(LOOP_WITH_GRANDCHILD):
            closing = asyncio.create_task(interpreter.aclose())
    assert closing is not None
    await closing


async def test_closing_while_output_waits_to_be_read():
    interpreter = await Interpreter.open()
    output = interpreter.run("while True: print('x')")
    assert "x" in await anext(output)
    await interpreter.aclose()
    with pytest.raises(InterpreterDied, match="closed"):
        async for _ in output:
            pass


def descriptor_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_closing_is_idempotent_and_leaves_nothing_behind():
    await (await Interpreter.open()).aclose()  # the fork server has come to stay
    descriptors = descriptor_count()
    interpreter = await Interpreter.open()
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
    opening = asyncio.create_task(Interpreter.open())
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
from tool_service.tools.python.interpreter import Interpreter

async def main():
    interpreter = await Interpreter.open()
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
    assert await all_gone([pid])
    await service.communicate()


def test_it_works_on_uvloop():
    async def session() -> None:
        async with aclosing(await Interpreter.open()) as interpreter:
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
    async with aclosing(await Interpreter.open()) as interpreter:
        assert "status 3" in await failure(interpreter, "import os; os._exit(3)")


# Limits


async def test_too_much_memory_is_an_error_or_a_death_but_is_told():
    async with aclosing(await Interpreter.open(InterpreterLimits(memory_bytes=512 << 20))) as interpreter:
        assert "MemoryError" in await failure(interpreter, "x = bytearray(1 << 30)")
        await failure(interpreter, "x = []\nwhile True: x.append(bytearray(1 << 20))")


async def test_too_much_cpu_time_is_a_death():
    async with aclosing(await Interpreter.open(InterpreterLimits(cpu_seconds=1))) as interpreter:
        assert "has used its 1 seconds of CPU time" in await failure(interpreter, "while True: pass")


async def test_files_and_descriptors_are_limited(interpreter):
    assert "File too large" in await failure(interpreter, "open('f', 'wb').write(bytes(65 << 20))")
    assert "Too many open files" in await failure(interpreter, "fs = [open('f') for _ in range(300)]")


async def test_a_fork_bomb_is_stopped():
    limits = InterpreterLimits(spare_process_count=20, group_task_count=1000)
    async with aclosing(await Interpreter.open(limits)) as interpreter:
        statement = "import subprocess\nps = [subprocess.Popen(['sleep', '1000']) for _ in range(900)]"
        assert "BlockingIOError" in await failure(interpreter, statement)


@pytest.mark.parametrize(
    ("limits", "statement", "sentence"),
    [
        (
            {"group_task_count": 10},
            "import subprocess\nps = [subprocess.Popen(['sleep', '1000']) for _ in range(12)]",
            "it had more than 10 processes and threads",
        ),
        (
            {"group_memory_bytes": 600 << 20},
            "import os\nfor _ in range(4):\n    if os.fork() == 0:\n        x = b'x' * (200 << 20)\n        break",
            "its processes used more than 600 MiB of memory together",
        ),
        (
            {"folder_bytes": 100 << 20},
            "for n in range(3): open(str(n), 'wb').write(bytes(40 << 20))",
            "its files took more than 100 MiB together",
        ),
        (
            {"folder_bytes": 100 << 20},
            "import os\nfs = [open(str(n), 'wb') for n in range(3)]\n"
            "for n, f in enumerate(fs): os.unlink(str(n)); f.write(bytes(40 << 20))",
            "its files took more than 100 MiB together",
        ),
        (
            {"folder_bytes": 100 << 20},
            "import mmap, os\nms = []\nfor n in range(3):\n    f = open(str(n), 'w+b')\n    f.truncate(40 << 20)\n"
            "    ms.append(mmap.mmap(f.fileno(), 0))\n    f.close()\n    os.unlink(str(n))\n"
            "    ms[-1][:] = bytes(40 << 20)",
            "its files took more than 100 MiB together",
        ),
        ({"folder_files": 100}, "for n in range(101): open(str(n), 'w').close()", "it had more than 100 files"),
    ],
)
async def test_the_group_and_its_folder_are_watched(limits, statement, sentence):
    async with aclosing(await Interpreter.open(InterpreterLimits(**limits))) as interpreter:
        folder = await folder_of(interpreter)
        assert sentence in await failure(interpreter, f"{statement}\nimport time; time.sleep(60)")
        assert not interpreter.is_alive
    assert not folder.exists()


# Confinement


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
        await Interpreter.open()
    async with aclosing(await Interpreter.open(has_boundary=False)) as interpreter:
        assert await printed(interpreter, "print(6 * 7)") == "42\n"


async def test_without_a_sandbox_the_network_and_the_limits_hold_still():
    async with aclosing(await Interpreter.open(InterpreterLimits(cpu_seconds=1), has_boundary=False)) as interpreter:
        assert await printed(interpreter, CONNECT) == "1 " * 6
        assert await printed(interpreter, "print(open('/etc/hostname').read() != '')") == "True\n"
        assert "has used its 1 seconds" in await failure(interpreter, "while True: pass")


def changed_copy(folder: Path, name: str, old: str, new: str) -> Path:
    """The fork server's program, with one file changed."""
    for source in fork_server.ZYGOTE.parent.glob("*.py"):
        text = source.read_text()
        assert source.name != name or old in text
        (folder / source.name).write_text(text.replace(old, new) if source.name == name else text)
    return folder / "zygote.py"


@pytest.fixture
def server_of():
    servers: list[ForkServer] = []

    def made(program: Path) -> ForkServer:
        servers.append(ForkServer((), program))
        return servers[-1]

    yield made
    for server in servers:
        server.close()


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
        await Interpreter.open(server=server)


@pytest.mark.parametrize("abi", [1, 3, 5])
async def test_older_kernels_hold_what_they_can(tmp_path, server_of, abi):
    there = "    return max(0, _syscall(CREATE_RULESET, None, 0, VERSION))"
    server = server_of(changed_copy(tmp_path, "landlock.py", there, f"    return {abi}  # {there}"))
    async with aclosing(await Interpreter.open(server=server)) as interpreter:
        statement = "import os, subprocess; print(subprocess.run(['echo', 'x'], capture_output=True).stdout)"
        assert await printed(interpreter, statement) == "b'x\\n'\n"
        assert "PermissionError" in await failure(interpreter, "open('/etc/passwd')")
        assert "PermissionError" in await failure(interpreter, f"os.kill({os.getpid()}, 0)")


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
        await Interpreter.open(InterpreterLimits(open_seconds=seconds), server=server)


# Numerical packages


async def test_numpy_and_matplotlib_work_and_each_interpreter_has_its_own_copy_of_the_fonts(tmp_path):
    assert await font_cache.warm_up(tmp_path)
    [kept] = tmp_path.iterdir()
    original = kept.read_bytes()
    async with aclosing(await Interpreter.open(font_cache=tmp_path)) as interpreter:
        await printed(interpreter, "import os, numpy\nimport matplotlib.pyplot as plt")
        await printed(interpreter, "plt.plot(numpy.ones(9)); plt.title('t'); plt.savefig('plot.png')")
        assert await printed(interpreter, "print(os.listdir('.'), os.listdir(os.environ['MPLCONFIGDIR']))") == (
            f"['plot.png'] ['{kept.name}']\n"
        )
        await printed(interpreter, f"open(os.environ['MPLCONFIGDIR'] + '/{kept.name}', 'w').close()")
    assert kept.read_bytes() == original


# Figures


async def shown(interpreter: Interpreter, statement: str) -> list[str | Artifact]:
    """What a statement gives, neighbouring texts as one."""
    pieces: list[str | Artifact] = []
    async for piece in interpreter.run(statement):
        if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces


async def left_open(interpreter: Interpreter) -> list[str | Artifact]:
    return [piece async for piece in interpreter.open_figures()]


def names(pieces: list[str | Artifact]) -> list[str]:
    return [piece if isinstance(piece, str) else piece.name for piece in pieces]


async def test_figures_that_are_shown_come_in_order_with_the_text(interpreter):
    pieces = await shown(
        interpreter,
        "import matplotlib.pyplot as plt\nfor n in range(2):\n"
        "    print('before', n)\n    plt.plot([1, n])\n    plt.show()\nprint('after')",
    )
    assert names(pieces) == ["before 0\n", "figure-1.png", "before 1\n", "figure-2.png", "after\n"]
    figure = pieces[1]
    assert isinstance(figure, Artifact)
    assert figure.media_type == "image/png"
    assert figure.data.startswith(b"\x89PNG")
    assert await left_open(interpreter) == []


async def test_figures_left_open_are_handed_over_whatever_the_backend(interpreter):
    assert await left_open(interpreter) == []
    await printed(interpreter, "import matplotlib\nmatplotlib.use('Agg')\nimport matplotlib.pyplot as plt")
    await printed(interpreter, "a = plt.figure()\nb = plt.figure()\nplt.savefig('b.png')")
    assert names(await left_open(interpreter)) == ["figure-1.png", "figure-2.png"]
    assert await left_open(interpreter) == []
    assert await printed(interpreter, "import os; print(plt.get_fignums(), os.listdir('.'))") == "[] ['b.png']\n"


async def test_names_of_figures_count_on_in_a_program_and_start_again_in_the_next(interpreter):
    await printed(interpreter, "import matplotlib.pyplot as plt")
    assert names(await shown(interpreter, "plt.figure(); plt.show()")) == ["figure-1.png"]
    assert names(await shown(interpreter, "plt.figure(); plt.show()")) == ["figure-2.png"]
    interpreter.start_program()
    assert names(await shown(interpreter, "plt.figure(); plt.show()")) == ["figure-1.png"]


async def test_figures_past_the_limits_are_left_out_with_a_notice(interpreter):
    await printed(interpreter, "import matplotlib.pyplot as plt, numpy")
    big = await shown(interpreter, "plt.imsave, plt.figimage(numpy.random.rand(900, 900, 3), resize=True)\nplt.show()")
    assert len(big) == 1
    assert "a figure of " in str(big[0])
    assert " bytes is left out: 2097152 is the most" in str(big[0])
    many = await shown(interpreter, "for n in range(10): plt.figure(figsize=(1, 1))\nplt.show()")
    assert names(many) == [*(f"figure-{n}.png" for n in range(1, 9)), "[figures after the first 8 are left out]\n"]


async def test_a_figure_that_cannot_be_drawn_is_a_failed_statement_without_our_lines(interpreter):
    await printed(interpreter, "import matplotlib.pyplot as plt")
    text = await failure(interpreter, "plt.title('$\\\\nosuch$')\nplt.show()")
    assert "ValueError" in text
    assert "gallery.py" not in text
    assert await printed(interpreter, "print('well')") == "well\n"


IS_OPEN = """
import os
def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
"""


async def test_a_forged_figure_is_not_taken(interpreter):
    await printed(interpreter, IS_OPEN)
    await printed(interpreter, "control = next(n for n in range(3, 256) if is_open(n))")
    forged = "for _ in range(20): _ = os.write(control, (5).to_bytes(4, 'big') + b'Ihtml')"
    assert await shown(interpreter, forged) == []


async def test_without_matplotlib_imported_figures_work_too():
    server = ForkServer(())
    try:
        async with aclosing(await Interpreter.open(server=server)) as interpreter:
            assert await printed(interpreter, "import sys; print('matplotlib' in sys.modules)") == "False\n"
            statement = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
            assert names(await shown(interpreter, statement)) == ["figure-1.png"]
    finally:
        server.close()


async def test_a_module_that_cannot_be_imported_is_skipped_with_a_warning(caplog):
    server = ForkServer(("no_such_module",))
    try:
        await server.ready()
        async with aclosing(await Interpreter.open(server=server)) as interpreter:
            assert await printed(interpreter, "print(6 * 7)") == "42\n"
        assert "python.preload: no_such_module: ModuleNotFoundError" in caplog.text
    finally:
        server.close()


# The fork server


async def test_interpreters_share_no_random_numbers(interpreter):
    statement = "import numpy, random, uuid; print(numpy.random.rand(), random.random(), uuid.uuid4())"
    async with aclosing(await Interpreter.open()) as other:
        mine, its = [await printed(each, statement) for each in (interpreter, other)]
    assert not set(mine.split()) & set(its.split())


async def test_an_interpreter_holds_no_descriptor_but_its_own(interpreter):
    await printed(interpreter, IS_OPEN)
    assert await printed(interpreter, "print(sum(is_open(n) for n in range(256)))") == "4\n"


async def test_a_fork_server_that_died_takes_its_interpreters_along_and_another_starts():
    server = ForkServer(())
    try:
        async with aclosing(await Interpreter.open(server=server)) as interpreter:
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
            assert await all_gone(pids)
        async with aclosing(await Interpreter.open(server=server)) as interpreter:
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


async def test_warming_up_twice_does_it_once(tmp_path):
    (tmp_path / "fontlist-v1.json").write_text("{}")
    assert await font_cache.warm_up(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["fontlist-v1.json"]


async def test_a_cache_that_cannot_be_kept_is_no_failure(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert not await font_cache.warm_up(tmp_path / "file" / "cache")
    assert "list of fonts cannot be kept" in caplog.text


# Frames


def test_frames_come_whole_from_any_pieces_and_no_longer_than_agreed():
    data = frames.encode(frames.DONE, "é")
    for cut in range(len(data)):
        reader = frames.FrameReader(100)
        assert reader.feed(data[:cut]) == []
        assert reader.feed(data[cut:]) == [(frames.DONE, "é".encode())]
    with pytest.raises(frames.FrameTooLong):
        frames.FrameReader(100).feed(b"\xff\xff\xff\xff\xff")
    with pytest.raises(frames.FrameTooLong):
        frames.FrameReader(100).feed(frames.encode(frames.FIGURE, bytes(frames.MAX_FIGURE_BYTES + 1)))
    assert frames.FrameReader(100).feed(frames.encode(frames.FIGURE, bytes(1000))) == [(frames.FIGURE, bytes(1000))]
