"""`conveyor doctor`: whether this machine can serve, and what to do where it cannot.

The gateway's own checks come first; then each service that is installed here looks itself over in a process of its own
(`python -m decoder_service.checkup`). Lines come as they are known.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.aside import aside
from gateway.cli.gateway_http import WRONG, get
from gateway.cli.hand_over import OwnCommand
from gateway.cli.options import DebugOption, JsonOption, reachable
from gateway.cli.plan import Plan
from gateway.cli.processes import is_taken
from gateway.cli.run import plain_console, run, say
from gateway.cli.sanitise import one_line
from protos.rpc.checkup import Check, State, unwritable
from protos.rpc.probe import probe
from protos.rpc.settings import cache_folder

PYTHON = (3, 11)
CHECKUP_SECONDS = 180.0
TIMEOUT_SECONDS = 2.0
_STYLES = {State.OK: "green", State.WARNING: "yellow", State.FAILURE: "red"}
_CHECKUPS = {
    "decoder": OwnCommand("decoder_service.checkup", "not installed here", "pip install 'conveyor[decoder]'"),
    "tools": OwnCommand("tool_service.checkup", "not installed here", "pip install 'conveyor[tools]'"),
}


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="start no engine and no interpreter")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check this machine: Python, folders, ports, model, kernels, engine speed, sandbox.

    Exits with 1 where something keeps it from serving.
    """
    run(_doctor(quick, as_json), debug=debug, as_json=as_json)


async def _doctor(quick: bool, as_json: bool) -> int:
    console = plain_console()
    found: list[Check] = []
    async with aclosing(_checks(quick)) as checks:
        async for check in checks:
            found.append(check)
            if not as_json:
                _show(check, console)
    failed = any(check.state is State.FAILURE for check in found)
    if as_json:
        print(json.dumps({"ok": not failed, "checks": [asdict(check) for check in found]}))
    else:
        say(console, Text(_verdict(found), style="bold"))
    return int(failed)


def _verdict(found: list[Check]) -> str:
    failures = [check.name for check in found if check.state is State.FAILURE]
    if failures:
        return f"cannot serve as it is: {', '.join(failures)}"
    warnings = [check.name for check in found if check.state is State.WARNING]
    return f"can serve; could be better: {', '.join(warnings)}" if warnings else "all is well; start it: conveyor up"


def _show(check: Check, console: Console) -> None:
    """On a terminal what is long goes on below itself; elsewhere it is one line, and its remedy another."""
    state, found = Text(f"{check.state:<8}", _STYLES[check.state]), one_line(check.found, 300)
    remedy = Text(check.remedy, style="dim")
    if console.is_terminal:
        table = Table.grid(padding=(0, 1))
        for width in (8, 12):
            table.add_column(no_wrap=True, min_width=width)
        table.add_column(overflow="fold")
        table.add_row(state, check.name, found)
        if check.remedy:
            table.add_row("", "", remedy)
        console.print(table)
        return
    console.print(Text.assemble(state, f" {check.name:<12} ", found), soft_wrap=True)
    if check.remedy:
        console.print(Text.assemble(f"{'':9}{'':13}", remedy), soft_wrap=True)


async def _checks(quick: bool) -> AsyncGenerator[Check, None]:
    yield python_version()
    yield cache()
    async for check in ports(Plan()):
        yield check
    for name, command in _CHECKUPS.items():
        if not command.is_installed:
            yield Check(name, State.WARNING, command.missing, f"Where it is to run: {command.remedy}")
            continue
        async with aclosing(_looked_over(name, command, quick)) as told:
            async for check in told:
                yield check


def python_version() -> Check:
    """It is new enough."""
    found = f"{sys.version.split()[0]} in {sys.prefix}"
    if sys.version_info < PYTHON:
        return Check("python", State.FAILURE, found, f"Install Python {PYTHON[0]}.{PYTHON[1]} or newer.")
    return Check("python", State.OK, found)


def cache() -> Check:
    """Models and kernels have a place."""
    folder = cache_folder()
    if problem := unwritable(folder):
        remedy = "Make it writable, or name another folder with CONVEYOR_CACHE."
        return Check("cache", State.FAILURE, f"{folder}: {problem}", remedy)
    return Check("cache", State.OK, str(folder))


async def ports(plan: Plan) -> AsyncIterator[Check]:
    """Each address that `conveyor up` would listen on is free, or a service of ours has it."""
    for (section, key), listened in plan.listening().items():
        name, where = f"{section} port", reachable(listened)
        if not is_taken(listened):
            yield Check(name, State.OK, f"{where} is free")
        elif who := await (_health(where) if key == "address" else _metrics(where)):
            yield Check(name, State.OK, f"{where}: {who}")
        else:
            remedy = f"Stop what listens there, or choose another: conveyor up --{section}.{key} 127.0.0.1:PORT"
            yield Check(name, State.FAILURE, f"{where} is taken, and not by a service that answers", remedy)


async def _health(where: str) -> str:
    status = await aside(probe, where)
    return f"a service is there, {status}" if status in ("SERVING", "NOT_SERVING") else ""


async def _metrics(where: str) -> str:
    """Empty where what listens has no metrics of ours, or does not show them to everybody."""
    try:
        status, body = await get(where, "/metrics", seconds=TIMEOUT_SECONDS)
    except WRONG:
        return ""
    if status == HTTPStatus.UNAUTHORIZED:
        return "a service is there, that wants a key"
    return "a service is there" if b"conveyor_" in body else ""


async def _looked_over(name: str, command: OwnCommand, quick: bool) -> AsyncGenerator[Check, None]:
    """What the service finds; that it finds nothing is a finding too."""
    process = await asyncio.create_subprocess_exec(
        *command.line(*(["--quick"] if quick else [])), stdin=DEVNULL, stdout=PIPE, process_group=0
    )
    assert process.stdout is not None  # it is a pipe
    told = 0
    try:
        async with asyncio.timeout(CHECKUP_SECONDS):
            async for check in _read(process.stdout):
                told += 1
                yield check
            status = await process.wait()
    except TimeoutError:
        remedy = f"Try it alone: python -m {command.module}"
        yield Check(name, State.FAILURE, f"its check-up took more than {CHECKUP_SECONDS:.0f} s", remedy)
        return
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if status or not told:
        remedy = "What it says on standard error is above."
        yield Check(name, State.FAILURE, f"its check-up ended with exit code {status}", remedy)


async def _read(output: asyncio.StreamReader) -> AsyncIterator[Check]:
    async for line in output:
        with suppress(ValueError, TypeError, KeyError):  # a library that prints
            yield Check.of_line(line.decode("utf-8", "replace"))
