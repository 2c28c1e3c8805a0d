"""The examples run as their docstrings say, and each shows what it is there for."""

import json
import re
import shlex
import tarfile
from pathlib import Path

import pytest

from examples.backup import back_up
from examples.days_between import days_between
from examples.expenses import add_expenses
from tests.processes import until
from tests.unit.tool_service.completions import Log, end, start, written
from tool_service.execution import events as ev
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode
from tool_service.interface import Tool
from tool_service.settings import ToolSettings
from tool_service.tools.loading import open_host

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = {path.name: path for path in sorted((ROOT / "examples").glob("*.py"))}
COMMANDS = re.compile(r"^\$ (.*)\n((?:[^$\n].*\n)*)", re.MULTILINE)


async def told(tool: Tool, **arguments: object) -> str:
    """What a whole call answers, or what its error says; an ordinary function runs in a worker, as in the service."""
    log, host = Log(), ToolHost(by_name([tool]))
    runner = host.open(Start("hermes", (tool.name,), Mode.PARTIAL, Limits()), log).runner
    runner.text(written(tool.name, **arguments))
    await end(runner)
    await runner.aclose()
    await host.aclose()
    outcome = log.finished().outcome
    return outcome if isinstance(outcome, str) else f"{outcome.code}: {outcome.message}"


def test_there_are_three() -> None:
    assert list(EXAMPLES) == ["backup.py", "days_between.py", "expenses.py"]


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_does_what_its_docstring_shows(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    docstring = EXAMPLES[name].read_text().split('"""')[1]
    (up, _), (call, output) = COMMANDS.findall(docstring.replace("/tmp", str(tmp_path)))
    assert up == f"conveyor up --tools.modules examples/{name}"
    _, _, _, tool, _, arguments = shlex.split(call)
    async with open_host(ToolSettings(modules=[up.split()[-1]])) as host:
        found = host.tools[tool]
    assert await told(found, **json.loads(arguments)) == output.rstrip("\n")


async def test_days_are_counted() -> None:
    assert await told(days_between, first="2026-11-20", last="2026-12-01", only_weekdays=True) == "7"
    assert (
        await told(days_between, first="2026-11-22", last="2026-11-20") == "REJECTED: 2026-11-20 is before 2026-11-22"
    )
    assert (await told(days_between, first="tomorrow", last="2026-11-20")).startswith(
        "INVALID_ARGUMENTS: argument 'first'"
    )


async def test_expenses_count_while_they_are_written_and_last_for_the_completion() -> None:
    log = Log()
    runner = start(log, add_expenses)
    runner.text('<tool_call>{"name": "add_expenses", "arguments": {"lines": "coffee 3.50\\ntra')
    await log.until(lambda event: event == ev.CallOutput("call_1", "coffee: 3.50\n"))
    runner.text('in 12"}}</tool_call>\n' + written("add_expenses", lines="tea 2", currency="CHF"))
    await end(runner)
    await runner.aclose()
    assert [log.finished(number).outcome for number in (0, 1)] == [
        "coffee: 3.50\ntrain: 15.50\n15.50 EUR so far",
        "tea: 17.50\n17.50 CHF so far",
    ]


@pytest.mark.parametrize("line", ["coffee", "coffee black", "3.50", "coffee NaN", "coffee Infinity"])
async def test_an_expense_without_an_amount_stops_the_turn_at_its_line(line: str) -> None:
    log = Log()
    runner = start(log, add_expenses)
    runner.text(f'<tool_call>{{"name": "add_expenses", "arguments": {{"lines": "{line}\\n')
    await log.until(lambda event: isinstance(event, ev.TurnVetoed))
    await end(runner, "veto")
    assert "is not a name and an amount" in log.failure().message


async def test_an_archive_is_packed_before_the_seal_and_placed_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, drafts, archive = tmp_path / "notes", tmp_path / "drafts", tmp_path / "notes.tar.gz"
    folder.mkdir()
    drafts.mkdir()
    (folder / "a.txt").write_text("to be")
    monkeypatch.setattr("tempfile.tempdir", str(drafts))
    log = Log()
    runner = start(log, back_up)
    runner.text(f'<tool_call>{{"name": "back_up", "arguments": {{"folder": "{folder}", "archive": "{archive}"')
    await until(lambda: any(path.stat().st_size for path in drafts.iterdir()))
    assert not archive.exists()
    runner.text("}}</tool_call>")
    await end(runner)
    assert log.finished().outcome == f"wrote {archive}"
    assert list(drafts.iterdir()) == []
    with tarfile.open(archive) as packed:
        assert packed.getnames() == ["notes", "notes/a.txt"]


@pytest.mark.parametrize("reason", ["length", "veto"])
async def test_an_archive_whose_call_is_cut_off_leaves_nothing(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(drafts))
    log = Log()
    runner = start(log, back_up)
    runner.text(f'<tool_call>{{"name": "back_up", "arguments": {{"folder": "{tmp_path}", "archive": "{tmp_path}/x')
    await until(lambda: list(drafts.iterdir()))
    await end(runner, reason)
    await runner.aclose()
    assert log.failure().code == "INCOMPLETE"
    assert [path.name for path in tmp_path.rglob("*")] == ["drafts"]


async def test_an_archive_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    assert "FileExistsError" in await told(back_up, folder=str(ROOT / "protos"), archive=str(tmp_path / "x"))
    assert "there is no folder" in await told(back_up, folder=str(tmp_path / "none"), archive="x")
    assert (tmp_path / "x").read_text() == "old"
