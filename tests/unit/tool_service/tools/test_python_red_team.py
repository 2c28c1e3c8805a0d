"""Attacks on the interpreter's limits, its channel and its end that once succeeded."""

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from examples.plain.python import python_tool as plain_tool
from tests.interpreters import fork_server, opened
from tests.unit.tool_service.tools.python.interpreting import failure, printed
from tests.unit.tool_service.tools.python.test_tool import INTERPRETERS, Completion
from tool_service.interface import Session
from tool_service.tools.python import child_process, usage, watch, workplace
from tool_service.tools.python.interpreter import DEFAULT_LIMITS, InterpreterDied
from tool_service.tools.python.interpreters import Interpreters
from tool_service.tools.python.leash import Leash
from tool_service.tools.python.usage import Budget, Unseen
from tool_service.tools.python.watch import GroupLimits, Watched

REPOSITORY = Path(__file__).parents[4]
CONTROL = """
import os, stat, time
from contextlib import suppress
for control in range(3, 128):
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(control).st_mode): break
"""


async def death(statement: str, **limits: int) -> str:
    async with aclosing(await opened(replace(DEFAULT_LIMITS, **limits))) as interpreter:
        async with asyncio.timeout(30):
            return await failure(interpreter, statement)


@pytest.fixture
async def interpreter():
    async with aclosing(await opened()) as interpreter:
        yield interpreter


# The channel


@pytest.mark.parametrize(
    "sent",
    [
        "b'\\0\\0\\0\\x01I' * 100",
        "b''.join(b'\\0\\0\\0\\x09I\\x89PNG\\r\\n\\x1a\\n' for _ in range(9))",
        "b'\\xff\\xff\\xff\\xffK'",
        "b'\\0\\0\\x10'",
    ],
)
async def test_what_no_interpreter_sends_is_its_end(sent, monkeypatch):
    monkeypatch.setattr(child_process, "FRAME_SECONDS", 0.2)
    assert "wrote into the interpreter's own channel" in await death(
        f"{CONTROL}\nos.write(control, {sent})\ntime.sleep(60)"
    )


async def test_a_forged_traceback_is_cut(interpreter):
    await printed(interpreter, CONTROL)
    text = await failure(
        interpreter, "_ = os.write(control, (66_000).to_bytes(4, 'big') + b'F' + b'z' * 65_999); time.sleep(1)"
    )
    assert len(text) < DEFAULT_LIMITS.traceback_chars + 300


async def test_a_grandchild_that_keeps_the_channel_delays_nothing(interpreter):
    started = time.monotonic()
    fork = "import ctypes, os, time\nif ctypes.CDLL(None).fork() == 0: time.sleep(60)\nos._exit(3)"
    assert "exited with status 3" in await failure(interpreter, fork)
    assert time.monotonic() - started < 20


async def test_output_without_an_end_is_the_interpreters():
    flood = "import os\nwhile True: os.write(1, bytes(65536))"
    assert "it printed more than 4 MiB at once" in await death(flood, output_bytes=4 << 20)


async def test_little_pieces_become_few_and_nothing_is_lost(interpreter):
    dribble = "import os, time\nfor n in range(5000): _ = os.write(1, b'x'); time.sleep(0)"
    pieces = [piece async for piece in interpreter.run(dribble)]
    assert "".join(pieces) == "x" * 5000
    assert len(pieces) < 1000


# The value


TAILS = ["", "\n", "\n\n\n", "# done", "   \n", "\n# done\n\n"]


@pytest.mark.parametrize(
    ("code", "tail"), list(itertools.product(["1 + 2\n", "x = 1\n", "x = [1]\nx\n", "1\nNone\n"], TAILS))
)
async def test_the_last_value_is_that_of_the_plain_tool(code, tail):
    partial, plain = Completion(), Completion()
    session = Session(plain.state, plain._meter)
    try:
        streamed = await partial.call(*(code + tail).splitlines(keepends=True))
        pieces = plain_tool(INTERPRETERS).function(code=code + tail, session=session)
        assert streamed == "".join([str(piece) async for piece in pieces])
    finally:
        await partial.state.aclose()
        await plain.state.aclose()


# The watch


def watched(folder: Path, *pids: int, **limits: int) -> Watched:
    most = {"task_count": 100, "memory_bytes": 1 << 40, "folder_bytes": 1 << 40, "folder_files": 1000, **limits}
    group = Watched(os.getpgrp(), folder, GroupLimits(**most), lambda: None)
    group.pids = list(pids)
    return group


