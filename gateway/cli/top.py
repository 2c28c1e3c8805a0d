"""`conveyor top`: what the services do now, from their metrics."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from gateway.cli.credentials import Credentials, with_credentials
from gateway.cli.failure import Failure
from gateway.cli.options import GATEWAY_HTTP_ADDRESS, DebugOption, http_address, names, reachable
from gateway.cli.run import plain_console, run
from gateway.cli.scrape import Between, Scrape, scrape
from gateway.cli.top_figures import Readings, figures
from gateway.cli.top_view import View

DECODER, TOOLS = "127.0.0.1:8081", "127.0.0.1:8082"
_METAVAR = "HOST:PORT,…"
_WHOLE = 10_000  # lines or columns: nothing is left out


def addresses(value: str) -> str:
    """A check for an option: that it is addresses with commas between them, which may begin with http:// or https://."""
    found = names(value)
    if not found:
        raise typer.BadParameter("name at least one")
    for address in found:
        http_address(address)
    return value


@with_credentials
def top(
    gateway: Annotated[
        str,
        typer.Option(
            "--gateway-http",
            envvar="CONVEYOR_GATEWAY_HTTP_ADDRESS",
            metavar=_METAVAR,
            callback=addresses,
            help="where gateways serve HTTP",
        ),
    ] = GATEWAY_HTTP_ADDRESS,
    decoders: Annotated[
        str,
        typer.Option(
            "--decoder-metrics",
            envvar="CONVEYOR_DECODER_METRICS_ADDRESS",
            metavar=_METAVAR,
            callback=addresses,
            help="where decoders serve metrics",
        ),
    ] = DECODER,
    tools: Annotated[
        str,
        typer.Option(
            "--tool-metrics",
            envvar="CONVEYOR_TOOLS_METRICS_ADDRESS",
            metavar=_METAVAR,
            callback=addresses,
            help="where tool services serve metrics",
        ),
    ] = TOOLS,
    interval: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, max=3600.0, help="between two readings")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="show one interval, and end")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object for each interval")] = False,
    debug: DebugOption = False,
    *,
    credentials: Credentials,
) -> None:
    """Show what the services do now: requests, sequences, tokens, tools. Ctrl-C ends it."""
    watched = _Watched(
        *(list(map(_shown, names(value))) for value in (gateway, decoders, tools)), credentials=credentials
    )
    main = _top(watched, interval, once, as_json)
    run(main, debug=debug, as_json=as_json, on_interrupt=lambda _: 0)


class _Watched:
    """The services, and the last reading of each."""

    def __init__(self, gateways: list[str], decoders: list[str], tools: list[str], *, credentials: Credentials) -> None:
        self._groups = (gateways, decoders, tools)
        self._credentials = credentials
        self._last: list[dict[str, Scrape]] = [{}, {}, {}]

    async def read(self) -> Readings:
        """Reads all of them at once."""
        now = await asyncio.gather(*(self._read(group, number == 0) for number, group in enumerate(self._groups)))
        before, self._last = self._last, now
        return Readings(
            *(
                {address: Between(was.get(address, each), each) for address, each in group.items()}
                for was, group in zip(before, now, strict=True)
            )
        )

    async def _read(self, group: list[str], is_gateway: bool) -> dict[str, Scrape]:
        found = await asyncio.gather(*(scrape(address, self._credentials if is_gateway else None) for address in group))
        return dict(zip(group, found, strict=True))


async def _top(watched: _Watched, interval: float, once: bool, as_json: bool) -> int:
    intervals = _intervals(watched, interval)
    if as_json:
        async for found in intervals:
            print(json.dumps(found), flush=True)
            if once:
                break
        return _status(found)
    return await _show(intervals, plain_console(), interval, once)


async def _show(intervals: AsyncIterator[dict[str, Any]], console: Console, interval: float, once: bool) -> int:
    view = View()
    if once or not console.is_terminal:
        async for found in intervals:
            _print(view.draw(found, _WHOLE, console.width if console.is_terminal else _WHOLE), console)
            if once:
                return _status(found)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        async for found in intervals:
            live.update(view.draw(found, console.height, console.width), refresh=True)
    return 0


def _print(frame: RenderableType, console: Console) -> None:
    """Elsewhere than on a terminal nothing is cut, and no line ends in blanks."""
    if console.is_terminal:
        console.print(frame)
        return
    console.width = _WHOLE
    with console.capture() as captured:
        console.print(frame)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


async def _intervals(watched: _Watched, interval: float) -> AsyncIterator[dict[str, Any]]:
    """The figures of one interval after the other, without end."""
    await watched.read()
    due = time.monotonic()
    while True:
        due = max(due + interval, time.monotonic())  # one that took too long is not made up for
        await asyncio.sleep(due - time.monotonic())
        yield {"time": round(time.time(), 3), "interval_seconds": interval, **figures(await watched.read())}


def _status(found: dict[str, Any]) -> int:
    """Of a look that is to be one only: whether anybody was there."""
    if all(service["away"] is not None for service in found["services"]):
        places = ", ".join(f"{service['service']} {service['address']}" for service in found["services"])
        raise Failure(
            f"nobody answers: {places}",
            "Start the services with `conveyor up`, or say where they are: --gateway-http, --decoder-metrics, "
            "--tool-metrics.",
            reason="UNAVAILABLE",
        )
    return 0


def _shown(address: str) -> str:
    return address if "://" in address else reachable(address)
