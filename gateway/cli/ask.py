"""`conveyor ask`: one completion, live."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.archive.lanes import Lanes
from gateway.cli.artifacts import ArtifactsOption, Keep, saver
from gateway.cli.asking import Approve, Asking
from gateway.cli.client import complete
from gateway.cli.credentials import Credentials, with_credentials
from gateway.cli.failure import Peer
from gateway.cli.live import ledger_line
from gateway.cli.options import (
    GATEWAY_ADDRESS,
    DebugOption,
    GatewayOption,
    JsonOption,
    Mode,
    TimeoutOption,
    fits,
    names,
    reachable,
    utf8,
)
from gateway.cli.run import plain_console, run, say
from gateway.cli.show import JsonLines, Panes, Show, Silent, follow, show_on
from gateway.cli.timeline import timeline
from gateway.message_json import to_data
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

Events = AsyncGenerator[pb.CompleteResponse, None]


@with_credentials
def ask(
    prompt: Annotated[
        str, typer.Argument(metavar="QUESTION", callback=utf8, help="what to ask; - reads it from standard input")
    ],
    tools: Annotated[
        str, typer.Option(metavar="NAME,…", callback=utf8, help="tools that may be called, separated by commas")
    ] = "",
    call_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            callback=utf8,
            help="how the model writes calls [default: code_block for python alone, else json]",
        ),
    ] = None,
    mode: Annotated[Mode, typer.Option(help="when calls run")] = Mode.PARTIAL,
    choice: Annotated[
        str,
        typer.Option(
            metavar="CHOICE", callback=utf8, help="auto, none, required, or the name of a tool that must be called"
        ),
    ] = "auto",
    max_tokens: Annotated[
        int,
        typer.Option(metavar="COUNT", callback=fits(32), help="most tokens over all turns; 0 leaves it to the service"),
    ] = 0,
    max_turns: Annotated[
        int, typer.Option(metavar="COUNT", callback=fits(32), help="most turns; 0 leaves it to the service")
    ] = 0,
    temperature: Annotated[float, typer.Option(metavar="NUMBER", help="0 is greedy")] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(metavar="SHARE", help="keep the likeliest tokens with this probability together; 0 keeps all"),
    ] = 0.0,
    top_k: Annotated[
        int,
        typer.Option(metavar="COUNT", callback=fits(32), help="keep this many of the likeliest tokens; 0 keeps all"),
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", callback=fits(64), help="makes sampling repeatable")
    ] = None,
    system: Annotated[str, typer.Option(metavar="TEXT", callback=utf8, help="what the model is told first")] = "",
    stop: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", callback=utf8, help="ends a turn; may be given several times")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="have the model say this: plain text, a JSON list of turns, or the output of ask --json",
        ),
    ] = None,
    artifacts: ArtifactsOption = None,
    approve: Annotated[
        Approve,
        typer.Option(
            help="what to say of calls that a person must allow; ask: y or n on a terminal, else `conveyor approve`"
        ),
    ] = Approve.ASK,
    show_timeline: Annotated[
        bool | None,
        typer.Option(
            "--timeline/--no-timeline", help="draw when what happened [default: where tools ran, on a terminal]"
        ),
    ] = None,
    timeout: TimeoutOption = None,
    gateway: GatewayOption = GATEWAY_ADDRESS,
    as_json: JsonOption = False,
    json_stream: Annotated[
        bool, typer.Option("--json-stream", help="print one JSON object per event, one a line")
    ] = False,
    debug: DebugOption = False,
    *,
    credentials: Credentials,
) -> None:
    """Ask the model, and watch its tools run while it still writes."""
    if as_json and json_stream:
        raise typer.BadParameter("--json and --json-stream exclude each other")
    request = pb.CompleteRequest(
        messages=_messages(system, _standard_input() if prompt == "-" else prompt),
        tool_use=tool_use(names(tools), call_format, mode, choice),
        sampling=pb.Sampling(temperature=temperature, top_p=top_p, top_k=top_k, seed=seed),
        limits=pb.Limits(max_tokens=max_tokens, max_turns=max_turns, stop=stop or []),
        replay=[] if replay is None else _replay(replay),
    )
    peer = Peer("gateway", reachable(gateway), "--gateway", credentials)
    show = _show(as_json, json_stream)
    drawn = isinstance(show, Panes) if show_timeline is None else show_timeline and not (as_json or json_stream)
    asking = Asking(show, peer, approve, keys=isinstance(show, Panes) and sys.stdin.isatty())
    run(
        _ask(peer, request, timeout, saver(artifacts), asking, as_json, json_stream, drawn),
        debug=debug,
        as_json=as_json,
    )


def tool_use(tools: tuple[str, ...], call_format: str | None, mode: Mode, choice: str) -> pb.ToolUse | None:
    """The request's tools; None without any. Raises `typer.BadParameter` for what makes no sense without tools."""
    if not tools:
        if call_format is not None or choice not in ("auto", "none"):
            raise typer.BadParameter("--format and --choice need --tools")
        return None
    chosen = call_format or ("code_block" if tools == ("python",) else "json")
    return pb.ToolUse(format=chosen, tools=tools, mode=mode.on_the_wire, choice=choice, stream_arguments=True)


async def _ask(
    peer: Peer,
    request: pb.CompleteRequest,
    timeout_seconds: float | None,
    keep: Keep,
    show: Show,
    as_json: bool,
    json_stream: bool,
    drawn: bool,
) -> int:
    lanes = Lanes()
    live = await follow(_laned(complete(peer, request, timeout_seconds), lanes), show, keep)
    if drawn and lanes.calls:
        errors = plain_console(stderr=True)
        for line in timeline(lanes, errors.width):
            errors.print(line, soft_wrap=True)
    if as_json:
        print(json.dumps(live.to_json()))
    elif not json_stream and live.finished is not None:
        serial = request.tool_use.mode == pb.MODE_SERIAL
        say(plain_console(stderr=True), Text(ledger_line(live.finished, serial=serial), style="bold"))
    return 0


async def _laned(events: Events, lanes: Lanes) -> Events:
    """The same events; `lanes` takes them too."""
    async with aclosing(events):
        async for response in events:
            lanes.add(to_data(response))
            yield response


def _show(as_json: bool, json_stream: bool) -> Show:
    if as_json:
        return Silent()
    return JsonLines(sys.stdout) if json_stream else show_on(plain_console(), "text", notes=sys.stderr)


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"standard input is not UTF-8: {error}") from None


def _messages(system: str, prompt: str) -> list[pb.Message]:
    told = [pb.Message(role="system", content=system)] if system else []
    return [*told, pb.Message(role="user", content=prompt)]


def _replay(path: Path) -> list[str]:
    """The turns in a replay file. Newlines are kept as they are: the model says exactly this text."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is not UTF-8: {error}", param_hint="--replay") from None
    try:
        return _turns(json.loads(text)) or [text]
    except ValueError:
        return [text]


def _turns(data: object) -> list[str]:
    """The texts in a JSON list, or in what `ask --json` printed; none where the JSON is something else."""
    turns = data.get("turns") if isinstance(data, dict) else data
    if not isinstance(turns, list):
        return []
    texts = [turn.get("text") if isinstance(turn, dict) else turn for turn in turns]
    return [text for text in texts if isinstance(text, str)] if all(isinstance(text, str) for text in texts) else []