async def test_shared_memory_is_had_in_small_pieces_only(interpreter):
    assert "Cannot allocate memory" in await failure(interpreter, "import mmap\nmmap.mmap(-1, (16 << 20) + 1)")
    assert await printed(interpreter, "m = mmap.mmap(-1, 16 << 20); m[:3] = b'abc'; print(m[:3])") == "b'abc'\n"


async def test_shared_memory_counts_though_it_was_let_go():
    hog = "import mmap, time\nms = [mmap.mmap(-1, 16 << 20) for _ in range(40)]\ntime.sleep(60)"
    assert "more than 512 MiB of memory" in await death(hog, group_memory_bytes=512 << 20)


async def test_buffers_of_sockets_count():
    hog = (
        "import socket, time\nps = [socket.socketpair() for _ in range(55)]\nimport os\nos.fork()\nfor _ in range(3): "
    )
    hog += "\n  if os.fork() == 0: ps = 0; ps = [socket.socketpair() for _ in range(55)]\ntime.sleep(60)"
    assert "more than 100 MiB of memory" in await death(hog, group_memory_bytes=100 << 20)


@pytest.mark.parametrize("call", ["285, 3, 0, 0, 4096", "435, 0, 0"])
async def test_what_is_not_there_says_so(interpreter, call):
    code = f"import ctypes, errno\nlibc = ctypes.CDLL(None, use_errno=True)\nlibc.syscall({call})\n"
    if os.uname().machine != "x86_64":
        pytest.skip("numbers of x86-64")
    assert await printed(interpreter, code + "print(errno.errorcode[ctypes.get_errno()])") in (
        "EOPNOTSUPP\n",
        "ENOSYS\n",
        "ENOTSUP\n",
    )


async def test_posix_fallocate_writes_instead(interpreter):
    code = (
        "import os\nfd = os.open('f', os.O_RDWR | os.O_CREAT)\nos.posix_fallocate(fd, 0, 100_000)\nos.fstat(fd).st_size"
    )
    await printed(interpreter, code)
    assert await interpreter.last_value() == "100000"


async def test_a_process_that_hides_itself_is_the_groups_end():
    hide = (
        "import os\nfd = os.open('xsleep', os.O_WRONLY | os.O_CREAT, 0o111)\n"
        "_ = os.write(fd, open('/bin/sleep', 'rb').read()); os.close(fd)\n"
        "for n in range(12):\n    fd = os.open('g', os.O_RDWR | os.O_CREAT); os.unlink('g')\n"
        "    _ = os.write(fd, bytes(1 << 20)); os.set_inheritable(fd, True)\n"
        "os.execv('./xsleep', ['xsleep', '60'])"
    )
    text = await death(hide, folder_bytes=8 << 20)
    assert "could not be looked at" in text or "its files took more than 8 MiB" in text


async def test_memory_of_a_process_without_its_first_thread_counts():
    hide = (
        "import ctypes, os, platform, threading, time\n"
        "def hog():\n    time.sleep(0.3); global x; x = bytearray(b'x') * (300 << 20); time.sleep(60)\n"
        "if os.fork() == 0:\n    threading.Thread(target=hog).start()\n"
        "    ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)\ntime.sleep(60)"
    )
    assert "more than 256 MiB of memory" in await death(hide, group_memory_bytes=256 << 20)


async def test_cpu_time_of_processes_that_are_gone_counts():
    chain = (
        "import os, time\n"
        "def burn():\n    end = time.process_time() + 0.3\n    while time.process_time() < end: pass\n"
        "while True:\n    if os.fork() == 0:\n        if os.fork() == 0: burn()\n        os._exit(0)\n"
        "    os.wait(); time.sleep(0.1)"
    )
    assert "more than 1 seconds of CPU time together" in await death(chain, group_cpu_seconds=1)


def test_cpu_time_counts_once_whoever_reaped_it():
    assert watch._ticks_since({}, {1: (5, 0), 2: (7, 0)}) == 12
    assert watch._ticks_since({1: (5, 0), 2: (7, 0)}, {1: (5, 9)}) == 2
    assert watch._ticks_since({1: (5, 0), 2: (7, 3)}, {1: (6, 0)}) == 1


