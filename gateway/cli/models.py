"""`conveyor models`: hands over to the decoder's own command, which may be installed or not."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import typer

from gateway.cli.hand_over import OwnCommand
from gateway.cli.options import JsonOption

_MODELS = OwnCommand(
    "decoder_service.models",
    "the decoder is not installed here, so there are no models",
    "Install it: pip install 'conveyor[decoder]'",
)
_STOP_SECONDS = 5.0

models = typer.Typer(name="models", help="List the models, fetch and prepare one, or remove it.", no_args_is_help=True)


@models.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List the models that are known: licence, size, whether they are here, and what their files say of them."""
    raise typer.Exit(_MODELS.hand_over("list", *_json(as_json)))


@models.command("pull")
def pull_command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="the model; the default model where left out")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a model and prepare it, so that the decoder starts at once. One that is here is checked."""
    raise typer.Exit(_MODELS.hand_over("pull", *([name] if name else []), *_json(as_json)))


@models.command("remove")
def remove_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="the model")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a model from the disk, or what a pull that was interrupted has left of one."""
    raise typer.Exit(_MODELS.hand_over("remove", name, *(["--yes"] if yes else []), *_json(as_json)))


async def make_ready(name: str | None) -> int:
    """Prepares a model that is known but not here, None for the default one, with its progress on standard error.

    Returns the exit status, 0 where there was nothing to do. Models that the catalogue does not know are the decoder's
    own affair.
    """
    row = next((row for row in await _catalogue() if (row["default"] if name is None else row["name"] == name)), None)
    if row is None or row["ready"]:
        return 0
    async with _running("pull", str(row["name"]), output=DEVNULL, errors=None) as process:
        return await process.wait()


async def _catalogue() -> list[dict[str, Any]]:
    """What the decoder knows of its models; nothing where there is no decoder to ask."""
    if not _MODELS.is_installed:
        return []
    async with _running("list", "--json", output=PIPE, errors=DEVNULL) as process:
        output, _ = await process.communicate()
    return list(json.loads(output)) if process.returncode == 0 else []


@asynccontextmanager
async def _running(*arguments: str, output: int, errors: int | None) -> AsyncIterator[Process]:
    """The decoder's command in a process group of its own, so that Ctrl-C reaches only us; ended with the context."""
    process = await asyncio.create_subprocess_exec(
        *_MODELS.line(*arguments), stdin=DEVNULL, stdout=output, stderr=errors, process_group=0
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            await _end(process)


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()


def _json(as_json: bool) -> list[str]:
    return ["--json"] if as_json else []
