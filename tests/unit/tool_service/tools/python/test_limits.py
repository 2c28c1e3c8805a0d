"""What an interpreter may use, and what it is told when it uses more."""

from contextlib import aclosing

import pytest

from tests.interpreters import opened
from tests.unit.tool_service.tools.python.interpreting import failure, folder_of
from tool_service.tools.python.interpreter import (
    InterpreterLimits,
)


async def test_too_much_memory_is_an_error_or_a_death_but_is_told():
    async with aclosing(await opened(InterpreterLimits(memory_bytes=512 << 20))) as interpreter:
        assert "MemoryError" in await failure(interpreter, "x = bytearray(1 << 30)")
        await failure(interpreter, "x = []\nwhile True: x.append(bytearray(1 << 20))")


async def test_too_much_cpu_time_is_a_death():
    async with aclosing(await opened(InterpreterLimits(cpu_seconds=1))) as interpreter:
        assert "has used its 1 seconds of CPU time" in await failure(interpreter, "while True: pass")


async def test_files_and_descriptors_are_limited(interpreter):
    assert "File too large" in await failure(interpreter, "open('f', 'wb').write(bytes(65 << 20))")
    assert "Too many open files" in await failure(interpreter, "fs = [open('f') for _ in range(300)]")


async def test_a_fork_bomb_is_stopped():
    limits = InterpreterLimits(spare_process_count=20, group_task_count=1000)
    async with aclosing(await opened(limits)) as interpreter:
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
    async with aclosing(await opened(InterpreterLimits(**limits))) as interpreter:
        folder = await folder_of(interpreter)
        assert sentence in await failure(interpreter, f"{statement}\nimport time; time.sleep(60)")
        assert not interpreter.is_alive
    assert not folder.exists()
