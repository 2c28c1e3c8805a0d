"""`conveyor up` and `models` with stand-ins for the services: packages of the same names in the working folder."""

import asyncio
import json
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from decoder_service.models.__main__ import main as pull_models
from decoder_service.models.catalogue import DEFAULT
from gateway.cli.app import app
from gateway.cli.processes import free_addresses
from tests.certificates import Authority

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "tests" / "unit" / "gateway" / "cli" / "stand_in.py"
CONVEYOR = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from gateway.cli import main; main()"
MODULES = ("tool_service", "decoder_service", "gateway")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for module in MODULES:
        behave(tmp_path, module, "serve")
    (tmp_path / "decoder_service" / "models.py").write_text("print([])")  # else the real one would convert a model
    return tmp_path


def behave(folder: Path, module: str, behaviour: str) -> None:
    (folder / module).mkdir(exist_ok=True)
    program = f"import sys; sys.argv.insert(1, {behaviour!r}); exec(open({str(STAND_IN)!r}).read())"
    (folder / module / "__main__.py").write_text(program)


async def start(folder: Path, *arguments: str) -> Process:
    environment = {"PATH": "/usr/bin:/bin", "CONVEYOR_CACHE": str(folder / "cache")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CONVEYOR, *arguments), cwd=folder, env=environment, stdout=PIPE, stderr=PIPE
    )


def addresses() -> list[str]:
    tools, decoder, gateway, http, *metrics = free_addresses(6)
    return [
        *("--tools-address", tools, "--decoder-address", decoder, "--gateway-address", gateway),
        *("--http-address", http, "--decoder.metrics-address", metrics[0], "--tools.metrics-address", metrics[1]),
    ]


