"""`conveyor trace`: a completion that runs or has ended, as a timeline, as JSON, or for Perfetto."""

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.text import Text

from gateway.archive.lanes import Lanes
from gateway.cli.credentials import Credentials, with_credentials
from gateway.cli.failure import Failure, Peer
from gateway.cli.gateway_http import get_json
from gateway.cli.options import GATEWAY_HTTP_ADDRESS, DebugOption, GatewayHttpOption, JsonOption, reachable, utf8
from gateway.cli.run import plain_console, run, say
from gateway.cli.sanitise import one_line
from gateway.cli.timeline import timeline
from gateway.cli.trace_list import listing

NEWEST = "last"
_LISTED = 20
_STANDARD_OUTPUT = Path("-")


@with_credentials
def trace(
    request_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", callback=utf8, help=f"a completion's request id, or {NEWEST}; without one, lists the newest"
        ),
    ] = None,
    perfetto: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="write a trace for https://ui.perfetto.dev there; - is standard output"
        ),
    ] = None,
    gateway: GatewayHttpOption = GATEWAY_HTTP_ADDRESS,
    as_json: JsonOption = False,
    debug: DebugOption = False,
    *,
    credentials: Credentials,
) -> None:
    """Show where a completion's time went."""
    if perfetto is not None and request_id is None:
        raise typer.BadParameter(f"--perfetto needs an ID, or {NEWEST}")
    if request_id is not None and not request_id.strip():
        raise typer.BadParameter("it is empty; `conveyor trace` lists those there are", param_hint="ID")
    peer = Peer("gateway", reachable(gateway), "--gateway-http", credentials)
    run(_trace(peer, request_id, perfetto, as_json), debug=debug, as_json=as_json)


async def _trace(peer: Peer, request_id: str | None, perfetto: Path | None, as_json: bool) -> int:
    console = plain_console()
    if request_id is None:
        listed = await get_json(peer, f"/v1/completions?limit={_LISTED}")
        _show_list(listed, console) if not as_json else print(json.dumps(listed))
        return 0
    path = f"/v1/completions/{quote(await _named(peer, request_id), safe='')}"
    if perfetto is not None:
        _write(perfetto, json.dumps(await get_json(peer, f"{path}?format=perfetto")), console, as_json)
        return 0
    completion = await get_json(peer, path)
    _show(completion, console) if not as_json else print(json.dumps(completion))
    return 0


async def _named(peer: Peer, request_id: str) -> str:
    if request_id != NEWEST:
        return request_id
    newest = (await get_json(peer, "/v1/completions?limit=1"))["completions"]
    if not newest:
        raise Failure("there are no completions yet", 'Ask something: conveyor ask "What is 6 * 7?"')
    return str(newest[0]["id"])


def _write(path: Path, text: str, console: Console, as_json: bool) -> None:
    if path == _STANDARD_OUTPUT:
        print(text)
        return
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", "Name another file with --perfetto.") from error
    if as_json:
        print(json.dumps({"file": str(path)}))
    else:
        say(console, f"{path}: open it at https://ui.perfetto.dev")


def _show_list(listed: dict[str, Any], console: Console) -> None:
    if not listed["completions"]:
        say(console, 'no completions yet; try: conveyor ask "What is 6 * 7?"')
        return
    for line in listing(listed["completions"], console.width if console.is_terminal else None):
        console.print(line, soft_wrap=True)


def _show(completion: dict[str, Any], console: Console) -> None:
    tools = f" · tools {', '.join(completion['tools'])}" if completion["tools"] else ""
    title = f"{completion['id']} · {completion['state']} · {completion['mode']}{tools}"
    say(console, Text(one_line(title, 1000), "bold"))
    say(console, Text(one_line(completion["prompt"]), style="dim"))
    for line in timeline(Lanes.of(completion["events"]), console.width):
        console.print(line, soft_wrap=True)
    if completion["ledger"]:
        say(console, Text(_ledger(completion["ledger"]), style="bold"))
    if completion["error"]:
        told = f"{completion['error']['code']}: {completion['error']['message']}"
        say(console, Text(one_line(told, 2000), style="red"))


def _ledger(ledger: dict[str, Any]) -> str:
    names = {name: name for name in ("completion", "decode", "tool", "hidden", "serial", "ideal")} | {"tool": "tools"}
    parts = [f"{shown} {ledger[f'{name}_seconds']:.2f} s" for name, shown in names.items()]
    return " · ".join([*parts, *([f"{ledger['attained']:.0%} of ideal"] if ledger["attained"] is not None else [])])
