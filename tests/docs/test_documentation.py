"""The documentation says what is so: its examples run, its commands, links and tables are right.

What is to be run is marked in the Markdown, invisibly for readers:

    <!-- file: NAME -->      the block below is a file of this name
    <!-- calls: NAME -->     the block below is a terminal: lines after `$ ` are run where the tools of file NAME are
                             offered, the other lines must come out, in this order
    <!-- shell -->           the block below is a terminal: the lines after `$ ` and `> ` print the others
    <!-- settings: … -->, <!-- metrics -->, <!-- reasons -->     the table below must be complete
"""

import asyncio
import contextlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from asyncio.subprocess import PIPE
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from decoder_service.metrics import DecoderMetrics
from decoder_service.models.loader import LoadedModel
from decoder_service.settings import DecoderSettings
from gateway.cli.app import app
from gateway.cli.plan import Plan, parse_flags
from gateway.cli.processes import Services, free_addresses
from gateway.metrics import Metrics
from gateway.service import Gateway
from gateway.settings import GatewaySettings
from protos.rpc.errors import CATALOGUE
from protos.rpc.settings import ServiceSettings
from tests.integration import stack
from tests.processes import until
from tests.unit.tool_service.completions import Log, end, start, written
from tool_service.execution import events as ev
from tool_service.execution.runner import Runner
from tool_service.formats import FORMATS
from tool_service.formats.events import CallSealed
from tool_service.metrics import ToolMetrics
from tool_service.settings import ToolSettings
from tool_service.tools.mcp.settings import McpServerSettings
from tool_service.tools.sources import tools_of

ROOT = Path(__file__).resolve().parents[2]
README, DOCS = ROOT / "README.md", ROOT / "docs"
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
SETTINGS = {"gateway": GatewaySettings, "decoder": DecoderSettings, "tools": ToolSettings}
SHARED = set(ServiceSettings.model_fields)
PACKAGES = ("protos/rpc", "protos/schemas", "gateway", "decoder_service", "tool_service")

_MARKED = re.compile(r"<!-- (file|calls): (\S+) -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def marked(kind: str) -> dict[str, str]:
    """Blocks of one kind, by the name in their mark, over all documents."""
    found = [match for path in DOCUMENTS for match in _MARKED.findall(path.read_text("utf-8")) if match[0] == kind]
    assert len({name for _, name, _ in found}) == len(found), "two blocks have one name"
    return {name: text for _, name, text in found}


def table(path: Path, mark: str) -> dict[str, list[str]]:
    """The rows of the table below a mark: first cell, without its backticks, to the others."""
    _, _, after = path.read_text("utf-8").partition(f"<!-- {mark} -->\n\n")
    lines = after.partition("\n\n")[0].splitlines()[2:]
    assert lines, f"{path.name} has no table below {mark}"
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]
    assert len({row[0] for row in rows}) == len(rows), "two rows for one thing"
    return {row[0]: row[1:] for row in rows}


def code_lines(path: Path) -> Iterator[str]:
    """What stands as code: the lines of blocks, prompts and comments taken off, and code in sentences."""
    text = path.read_text("utf-8")
    for _, block in _FENCED.findall(text):
        yield from (re.sub(r"\s#.*", "", line).removeprefix("$ ").strip() for line in block.splitlines())
    yield from _INLINE.findall(_FENCED.sub("", text))


def commands(program: str, paths: list[Path] = DOCUMENTS) -> list[str]:
    found = [line for path in paths for line in code_lines(path) if line.split()[:1] == [program]]
    assert found, f"no {program} command is documented"
    return found


async def run(*command: str, cwd: Path, **environment: str) -> tuple[int | None, str]:
    """Exit status and all that was said, standard output first."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, stdout=PIPE, stderr=PIPE
    )
    try:
        output, errors = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return process.returncode, output.decode() + errors.decode()


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A folder with every file of the documentation."""
    for name, text in marked("file").items():
        (tmp_path / name).write_text(text)
    return tmp_path


# --- examples -------------------------------------------------------------------------------------------------------


