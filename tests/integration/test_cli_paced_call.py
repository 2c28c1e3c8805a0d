"""`conveyor tools call` at a model's pace, against the real tool service; what is asserted is order, never speed."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cli.artifacts import only_named
from gateway.cli.client import execute
from gateway.cli.failure import Peer
from gateway.cli.hand_call import HandCall, run_paced
from gateway.cli.options import Mode
from gateway.cli.paced_turn import LoopClock
from gateway.cli.pieces import pieces
from gateway.cli.show import Silent
from gateway.cli.written_call import CallFormat, written_call
from protos.conveyor.tool.v1 import tool_pb2 as pb
from tests.integration.commands import in_this_process
from tests.integration.stack import tool_service
from tool_service.interface import Arg, Artifact, Effect, Reject, Stream, tool
from tool_service.tools.calculator.tool import calculator

ROOT = Path(__file__).parents[2]
FAST = 10_000.0


class Words:
    """Cuts text into words."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[str]:
        *words, self._rest = (self._rest + text).split(" ")
        return [f"{word} " for word in words]

    def close(self) -> list[str]:
        return [self._rest]


@tool
async def shout(text: Stream[str]) -> AsyncIterator[str]:
    """Say a text in capitals, word by word."""
    async for word in text.units(Words()):
        yield word.upper()


@tool
async def go_to(place: Arg[str], why: Arg[str]) -> str:
    """Go to a place that is not Rome."""
    if await place == "Rome":
        raise Reject("all roads lead there")
    return await why


@tool
async def draw(text: Stream[str]) -> AsyncIterator[str | Artifact]:
    """Draw a picture of a text."""
    yield Artifact("../picture.png", "image/png", (await text).encode())


@tool(effect=Effect.WRITE, approve="ask")
def wipe(text: str) -> str:
    """Wipe a text out."""
    return f"wiped {text}"


class Hanging:
    """A tool that runs until it is cancelled."""

    def __init__(self) -> None:
        self.runs = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def wait(self, text: Stream[str]) -> str:
        """Wait for ever."""
        self.runs.set()
        try:
            return await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Recorder(Silent):
    """Keeps the kinds of the events in order, and says when the first of the kind `awaited` came."""

    def __init__(self, awaited: str = "") -> None:
        self.kinds: list[str] = []
        self.came = asyncio.Event()
        self._awaited = awaited

    def event(self, live: object, response: object) -> None:
        self.kinds.append(response.WhichOneof("event"))  # type: ignore[attr-defined]
        if self.kinds[-1] == self._awaited:
            self.came.set()

    def last(self, kind: str) -> int:
        return len(self.kinds) - 1 - self.kinds[::-1].index(kind)


class HeldBack(LoopClock):
    """Lets the last piece of `call` be due only when `recorder` has heard what it awaits."""

    def __init__(self, recorder: Recorder, call: HandCall) -> None:
        self._recorder = recorder
        self._left = len(pieces(call.text))

    async def comes(self, event: asyncio.Event, before: float) -> bool:
        self._left -= 1
        if not self._left:
            await self._recorder.came.wait()
        return await super().comes(event, before)


def call_of(name: str, mode: Mode = Mode.PARTIAL, **arguments: str) -> HandCall:
    return HandCall(name, written_call(name, json.dumps(arguments), CallFormat.JSON), CallFormat.JSON, mode)


def peer_at(port: int) -> Peer:
    return Peer("tool service", f"127.0.0.1:{port}", "--tools-address")


async def test_units_run_before_the_last_piece_is_written():
    recorder, call = Recorder("unit_finished"), call_of("shout", text="to be or not to be")
    async with tool_service([shout]) as port:
        ran = await run_paced(peer_at(port), call, FAST, None, only_named, recorder, HeldBack(recorder, call))
    assert recorder.kinds.index("unit_finished") < recorder.last("text_delta")
    assert recorder.kinds[-2:] == ["turn_finished", "finished"]
    assert (ran.output, ran.finished.result, ran.failure) == ("TO BE OR NOT TO BE", "TO BE OR NOT TO BE", None)
    assert ran.pace is not None
    assert ran.pace.units[0].text_offset < len(call.text)
    assert ran.pace.units[0].hidden == ran.pace.units[0].busy
    assert ran.pace.spared_count == 0


async def test_arguments_are_told_while_they_are_written():
    recorder, call = Recorder("arguments_delta"), call_of("shout", text="to be or not to be")
    async with tool_service([shout]) as port:
        await run_paced(peer_at(port), call, FAST, None, only_named, recorder, HeldBack(recorder, call))
    assert recorder.kinds.index("arguments_delta") < recorder.last("text_delta")