async def test_mappings_without_an_end_are_the_groups():
    mappings = (
        "import ctypes, time\nlibc = ctypes.CDLL(None)\nlibc.mmap.restype = ctypes.c_void_p\n"
        "libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]\n"
        "f = open('f', 'w+b')\n_ = f.truncate(8192)\n"
        "for n in range(60000): _ = libc.mmap(None, 4096, 1 + 2 * (n & 1), 1, f.fileno(), 0)\ntime.sleep(60)"
    )
    assert "too many mappings to look at" in await death(mappings)


def test_a_look_spends_no_more_than_it_has(monkeypatch):
    budget = Budget()
    budget.spend(usage.GROUP_BYTES)
    with pytest.raises(Unseen, match="too many to look at"):
        budget.spend(1)
    monkeypatch.setattr(usage, "LOOK_SECONDS", -1.0)
    with pytest.raises(Unseen, match="too many to look at"):
        Budget().spend()


def test_a_look_that_does_not_end_ends_the_group_and_delays_no_other(tmp_path, monkeypatch):
    killed = []
    stalled, other = watched(tmp_path), watched(tmp_path)
    stalled.kill = lambda: killed.append("stalled")
    stalled.looked_at_since = time.monotonic() - watch.LONGEST_LOOK_SECONDS - 1
    looked = []
    monkeypatch.setattr(watch._looks, "submit", lambda look, group: looked.append(group))
    watch._round([stalled, other])
    assert killed == ["stalled"]
    assert looked == [other]
    assert stalled.breach == "it took too long to look at."


def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_bytes(b"x")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/link").symlink_to(tmp_path / "outside")
    assert len(list(usage.beneath(tmp_path / "inside", Budget()))) == 1
    assert list(usage.beneath(tmp_path / "inside/link", Budget())) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_closed_folder_is_a_breach(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    assert watch.breach_of(watched(tmp_path)) == "it had a folder that cannot be read."


def test_a_mapped_file_of_unknown_size_counts_as_the_largest(tmp_path, monkeypatch):
    held = usage.Held(mapped={(1, 1), (1, 2), (1, 3)}, files={(1, 1): 5})
    monkeypatch.setattr(usage, "held_by", lambda *_: held)
    assert watch.breach_of(watched(tmp_path, folder_bytes=20 << 20, file_bytes=10 << 20)) == (
        "its files took more than 20 MiB together."
    )


# The end


async def test_only_so_many_are_open_at_a_time_and_a_place_is_given_back():
    interpreters = Interpreters(
        fork_server(), limits=replace(DEFAULT_LIMITS, open_seconds=5.0), places=asyncio.Semaphore(1)
    )
    first = await interpreters.open()
    waiting = asyncio.create_task(interpreters.open())
    await asyncio.sleep(0)
    await first.aclose()
    async with aclosing(await waiting):
        with pytest.raises(InterpreterDied, match="Too many Python interpreters"):
            await replace(interpreters, limits=replace(DEFAULT_LIMITS, open_seconds=0.01)).open()


def test_a_leash_kills_the_whole_group_when_its_holder_is_killed():
    group = subprocess.Popen(["sh", "-c", "sleep 100 & sleep 100 & wait"], start_new_session=True)
    holder = "import sys, time; from tool_service.tools.python.leash import Leash; leash = Leash(int(sys.argv[1]));"
    with subprocess.Popen(
        [sys.executable, "-c", f"{holder} print(flush=True); time.sleep(100)", str(group.pid)],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    ) as process:
        process.stdout.read(1)
        process.kill()
    assert group.wait(10) == -9
    deadline = time.monotonic() + 10
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group.pid, 0)
            time.sleep(0.01)


def test_a_leash_that_is_released_kills_too():
    group = subprocess.Popen(["sleep", "100"], start_new_session=True)
    Leash(group.pid).release()
    assert group.wait(10) == -9


def test_folders_that_nobody_holds_are_swept_and_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(workplace.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(workplace, "copy_font_cache", lambda *_: None)
    mine = workplace.Workplace(tmp_path)
    left = tmp_path / "conveyor-python-left"
    (left / "work").mkdir(parents=True)
    (tmp_path / "conveyor-python-link").symlink_to(mine.folder)
    with contextlib.suppress(FileExistsError):
        (tmp_path / "another").mkdir()
    assert workplace.sweep() == [left]
    assert mine.folder.exists()
    assert not left.exists()
    assert (tmp_path / "another").exists()
    mine.remove()
    assert not mine.folder.exists()