async def test_tools_are_loaded_and_answer_as_shown(examples: Path) -> None:
    calls = marked("calls")
    address, metrics_address = free_addresses(2)
    flags = parse_flags(["--tools.modules", ",".join(calls), "--tools.address", address])
    plan = Plan({**flags, ("tools", "metrics-address"): metrics_address})
    service = next(service for service in plan.services() if service.name == "tools")
    with contextlib.chdir(examples):  # where the service looks for the files
        services = Services([service], examples / "logs")
        await services.start()
    try:
        await services.wait_healthy()
        await asyncio.gather(*(answers_as_shown(block, examples, address) for block in calls.values()))
    finally:
        await services.stop()


async def answers_as_shown(terminal: str, folder: Path, address: str) -> None:
    for part in re.split(r"^\$ ", terminal, flags=re.MULTILINE)[1:]:
        command, *expected = part.splitlines()
        program, *arguments = shlex.split(command)
        assert program == "conveyor"
        conveyor = (sys.executable, "-m", "gateway.cli")
        status, said = await run(*conveyor, *arguments, cwd=folder, CONVEYOR_TOOLS_ADDRESS=address)
        assert said.splitlines()[: len(expected)] == expected, command
        assert status == (1 if expected[0].startswith("error") else 0)


@pytest.mark.timeout(240)  # the first test may have to convert the model
async def test_the_client_prints_text_calls_and_ledger(
    model: LoadedModel, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[int] = []

    class Told(Gateway):
        async def start(self) -> None:
            await super().start()
            ports.append(self.port)

    monkeypatch.setattr(stack, "Gateway", Told)
    async with stack.running_stack(model):
        address = f"127.0.0.1:{ports[0]}"
        status, said = await run(sys.executable, "client.py", cwd=examples, CONVEYOR_GATEWAY_ADDRESS=address)
    assert status == 0, said
    assert said.startswith("```python\n")
    assert "[call_1 runs]" in said
    assert "[call_1 ended: " in said
    assert re.search(r"^ *completion +\d+\.\d{3} s$", said, re.MULTILINE)
    assert re.search(r"^ *hidden +\d+\.\d{3} s$", said, re.MULTILINE)


@pytest.mark.timeout(240)
async def test_the_openai_client_prints_a_ledger(model: LoadedModel, examples: Path) -> None:
    async with stack.running_stack(model) as running:
        status, said = await run(sys.executable, "chat.py", cwd=examples, OPENAI_BASE_URL=f"{running.http}/v1")
    assert status == 0, said
    assert "'completion_seconds': " in said.splitlines()[-1]


def runner_of(examples: Path, file: str, log: Log) -> Runner:
    """A completion in mode partial that may call the tools of one of the files."""
    with contextlib.chdir(examples):
        tools = tools_of(file)
    sys.modules.pop(Path(file).stem, None)
    return start(log, *tools)


async def test_a_stream_is_read_while_it_is_written(examples: Path) -> None:
    log = Log()
    runner = runner_of(examples, "my_tools.py", log)
    runner.text('<tool_call>{"name": "shout", "arguments": {"text": "to be or ')
    await log.until(lambda event: event == ev.CallOutput("call_1", "TO BE OR "))
    await end(runner, "length")
    await runner.aclose()
    assert "INCOMPLETE" in str(log.events)


async def test_a_session_is_shared_by_the_calls_of_a_completion(examples: Path) -> None:
    log = Log()
    runner = runner_of(examples, "notes.py", log)
    for text in ("to be", "or not"):
        runner.text(written("note", text=text))
    await end(runner)
    await runner.aclose()
    assert [event.outcome for event in log.of(ev.CallFinished)] == ["1", "2"]


async def test_what_a_call_prepared_is_undone_when_it_is_cut_off(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(examples)
    log = Log()
    runner = runner_of(examples, "save.py", log)
    runner.text('<tool_call>{"name": "save", "arguments": {"path": "poem.txt", "text": "to ')
    await until((examples / "poem.draft").exists)
    await end(runner, "length")
    await runner.aclose()
    assert not list(examples.glob("poem.*"))
    assert "INCOMPLETE" in str(log.events)


async def test_a_rejecting_tool_stops_the_turn_before_the_rest_is_written(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(examples)
    (examples / "poem.txt").write_text("to be")
    log = Log()
    runner = runner_of(examples, "save.py", log)
    runner.text('<tool_call>{"name": "save", "arguments": {"path": "poem.txt", ')
    await log.until(lambda event: event == ev.TurnVetoed("call_1", "poem.txt exists already"))
    await end(runner, "veto")
    await runner.aclose()


def test_the_file_of_settings_is_one(tmp_path: Path) -> None:
    blocks = [block for kind, block in _FENCED.findall((DOCS / "configuration.md").read_text()) if kind == "toml"]
    (tmp_path / "conveyor.toml").write_text(blocks[0])
    tables = tomllib.loads(blocks[0])
    assert set(tables) == set(SETTINGS)
    for section, kind in SETTINGS.items():
        settings = kind.load(["--config", str(tmp_path / "conveyor.toml")])
        assert tables[section].items() <= settings.model_dump().items()


# --- commands and links ---------------------------------------------------------------------------------------------


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for line in commands("make") if " " in line}
    assert named <= targets
    assert {line.split()[1] for line in commands("make", [README]) if " " in line} >= {"demo", "test"}


@pytest.mark.parametrize("line", sorted(set(commands("conveyor"))))
def test_every_conveyor_command_exists(line: str, examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(examples)
    (examples / "conveyor.toml").touch()
    monkeypatch.delenv("CONVEYOR_GATEWAY_ADDRESS", raising=False)
    words = shlex.split(line)[1:]
    command = typer.main.get_command(app)
    while words and isinstance(getattr(command, "commands", None), Mapping):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    if not words or "--help" in words:
        return
    context = command.make_context(line, list(words))  # parses as the command would, and raises what it would say
    if context.args:
        for section, key in parse_flags(context.args):
            fields = SETTINGS[section].model_fields.items()
            paths = {path for name, field in fields for path, _ in flat(name, field.default)}
            assert key.replace("-", "_") in paths, line


def test_every_module_that_is_to_be_run_exists() -> None:
    named = {line.split()[2] for line in commands("python") if line.split()[1:2] == ["-m"]}
    assert named
    assert [name for name in named if find_spec(name) is None] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    links = [link for link in _LINK.findall(_FENCED.sub("", path.read_text("utf-8"))) if "://" not in link]
    for link in links:
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(path: Path) -> set[str]:
    """What links can name in a document: its headings, in lower case, with hyphens for spaces and no other marks."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_line_of_prose_is_no_longer_than_a_line_of_code(path: Path) -> None:
    prose = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_the_override_of_the_containers_names_what_is_there_and_gives_a_way_out() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    text = (DOCS / "operations.md").read_text("utf-8")
    (override,) = [yaml.safe_load(block) for kind, block in _FENCED.findall(text) if kind == "yaml"]
    (name, service), *others = override["services"].items()
    assert not others
    assert set(service["networks"]) > set(compose["services"][name]["networks"])
    assert [network for network in service["networks"] if not compose["networks"][network].get("internal")]
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in service["environment"].items():
            patch.setenv(variable, value)
        SETTINGS[name].load([])  # an unknown variable is an error


# --- tables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_table_has_two_rows_for_one_thing(path: Path) -> None:
    """Paths of places above all: a row that was written twice is two that say different things sooner or later."""
    for lines in re.findall(r"(?:^\|.*\n)+", _FENCED.sub("", path.read_text("utf-8")), re.MULTILINE):
        cells = [row.strip("|").split(" | ")[0].strip() for row in lines.splitlines()[2:]]
        things = [thing for cell in cells for thing in (_LINK.findall(cell) or [cell])]
        assert sorted(set(things)) == sorted(things)


def shown_default(value: object) -> str:
    if value == "":
        return "empty"
    return str(value).lower() if isinstance(value, bool) else str(value)


def flat(path: str, default: Any) -> Iterator[tuple[str, Any]]:
    """A setting and its default; of a table, each of its keys."""
    if not isinstance(default, BaseModel):
        yield path, default
        return
    for name in type(default).model_fields:
        yield from flat(f"{path}.{name}", getattr(default, name))


@pytest.mark.parametrize(
    ("section", "kind", "names"),
    [
        ("shared", ServiceSettings, SHARED),
        *((section, kind, set(kind.model_fields) - SHARED) for section, kind in SETTINGS.items()),
    ],
)
def test_the_tables_of_settings_name_each_with_its_default(
    section: str, kind: type[ServiceSettings], names: set[str]
) -> None:
    rows = table(DOCS / "configuration.md", f"settings: {section}")
    defaults = {path: value for name in names for path, value in flat(name, kind.model_fields[name].default)}
    assert {name: row[0] for name, row in rows.items()} == {
        path: shown_default(value) for path, value in defaults.items()
    }


def test_the_table_of_an_mcp_servers_keys_names_each_with_its_default() -> None:
    rows = table(DOCS / "configuration.md", "settings: mcp")
    fields = McpServerSettings.model_fields
    assert {name: row[0] for name, row in rows.items()} == {
        name: shown_default(field.default) for name, field in fields.items()
    }


def test_the_table_of_reasons_is_the_catalogue() -> None:
    rows = table(DOCS / "operations.md", "reasons")
    assert {name: row[0] for name, row in rows.items()} == {
        str(reason): status.name for reason, status in CATALOGUE.items()
    }
    assert all(row[1] for row in rows.values())


class NoEngine:
    """An engine that does nothing."""

    cache_usage = 0.0

    def counts(self) -> dict[str, int]:
        return {"waiting": 0}


def test_the_table_of_metrics_names_each_and_its_service() -> None:
    decoder, tools = CollectorRegistry(), CollectorRegistry()
    DecoderMetrics(NoEngine(), decoder)
    ToolMetrics(tools)
    registries = {"gateway": Metrics().registry, "decoder": decoder, "tool service": tools}
    names = {
        family.name + "_total" * (family.type == "counter"): service
        for service, registry in registries.items()
        for family in registry.collect()
        if family.name.startswith("conveyor_")
    }
    assert {name: row[0] for name, row in table(DOCS / "operations.md", "metrics").items()} == names


def test_the_table_of_tool_errors_is_the_contracts() -> None:
    contract = (ROOT / "protos/conveyor/tool/v1/tool.proto").read_text()
    codes = re.search(r"Stable and short: ([A-Z_,\s/]+)\.", contract)
    assert codes is not None
    section = (DOCS / "tools.md").read_text().partition("## How a call fails")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([A-Z_]+)`", section, re.MULTILINE) == re.findall(r"[A-Z_]+", codes[1])


def test_the_map_of_modules_names_each_module_and_no_other() -> None:
    text = (DOCS / "architecture.md").read_text()
    named = re.findall(r"^\| `([a-z0-9_/]+\.py)` \|", text, re.MULTILINE)
    there = {path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if not path.stem.startswith("__")}
    assert sorted(named) == sorted(str(path.relative_to(ROOT)) for path in there)


FORMATS_PAGE = (DOCS / "formats.md").read_text("utf-8")


def test_the_page_of_formats_shows_each_as_its_parser_reads_it() -> None:
    shown = re.findall(r"^### (\w+)\n\n(?:[^\n]+\n)+\n(`{3,})text\n(.*?)^\2$", FORMATS_PAGE, re.DOTALL | re.MULTILINE)
    assert [name for name, *_ in shown] == list(FORMATS)
    for name, _, text in shown:
        format_ = FORMATS[name]
        parser = format_.parser({})
        sealed = [event for event in [*parser.feed(text), *parser.close("stop")] if isinstance(event, CallSealed)]
        assert len(sealed) == 1
        assert format_.write(format_.only_tool or "get_weather", sealed[0].arguments) == text.removesuffix("\n")


def test_a_line_of_the_shell_prints_what_is_shown() -> None:
    for block in re.findall(r"<!-- shell -->\n```console\n(.*?)^```$", FORMATS_PAGE, re.DOTALL | re.MULTILINE):
        lines = block.splitlines()
        command = "\n".join(line[2:] for line in lines if line.startswith(("$ ", "> ")))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.stdout.splitlines() == [line for line in lines if not line.startswith(("$ ", "> "))]


def test_the_readme_says_where_each_folder_is() -> None:
    text = README.read_text()
    folders = {folder.parent for package in PACKAGES for folder in (ROOT / package).glob("*/*.py")} - {
        ROOT / "protos" / "rpc"
    }
    missing = [str(folder.relative_to(ROOT)) for folder in sorted(folders)]
    assert [folder for folder in missing if f"]({folder})" not in text] == []


def test_the_page_of_faults_names_tests_that_are_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "faults.md").read_text()))
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert named - set(re.findall(r"^(?:async )?def (test_\w+)\(", sources, re.MULTILINE)) == set()