@pytest.mark.parametrize("mode", [Mode.SERIAL, Mode.PARALLEL, Mode.ON_SEAL])
async def test_in_the_other_modes_they_run_after_it(mode):
    recorder = Recorder()
    async with tool_service([shout]) as port:
        await run_paced(peer_at(port), call_of("shout", mode, text="to be or not"), FAST, None, only_named, recorder)
    assert recorder.kinds.index("call_started") > recorder.last("text_delta")


async def test_a_veto_spares_the_rest():
    recorder, call = Recorder("turn_vetoed"), call_of("go_to", place="Rome", why="to be or not to be")
    async with tool_service([go_to]) as port:
        ran = await run_paced(peer_at(port), call, FAST, None, only_named, recorder, HeldBack(recorder, call))
    assert ran.failure is not None
    assert ran.failure.reason == "REJECTED"
    assert ran.finished.arguments_json == ""  # it was never sealed
    assert ran.pace is not None
    assert ran.pace.spared_count > 0
    assert ran.pace.to_json()["finish_reason"] == "veto"


async def test_what_cannot_be_told_ends_the_call():
    class Full(Silent):
        def event(self, live: object, response: object) -> None:
            if response.HasField("text_delta"):  # type: ignore[attr-defined]
                raise BrokenPipeError

    async with tool_service([shout]) as port:
        with pytest.raises(BrokenPipeError):
            await run_paced(peer_at(port), call_of("shout", text="to be"), FAST, None, only_named, Full())


async def test_a_turn_that_cannot_be_made_ends_the_call():
    async def commands():
        yield pb.ExecuteRequest(text_delta=pb.TextDelta(text="{"))
        raise ValueError("no more")

    start = pb.ExecuteRequest(start=pb.Start(format="json", tools=["shout"]))
    async with tool_service([shout]) as port:
        with pytest.raises(ValueError, match="no more"):
            async for _ in execute(peer_at(port), start, commands(), "r1"):
                pass


# --- the command ----------------------------------------------------------------------------------------------------