async def first_line(process: Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.readline()


def log(folder: Path, name: str) -> str:
    (path,) = (folder / "cache" / "logs").glob(f"*/{name}.log")
    return path.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_up_says_where_things_are_and_one_signal_drains_all(folder, number):
    process = await start(folder, "up", "--json", "--model", "tiny", "--decoder.max-running", "8", *addresses())
    ready = json.loads(await first_line(process))
    assert ready["process_ids"].keys() == {"tools", "decoder", "gateway"}
    process.send_signal(number)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors
    assert all("drained" in log(folder, name) for name in ("tools", "decoder", "gateway"))
    flags = json.loads(log(folder, "decoder").splitlines()[0])["arguments"]
    assert flags[flags.index("--model") + 1] == "tiny"
    assert flags[flags.index("--max-running") + 1] == "8"
    assert flags[flags.index("--tools-address") + 1] == ready["tools_address"]


async def test_up_for_people(folder):
    process = await start(folder, "up", *addresses())
    assert process.stdout is not None
    lines = [line async for line in until_ready(process)]
    process.send_signal(signal.SIGINT)
    rest, _ = await process.communicate()
    assert lines[0].startswith("logs: ")
    assert "decoder: ready" in lines
    assert any(line.startswith("  HTTP      http://127.0.0.1:") for line in lines)
    assert rest.decode() == "stopping; once more stops at once\n"


async def until_ready(process: Process):
    assert process.stdout is not None
    async for line in process.stdout:
        yield line.decode().rstrip("\n")
        if line.startswith(b"ready"):
            return


async def test_a_service_that_dies_early_is_reported_and_the_others_are_stopped(folder):
    behave(folder, "decoder_service", "crash")
    process = await start(folder, "up", "--json", *addresses())
    output, errors = await process.communicate()
    assert process.returncode == 1
    assert output == b""
    assert "error: the decoder service ended with exit code 3\n" in errors.decode()
    assert "  | info: cannot load the model\n" in errors.decode()
    assert "cache/logs/" in errors.decode()


async def test_a_second_signal_kills_at_once(folder):
    behave(folder, "tool_service", "stubborn")
    process = await start(folder, "up", "--json", "--tools.grace-seconds", "60", *addresses())
    await first_line(process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while b"stopping" not in await process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 10) == 130
    assert await process.stderr.read() == b"stopped at once\n"


async def test_verbose_shows_the_logs(folder):
    process = await start(folder, "up", "--verbose", "--json", *addresses())
    await first_line(process)
    process.send_signal(signal.SIGTERM)
    _, errors = await process.communicate()
    assert "gateway | info: drained\n" in errors.decode()


async def test_a_taken_address_is_named_before_anything_starts(folder):
    given = addresses()
    server = await asyncio.start_server(lambda reader, writer: writer.close(), *given[1].split(":"))
    async with server:
        process = await start(folder, "up", *given)
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert f"error: {given[1]} is taken by another process\n" in errors.decode()
    assert "--tools.address" in errors.decode()


def over_tls(folder: Path, ours: Authority, *, trusted: Authority) -> list[str]:
    """Options with which each service shows a certificate and wants one, and `trusted` is whom callers trust."""
    shown = [
        *("--gateway.tls", ours.pair("gateway")),
        *("--decoder.tls", ours.pair("decoder")),
        *("--tools.tls", ours.pair("tools")),
        *("--gateway.peer-tls", ours.pair("calling-gateway")),
        *("--decoder.peer-tls", ours.pair("calling-decoder")),
    ]
    options = []
    for option, pair in zip(shown[::2], shown[1::2], strict=True):
        options += [f"{option}.cert", pair.cert, f"{option}.key", pair.key]
        authority = ("ca", trusted.ca) if "peer" in option else ("client-ca", ours.ca)
        options += [f"{option}.{authority[0]}", authority[1]]
    return options


async def test_up_asks_for_health_over_mutual_tls_and_says_what_callers_need(folder):
    ours = Authority(folder)
    options = [*over_tls(folder, ours, trusted=ours), "--gateway.keys-file", "keys"]
    process = await start(folder, "up", *options, *addresses())
    lines = [line async for line in until_ready(process)]
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert any(line.startswith("  HTTP      https://127.0.0.1:") for line in lines)
    assert any("CONVEYOR_API_KEY" in line for line in lines)
    assert lines[-1].endswith(" --ca FILE")


@pytest.mark.parametrize("mistrusting", ["caller", "service"])
async def test_up_says_which_certificate_is_not_trusted_and_does_not_wait_for_ever(folder, mistrusting):
    (folder / "other").mkdir()
    ours, stranger = Authority(folder), Authority(folder / "other", "stranger")
    options = over_tls(folder, ours, trusted=stranger if mistrusting == "caller" else ours)
    if mistrusting == "service":  # it closes the connection, and says nothing
        options = [
            stranger.ca if before.endswith("client-ca") else option for before, option in pairwise(["", *options])
        ]
    process = await start(folder, "up", *options, *addresses())
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert re.search(r"error: the (tools|decoder|gateway) service at \S+ and its callers do not trust", errors.decode())
    assert "gateway.peer_tls.ca" in errors.decode()


async def test_up_refuses_an_address_that_others_reach_without_keys_before_anything_starts(folder):
    process = await start(folder, "up", *addresses()[:4], "--gateway-address", "0.0.0.0:50051")
    output, errors = await process.communicate()
    assert (process.returncode, output) == (2, b"")
    assert b"can be reached from other machines" in errors and b"conveyor keys new NAME" in errors
    assert not (folder / "cache").exists()


@pytest.mark.parametrize("wrong", [("--modle", "x"), ("--decoder.threads",), ("--config", "missing.toml"), ("stray",)])
async def test_wrong_usage_exits_2(folder, wrong):
    process = await start(folder, "up", *wrong)
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors


async def test_models_are_the_decoders_affair(folder):
    (folder / "decoder_service" / "models.py").write_text("import sys; print(sys.argv[1:]); sys.exit(4)")
    process = await start(folder, "models", "pull", "tiny", "--json")
    output, _ = await process.communicate()
    assert process.returncode == 4
    assert output.decode() == "['pull', 'tiny', '--json']\n"


MODELS = """
import json, sys
print(sys.argv[1:], file=sys.stderr)
names = ("small", "here")
print(json.dumps([{"name": name, "default": name == "small", "ready": name == "here"} for name in names]))
sys.exit(STATUS if sys.argv[1] == "pull" else 0)
"""


@pytest.mark.parametrize(
    ("chosen", "pulled"), [((), True), (("--model", "here"), False), (("--model", "hub/x"), False)]
)
async def test_a_model_that_is_not_ready_is_prepared_first(folder, chosen, pulled):
    (folder / "decoder_service" / "models.py").write_text(MODELS.replace("STATUS", "0"))
    process = await start(folder, "up", "--json", *chosen, *addresses())
    assert "gateway_address" in json.loads(await first_line(process))
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert ("['pull', 'small']" in errors.decode()) is pulled


async def test_where_the_model_cannot_be_prepared_nothing_starts(folder):
    (folder / "decoder_service" / "models.py").write_text(MODELS.replace("STATUS", "4"))
    process = await start(folder, "up", *addresses())
    output, _ = await process.communicate()
    assert (process.returncode, output) == (4, b"")


async def test_pulling_where_nothing_can_be_written_says_what_to_do():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "decoder_service.models", "pull"),
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "CONVEYOR_CACHE": "/dev/null/nope"},
        stderr=PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert errors.startswith(b"error: ")
    assert b"CONVEYOR_CACHE" in errors
    assert b"Traceback" not in errors


def test_pulling_an_unknown_model_says_where_to_look(capsys):
    assert pull_models(["pull", "nosuchthing"]) == 1
    assert "`conveyor models list` shows what there is." in capsys.readouterr().err


def test_pulling_can_be_interrupted(capsys, monkeypatch):
    def interrupted(_: str) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("decoder_service.models.store.pull", interrupted)
    assert pull_models(["pull"]) == 130
    assert capsys.readouterr().err == "cancelled\n"


async def test_removing_is_the_decoders_own_command(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CONVEYOR, "models", "remove", DEFAULT, "--yes", "--json"),
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "CONVEYOR_CACHE": str(tmp_path)},
        stdout=PIPE,
    )
    output, _ = await process.communicate()
    assert (process.returncode, json.loads(output)) == (0, {"name": DEFAULT, "removed": False})


def test_without_the_decoder_models_says_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["models", "list"])
    assert result.exit_code == 1
    assert "the decoder is not installed" in result.stderr
