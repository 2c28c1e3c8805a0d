"""`conveyor up`: runs the three services until it is told to stop."""

import asyncio
import errno
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from gateway.cli.credentials import KEY_VARIABLE, Credentials, with_tls
from gateway.cli.failure import Failure
from gateway.cli.models import make_ready
from gateway.cli.options import ADDRESS_METAVAR, GATEWAY_ADDRESS, DebugOption, JsonOption, reachable
from gateway.cli.plan import Flags, Plan, parse_flags
from gateway.cli.processes import Report, Services, State, bind_error
from gateway.cli.run import INTERRUPTED_STATUS, Interrupted, plain_console, run
from gateway.cli.show import is_live
from protos.rpc.settings import cache_folder

PASS_THROUGH: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True}

_ANNOUNCED = {
    "gateway address": "gateway   ",
    "gateway http address": "HTTP      ",
    "decoder address": "decoder   ",
    "tools address": "tools     ",
}

ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="the model [default: the decoder's own]")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="show the services' logs")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", exists=True, dir_okay=False, help="settings, as TOML")
]


@with_tls
def up(
    context: typer.Context,
    model: ModelOption = None,
    gateway_address: Annotated[str | None, typer.Option(metavar=ADDRESS_METAVAR, help="gRPC for clients")] = None,
    http_address: Annotated[
        str | None, typer.Option(metavar=ADDRESS_METAVAR, help="HTTP: /metrics, /health, /ready")
    ] = None,
    decoder_address: Annotated[str | None, typer.Option(metavar=ADDRESS_METAVAR, help="gRPC of the decoder")] = None,
    tools_address: Annotated[str | None, typer.Option(metavar=ADDRESS_METAVAR, help="gRPC of the tool service")] = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
    *,
    credentials: Credentials,
) -> None:
    """Run the three services until Ctrl-C.

    Settings of one service are passed on to it: --gateway.KEY VALUE, --decoder.KEY VALUE, --tools.KEY VALUE.
    """
    options = {
        ("decoder", "model"): model,
        ("gateway", "address"): gateway_address,
        ("gateway", "http-address"): http_address,
        ("decoder", "address"): decoder_address,
        ("tools", "address"): tools_address,
    }
    given = {key: value for key, value in options.items() if value is not None}
    plan = _keeping(replace(_plan(context.args, given, config), gateway_tls=credentials.tls))
    services = services_of(plan, "up", verbose=verbose)
    run(_up(plan, services, as_json), debug=debug, on_interrupt=lambda interrupted: _stopped(interrupted, services))


def services_of(plan: Plan, command: str, *, verbose: bool) -> Services:
    """The services of a plan, with a fresh folder for their logs. Raises `typer.BadParameter` for wrong settings."""
    try:
        planned = plan.services()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return Services(planned, log_folder(command), echo=sys.stderr if verbose else None)


def log_folder(command: str) -> Path:
    """A new folder for logs in the cache folder or, where that cannot be written, in a temporary one."""
    folder = cache_folder() / "logs" / time.strftime(f"%Y%m%d-%H%M%S-{command}-{os.getpid()}")
    try:
        folder.mkdir(parents=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="conveyor-logs-"))
    return folder


@contextmanager
def progress(console: Console, *, verbose: bool = False) -> Iterator[Report]:
    """Shows how far each service has come: one changing line on a terminal, else a line for each change."""
    states: dict[str, State] = {}
    begun = time.monotonic()
    if not is_live(console) or verbose:
        yield lambda name, state: console.print(f"{name}: {state}", soft_wrap=True)
        return

    with console.status("starting") as status:

        def show(name: str, state: State) -> None:
            states[name] = state
            status.update(Text(waiting_for(states)))

        yield show
    console.print(f"ready after {time.monotonic() - begun:.1f} s")


def waiting_for(states: dict[str, State]) -> str:
    """Who is not ready yet, as a line for people."""
    waiting = [f"{name} {state}" for name, state in states.items() if state is not State.READY]
    hint = " (a new model takes a minute or two to prepare)" if states.get("decoder") is not State.READY else ""
    return " · ".join(waiting) + hint if waiting else "ready"


def _plan(arguments: list[str], options: Flags, config: Path | None) -> Plan:
    try:
        return Plan({**parse_flags(arguments), **options}, str(config or ""))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _keeping(plan: Plan) -> Plan:
    """The same, with a place for completions that have ended where none is named: they outlive the gateway."""
    key = ("gateway", "completions-file")
    try:
        named = plan.value(*key)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    path = str(cache_folder() / "completions.sqlite3")
    return plan if named is not None else replace(plan, flags={**plan.flags, key: path})


async def _up(plan: Plan, services: Services, as_json: bool) -> int:
    _refuse_unusable(plan)
    if status := await make_ready(plan.value("decoder", "model")):
        return status
    console = plain_console(stderr=as_json)
    console.print(f"logs: {services.logs}", soft_wrap=True)
    async with services:
        try:
            with progress(console, verbose=services.echoes) as report:
                await services.wait_healthy(report)
            _announce(plan, services, console, as_json)
            await services.wait_ended()
        except asyncio.CancelledError:
            console.print("stopping; once more stops at once")
            raise
    return 1


def _refuse_unusable(plan: Plan) -> None:
    for (section, key), address in plan.listening().items():
        number, option = bind_error(address), f"--{section}.{key} {ADDRESS_METAVAR}"
        if number == errno.EADDRINUSE:
            remedy = f"Is it `conveyor up` that runs already? Else choose another one: {option}"
            raise Failure(f"{address} is taken by another process", remedy)
        if number == errno.EADDRNOTAVAIL:
            remedy = f"Choose one that is, such as 127.0.0.1, or 0.0.0.0 for all of them: {option}"
            raise Failure(f"{address} is not an address of this machine", remedy)


def _announce(plan: Plan, services: Services, console: Console, as_json: bool) -> None:
    addresses = {
        f"{section} {key.replace('-', ' ')}": reachable(address) for (section, key), address in plan.listening().items()
    }
    if as_json:
        names = {name.replace(" ", "_"): address for name, address in addresses.items()}
        print(json.dumps({**names, "logs": str(services.logs), "process_ids": services.process_ids}), flush=True)
        return
    tls = bool(plan.value("gateway", "tls.cert"))
    for name, label in _ANNOUNCED.items():
        if name in addresses:
            scheme = ("https://" if tls else "http://") if name == "gateway http address" else ""
            console.print(f"  {label}{scheme}{addresses[name]}", soft_wrap=True)
    if plan.value("gateway", "keys-file"):
        console.print(f"a key is asked for: {KEY_VARIABLE}=KEY, from `conveyor keys new NAME`", soft_wrap=True)
    console.print(f"ready; try: {example(addresses['gateway address'], tls=tls)}", soft_wrap=True)


def example(gateway: str, *, tls: bool = False) -> str:
    """A command to try that works as it stands, where the environment has a key and the authority's file if needed."""
    where = "" if gateway == GATEWAY_ADDRESS else f" --gateway {shlex.quote(gateway)}"
    trust = " --ca FILE" if tls and "CONVEYOR_CA" not in os.environ else ""
    return f'conveyor ask "What is 12*7?" --tools calculator --choice calculator{where}{trust}'


def _stopped(interrupted: Interrupted, services: Services) -> int:
    errors = plain_console(stderr=True)
    if interrupted.forced:
        errors.print("\nstopped at once" if errors.is_terminal else "stopped at once")
        return INTERRUPTED_STATUS
    for name in services.killed:
        errors.print(f"the {name} service did not stop in time and was killed", soft_wrap=True)
    return 1 if services.killed else 0