async def started(port: int, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "tools", "call", *arguments),
        cwd=ROOT,
        env={**os.environ, "CONVEYOR_TOOLS_ADDRESS": f"127.0.0.1:{port}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def conveyor(port: int, *arguments: str) -> tuple[int | None, str, str]:
    process = await started(port, *arguments)
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_the_command_shows_units_result_and_ledger():
    async with tool_service([shout]) as port:
        status, output, errors = await conveyor(
            port, "shout", "--arguments", '{"text": "to be"}', "--tokens-per-second", "1000"
        )
    lines = errors.splitlines()
    assert (status, output) == (0, "TO BE\n")
    told = [line for line in lines if line.startswith("[shout]")]  # a busy machine may have all of the text before
    assert told[:2] == ["[shout] opened", "[shout] started"]
    assert sum(line.startswith("[shout] unit · text at 0.") for line in lines) == 4
    assert sum(line.startswith("text complete after ") for line in lines) == 1
    assert lines[-1].startswith("completion ")


async def test_the_command_for_programs():
    async with tool_service([shout]) as port:
        arguments = ("shout", "--arguments", '{"text": "to be"}', "--tokens-per-second", "1000", "--json")
        status, output, errors = await conveyor(port, *arguments)
    data = json.loads(output)
    assert (status, errors) == (0, "")
    assert data["result"] == data["output"] == "TO BE"
    assert [unit["label"] for unit in data["units"]] == ["start", "to", "be", "end"]
    assert (data["mode"], data["tokens_per_second"], data["finish_reason"]) == ("partial", 1000, "stop")
    ledger = data["ledger"]
    assert ledger["serial_seconds"] == pytest.approx(ledger["completion_seconds"] + ledger["hidden_seconds"], abs=1e-5)
    assert ledger["tool_seconds"] == pytest.approx(data["busy_seconds"], abs=1e-5)


async def test_a_comparison_for_programs():
    async with tool_service([go_to]) as port:
        arguments = ("go_to", "--arguments", '{"place": "Rome", "why": "no"}', "--tokens-per-second", "1000")
        status, output, errors = await conveyor(port, *arguments, "--compare", "--json")
    data = json.loads(output)
    assert status == 1
    assert "all roads lead there" in errors
    assert (data["serial"]["finish_reason"], data["serial"]["mode"]) == ("stop", "serial")
    assert data["partial"]["mode"] == "partial"
    assert set(data) == {"serial", "partial", "saved_seconds"}


async def test_a_comparison_for_people():
    async with tool_service([shout]) as port:
        arguments = ("shout", "--arguments", '{"text": "to be"}', "--tokens-per-second", "1000", "--compare")
        status, output, errors = await conveyor(port, *arguments)
    assert (status, output) == (0, "TO BE\n")
    assert [line.split()[0] for line in errors.splitlines() if "─" in line] == ["serial", "partial"]
    assert errors.splitlines()[-1].startswith("partial took ")


async def test_a_comparison_has_a_run_before_it_that_is_not_told():
    texts = []

    @tool
    async def note(text: Arg[str]) -> str:
        """Note."""
        texts.append(await text)
        return f"run {len(texts)}"

    async with tool_service([note]) as port:
        arguments = ("note", "--arguments", '{"text": "x"}', "--tokens-per-second", "1000", "--compare", "--json")
        _, output, _ = await conveyor(port, *arguments)
    data = json.loads(output)
    assert (data["serial"]["result"], data["partial"]["result"]) == ("run 2", "run 3")


async def test_what_changes_the_world_is_not_compared():
    async with tool_service([wipe]) as port:
        arguments = ("wipe", "--arguments", '{"text": "it"}', "--tokens-per-second", "1000", "--compare", "--approve")
        status, output, errors = await conveyor(port, *arguments)
    assert (status, output) == (1, "")
    assert "error: wipe changes the world, and --compare would run it more than once\nCall it once" in errors


async def test_the_time_of_a_call_that_takes_too_long_is_remedied_by_an_option_that_there_is():
    hanging = Hanging()
    async with tool_service([tool(name="wait")(hanging.wait)]) as port:
        _, _, errors = await conveyor(port, "wait", "--arguments", '{"text": "x"}', "--timeout", "0.5")
    assert "DEADLINE_EXCEEDED" in errors
    assert "--timeout" in errors
    assert "--max-tokens" not in errors


async def test_a_mode_without_a_rate_changes_only_the_mode():
    async with tool_service([calculator]) as port:
        arguments = ("calculator", "--arguments", '{"expression": "6 * 7"}', "--mode", "on_seal")
        status, output, errors = await conveyor(port, *arguments)
    assert (status, output) == (0, "42\n")
    assert errors.startswith("busy 0.")


async def test_an_interrupt_stops_the_tool():
    hanging = Hanging()
    async with tool_service([tool(name="wait")(hanging.wait)]) as port:
        process = await started(port, "wait", "--arguments", '{"text": "to be"}', "--tokens-per-second", "100")
        await hanging.runs.wait()
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        await hanging.cancelled.wait()
    assert process.returncode == 130
    assert errors.decode().endswith("cancelled\n")


PACES = pytest.mark.parametrize("pace", [(), ("--tokens-per-second", "1000")])


@PACES
async def test_artifacts_are_saved_where_they_are_to_be(pace, tmp_path):
    async with tool_service([draw]) as port:
        arguments = ("draw", "--arguments", '{"text": "to be"}', *pace, "--artifacts", str(tmp_path / "new"))
        for _ in range(2):
            status, _, errors = await conveyor(port, *arguments)
            assert status == 0
    saved = sorted((tmp_path / "new").iterdir())
    assert [path.name for path in saved] == ["picture-2.png", "picture.png"]
    assert [path.read_text() for path in saved] == ["to be", "to be"]
    assert f"image/png, 5 bytes: {saved[0]}" in errors


@PACES
async def test_without_a_folder_artifacts_are_named(pace):
    async with tool_service([draw]) as port:
        _, output, errors = await conveyor(port, "draw", "--arguments", '{"text": "to be"}', *pace, "--json")
        assert json.loads(output)["artifacts"] == [{"name": "picture.png", "media_type": "image/png", "byte_count": 5}]
        _, _, errors = await conveyor(port, "draw", "--arguments", '{"text": "to be"}', *pace)
    assert "picture.png, image/png, 5 bytes; --artifacts FOLDER saves it" in errors


@PACES
async def test_a_call_that_a_person_must_allow_is_refused_unless_it_is_approved(pace):
    async with tool_service([wipe]) as port:
        arguments = ("wipe", "--arguments", '{"text": "it"}', *pace)
        status, output, errors = await conveyor(port, *arguments)
        assert (status, output) == (1, "")
        assert "wipe: DENIED: a person must allow this call, and nobody was asked" in errors
        assert "Allow it with --approve." in errors
        status, output, _ = await conveyor(port, *arguments, "--approve")
    assert (status, output) == (0, "wiped it\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tokens-per-second", "0"), "0 is not in the range from 0.1 to 10000"),
        (("--tokens-per-second", "nan"), "nan is not in the range"),
        (("--compare",), "it needs --tokens-per-second"),
        (("--compare", "--tokens-per-second", "9", "--mode", "serial"), "and no --mode"),
        (("--format", "code_block"), "code_block can only call python, not shout"),
    ],
)
def test_what_makes_no_sense_exits_2_with_the_reason(arguments, said):
    status, output, errors = in_this_process("tools", "call", "shout", *arguments)
    assert (status, output) == (2, "")
    assert said in " ".join(errors.split())


async def test_nobody_at_the_address():
    status, _, errors = await conveyor(1, "shout", "--tokens-per-second", "9")
    assert status == 1
    assert "no tool service answers at 127.0.0.1:1" in errors
