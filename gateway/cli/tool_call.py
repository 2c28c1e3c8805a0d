"""`conveyor tools call`: one call without a model, at once or as if a model decoded it."""

import json
import sys
from dataclasses import replace
from typing import Annotated

import typer
from rich.rule import Rule
from rich.text import Text

from gateway.cli.artifacts import ArtifactsOption, Keep, only_named, saver
from gateway.cli.client import LIST_SECONDS, list_tools
from gateway.cli.credentials import Credentials, with_tls
from gateway.cli.failure import Failure, Peer, show_failure
from gateway.cli.hand_call import HandCall, HandRun, Pace, run_at_once, run_paced
from gateway.cli.live import ledger_line
from gateway.cli.options import (
    TOOLS_ADDRESS,
    DebugOption,
    JsonOption,
    Mode,
    TimeoutOption,
    ToolsAddressOption,
    reachable,
    utf8,
)
from gateway.cli.run import plain_console, run, say
from gateway.cli.sanitise import printable
from gateway.cli.show import Show, Silent, show_units_on
from gateway.cli.written_call import CallFormat, written_call
from gateway.message_json import seconds
from protos.conveyor.tool.v1 import tool_pb2 as pb
from protos.rpc.errors import Reason

_LEAST_RATE = 0.1
_MOST_RATE = 10_000.0
_WORTH_SAYING = 0.01  # of the serial time


def rate(value: float | None) -> float | None:
    """A check for an option: that text can be written at this rate."""
    if value is not None and not _LEAST_RATE <= value <= _MOST_RATE:
        raise typer.BadParameter(f"{value:g} is not in the range from {_LEAST_RATE:g} to {_MOST_RATE:g}")
    return value


@with_tls
def call_command(
    name: Annotated[str, typer.Argument(metavar="NAME", callback=utf8, help="the tool")],
    arguments: Annotated[str, typer.Option(metavar="JSON", callback=utf8, help="its arguments, a JSON object")] = "{}",
    tokens_per_second: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            callback=rate,
            help="write the call at this rate, as a model would, in pieces that are about as long as tokens, and show "
            "what runs meanwhile",
        ),
    ] = None,
    mode: Annotated[
        Mode | None, typer.Option(help="when the call runs [default: partial with --tokens-per-second, else serial]")
    ] = None,
    call_format: Annotated[
        CallFormat, typer.Option("--format", help="how the call is written; code_block is for python")
    ] = CallFormat.JSON,
    compare: Annotated[
        bool, typer.Option("--compare", help="run the call serial and then partial, and say what was saved")
    ] = False,
    artifacts: ArtifactsOption = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="allow the call, where the service wants a person to; else it is refused")
    ] = False,
    tools_address: ToolsAddressOption = TOOLS_ADDRESS,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
    *,
    credentials: Credentials,
) -> None:
    """Call a tool as a model would, without a model.

    Output goes to standard error as it comes, the result to standard output.
    """
    if compare and (tokens_per_second is None or mode is not None):
        raise typer.BadParameter("it needs --tokens-per-second, and no --mode", param_hint="--compare")
    chosen = mode or (Mode.SERIAL if tokens_per_second is None else Mode.PARTIAL)
    call = HandCall(name, written_call(name, arguments, call_format), call_format, chosen, approve)
    peer = Peer("tool service", reachable(tools_address), "--tools-address", credentials)
    keep = saver(artifacts)
    if compare and tokens_per_second is not None:
        run(_compare(peer, call, tokens_per_second, timeout, keep, as_json), debug=debug, as_json=as_json)
    run(_call(peer, call, tokens_per_second, timeout, keep, as_json), debug=debug, as_json=as_json)


async def _call(
    peer: Peer,
    call: HandCall,
    tokens_per_second: float | None,
    timeout_seconds: float | None,
    keep: Keep,
    as_json: bool,
) -> int:
    if tokens_per_second is None:
        ran = await run_at_once(peer, call, timeout_seconds, keep, quiet=as_json)
    else:
        show = _show(call, tokens_per_second, as_json)
        ran = await run_paced(peer, call, tokens_per_second, timeout_seconds, keep, show)
    if as_json:
        print(json.dumps(ran.to_json()), flush=True)
    else:
        _print_result(ran)
        _print_times(ran)
    return _status(ran)


