"""Two completions at once over one host: neither sees the other's variables, files, transactions or output."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.tool_service.completions import Log, written
from tool_service.execution import events as ev
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode
from tool_service.execution.workers import WorkerPool
from tool_service.interface import Session, Stream, tool
from tool_service.tools.python.settings import PythonSettings
from tool_service.tools.python.tool import python_tools
from tool_service.tools.sources import tools_of
from tool_service.tools.sql.settings import SqlSettings
from tool_service.tools.sql.tool import sql_tools

WORKER_TOOLS = """
import os, time
from tool_service.interface import tool

@tool
def spell(word: str) -> str:
    "Spell a word, slowly, where others could be heard."
    letters = []
    for letter in word:
        letters.append(letter)
        time.sleep(0.01)
    return "-".join(letters)
"""
STEPS = 4


class Notes:
    """What a completion has noted down."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @classmethod
    async def open(cls) -> "Notes":
        return cls()

    async def aclose(self) -> None:
        self.texts.clear()


@tool
async def note(text: Stream[str], session: Session) -> AsyncIterator[str]:
    """Note words down, and say what there is."""
    async with session.exclusive(Notes.open) as notes:
        async for piece in text:
            notes.texts.append(piece)
        yield "".join(notes.texts)


def python_of(name: str) -> str:
    """Leaves a variable and a file, and looks for what the other may have left."""
    return (
        "import os, time\n"
        "seen = sorted(name for name in globals() if name.startswith('mine_'))\n"
        f"mine_{name} = 1\n"
        f"with open('{name}.txt', 'w') as file: file.write('{name}')\n\n"
        "time.sleep(0.05)\n"
        "print(seen, sorted(name for name in globals() if name.startswith('mine_')), os.listdir())\n"
    )


def sql_of(name: str, database_id: int) -> str:
    return f"INSERT INTO t VALUES ({database_id}, '{name}'); SELECT group_concat(name) FROM t;"


def turn_of(name: str, number: int) -> str:
    return "".join(
        [
            written("python", code=python_of(name)),
            written("note", text=f"{name}1 "),
            written("spell", word=name),
            written("note", text=f"{name}2 "),
            written("sql", script=sql_of(name, number)),
        ]
    )


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    connection.close()
    return path


@pytest.fixture
async def host(tmp_path: Path, database: Path) -> AsyncIterator[ToolHost]:
    (tmp_path / "spelling.py").write_text(WORKER_TOOLS)
    async with python_tools(PythonSettings()) as pythons:
        tools = [
            *pythons,
            *sql_tools(SqlSettings(database=str(database), writable=True)),
            *tools_of(str(tmp_path / "spelling.py")),
            note,
        ]
        made = ToolHost(by_name(tools), workers=WorkerPool(2))
        yield made
        await made.aclose()


async def completion(host: ToolHost, name: str, number: int, cut_off: bool) -> tuple[Log, dict[str, str | ev.Failure]]:
    """Writes its turn in small pieces, the other's coming in between; cut off inside its last call or whole."""
    log = Log()
    runner = host.open(Start("hermes", tuple(host.tools), Mode.PARTIAL, Limits(), completion_id=name), log).runner
    text = turn_of(name, number)
    text = text[: text.rindex("SELECT")] if cut_off else text
    for start in range(0, len(text), STEPS):
        runner.text(text[start : start + STEPS])
        await asyncio.sleep(0.001)
    async with asyncio.timeout(60):
        await runner.end_turn("length" if cut_off else "stop")
    await runner.aclose()
    return log, {event.call_id: event.outcome for event in log.of(ev.CallFinished)}


async def test_two_completions_at_once_never_see_each_others_state_or_output(host: ToolHost, database: Path) -> None:
    names = ("ada", "bob")
    (log_a, ada), (log_b, bob) = await asyncio.gather(
        completion(host, "ada", 1, cut_off=False), completion(host, "bob", 2, cut_off=True)
    )
    for name, outcomes in zip(names, (ada, bob), strict=True):
        assert f"[] ['mine_{name}'] ['{name}.txt']" in str(outcomes["call_1"])
        assert outcomes["call_2"] == f"{name}1 "
        assert outcomes["call_3"] == "-".join(name)
        assert outcomes["call_4"] == f"{name}1 {name}2 "
    assert "ada\n" in str(ada["call_5"])  # a transaction sees itself, and not the other's, which was given up
    assert "[committed]" in str(ada["call_5"])
    assert getattr(bob["call_5"], "code", bob["call_5"]) == "INCOMPLETE"
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT id, name FROM t").fetchall() == [(1, "ada")]
    connection.close()
    for log, other in ((log_a, "bob"), (log_b, "ada")):
        assert not [event for event in log.events if other in str(event)]
