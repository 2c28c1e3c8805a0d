"""The corpus of ways out, as whoever runs the tests and, where that is root, as an unprivileged user too."""

import ast
import os
import shutil
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.interpreters import fork_server
from tool_service.tools.python import selftest
from tool_service.tools.python.corpus import CORPUS, PREAMBLE
from tool_service.tools.python.interpreter import Interpreter

REPOSITORY = Path(__file__).parents[5]
QUICK = [part for part in CORPUS if part != "bombs"]
UNPRIVILEGED = 65533
AS_UNPRIVILEGED = [
    *("setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups", "--no-new-privs"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),  # Python itself may lie under /root
]


def run_selftest(folder: Path, parts: list[str], prefix: list[str]) -> str:
    folder.chmod(0o777)
    for parent in folder.parents[:2]:  # pytest's own are closed to others
        parent.chmod(0o755)
    environment = {**os.environ, "TMPDIR": str(folder), "HOME": str(folder), "CONVEYOR_CACHE": str(folder / "cache")}
    command = [*prefix, sys.executable, "-m", "tool_service.tools.python.selftest", *parts]
    result = subprocess.run(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert result.returncode == 0, result.stdout
    assert [path.name for path in folder.iterdir() if path.name != "cache"] == []
    return result.stdout


@pytest.fixture(params=["ourselves", "unprivileged"])
def prefix(request):
    if request.param == "ourselves":
        return []
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user, and by setpriv")
    return AS_UNPRIVILEGED


def test_no_attempt_gets_out(tmp_path, prefix):
    count = sum(len(CORPUS[part]) for part in QUICK)
    assert count >= 60
    user = UNPRIVILEGED if prefix else os.getuid()
    assert f"{count} attempts as user {user}, 0 escapes" in run_selftest(tmp_path, QUICK, prefix)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_bomb_reaches_beyond_its_interpreter(tmp_path, prefix):
    assert f"{len(CORPUS['bombs'])} attempts" in run_selftest(tmp_path, ["bombs"], prefix)


@pytest.mark.parametrize("part", CORPUS)
def test_attempts_are_programs_with_names_of_their_own(part):
    names = [attempt.name for attempt in CORPUS[part]]
    assert len(set(names)) == len(names)
    for attempt in CORPUS[part]:
        ast.parse(PREAMBLE + attempt.code)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("files", "read a file of the service"),
        ("files", "read it through a symbolic link"),
        ("files", "map it into memory"),
        ("files", "list the folder of the service"),
        ("files", "homes, variable data and what runs"),
        ("secrets", "/proc of anyone"),
        ("secrets", "list processes"),
        ("python", "subclasses to a file reader"),
        ("python", "subclasses to subprocess"),
        ("python", "pickles"),
    ],
)
async def test_attempts_would_succeed_without_a_boundary(part, name):
    """That they fail says something only if they are right."""
    server = fork_server()
    attempt = next(attempt for attempt in CORPUS[part] if attempt.name == name)
    async with (
        selftest.a_world(server) as world,
        aclosing(await Interpreter.open(server, has_boundary=False)) as interpreter,
    ):
        output: list[str] = []
        await selftest.tried(interpreter, attempt, world, output)
        assert await world.harm("".join(output))