async def _compare(
    peer: Peer,
    call: HandCall,
    tokens_per_second: float,
    timeout_seconds: float | None,
    keep: Keep,
    as_json: bool,
) -> int:
    """Runs the call in both modes. One that fails does so in both, and what its veto saved is seen too.

    It is run once before, untold: what the first call of a tool waits for, such as a process, is no mode's.
    """
    await _refuse_to_repeat(peer, call.name)
    await run_at_once(peer, replace(call, mode=Mode.SERIAL), timeout_seconds, only_named, quiet=True)
    runs = []
    for mode in (Mode.SERIAL, Mode.PARTIAL):
        chosen = replace(call, mode=mode)
        if not as_json:
            plain_console(stderr=True).print(Rule(Text(mode), align="left", style="dim"))
        show = _show(chosen, tokens_per_second, as_json)
        runs.append(await run_paced(peer, chosen, tokens_per_second, timeout_seconds, keep, show))
        if not as_json:
            _print_times(runs[-1])
    serial, partial = runs
    saved = _completion(serial) - _completion(partial)
    if as_json:
        data = {"serial": serial.to_json(), "partial": partial.to_json(), "saved_seconds": round(saved, 6)}
        print(json.dumps(data), flush=True)
    else:
        say(plain_console(stderr=True), Text(saved_line(_completion(serial), _completion(partial)), style="bold"))
        _print_result(partial)
    return _status(partial)


async def _refuse_to_repeat(peer: Peer, name: str) -> None:
    """Raises Failure for a tool that changes the world: it would do so more than once."""
    listed = await list_tools(peer, LIST_SECONDS)
    if any(tool.name == name and tool.effect not in (pb.EFFECT_NONE, pb.EFFECT_READ) for tool in listed.tools):
        cause = f"{name} changes the world, and --compare would run it more than once"
        raise Failure(cause, "Call it once, without --compare.", reason=Reason.INVALID_TOOL_USE)


def saved_line(serial: float, partial: float) -> str:
    """What the second of two runs saved, in a sentence; both in seconds."""
    saved = serial - partial
    if saved < _WORTH_SAYING * serial:
        return f"partial took {partial:.2f} s, serial {serial:.2f} s: nothing saved"
    return f"partial took {partial:.2f} s instead of {serial:.2f} s: {saved:.2f} s or {saved / serial:.0%} saved"


def _show(call: HandCall, tokens_per_second: float, as_json: bool) -> Show:
    title = f"{call.name}, {call.mode}, {tokens_per_second:g}/s"
    return Silent() if as_json else show_units_on(plain_console(stderr=True), title)


def _print_result(ran: HandRun) -> None:
    """Prints the result, unless the same text was just seen on the same terminal."""
    if ran.failure is not None:
        return
    same = ran.pace is None and ran.output.strip() == ran.finished.result.strip()
    if not (same and sys.stdout.isatty() and sys.stderr.isatty()):
        print(printable(ran.finished.result), flush=True)


def _print_times(ran: HandRun) -> None:
    """Prints where the time went. Of a call that failed that is only known where it was written at a rate."""
    if ran.pace is not None:
        _print_ledger(ran.call, ran.pace)
    elif ran.failure is None:
        timing = ran.finished.timing
        parts = (("busy", timing.busy), ("waiting", timing.waiting), ("queued", timing.queued))
        line = " · ".join(f"{name} {seconds(duration):.3f} s" for name, duration in parts)
        say(plain_console(stderr=True), Text(line, style="bold"))


def _print_ledger(call: HandCall, pace: Pace) -> None:
    console = plain_console(stderr=True)
    line = ledger_line(pace.finished, serial=call.mode is Mode.SERIAL, whole=True)
    say(console, Text(line, style="bold"))
    if pace.spared_count:
        spared = pace.spared_count / pace.tokens_per_second
        say(console, f"the call stopped the turn: {pace.spared_count} tokens, {spared:.2f} s, were not written")


def _completion(ran: HandRun) -> float:
    return 0.0 if ran.pace is None else ran.pace.completion_seconds


def _status(ran: HandRun) -> int:
    if ran.failure is None:
        return 0
    show_failure(ran.failure, plain_console(stderr=True))
    return 1
