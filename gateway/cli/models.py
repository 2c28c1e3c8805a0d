"""`conveyor models`: hands over to the decoder's own command, which may be installed or not."""

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failure import Failure, show_failure
from gateway.cli.options import JsonOption
from gateway.cli.run import plain_console

_MODULE = "decoder_service.models"

models = typer.Typer(name="models", help="List the models, or fetch and prepare one.", no_args_is_help=True)


@models.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List the models that are known and whether they are here."""
    raise typer.Exit(_hand_over(["list"], as_json))


@models.command("pull")
def pull_command(
    name: Annotated[str | None, typer.Argument(help="the model; the default model where left out")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a model and prepare it, so that the decoder starts at once."""
    raise typer.Exit(_hand_over(["pull", *([name] if name else [])], as_json))


def _hand_over(arguments: list[str], as_json: bool) -> int:
    if not _is_installed():
        failure = Failure(
            "the decoder is not installed here, so there are no models", "Install it: pip install 'conveyor[decoder]'"
        )
        show_failure(failure, plain_console(stderr=True))
        return 1
    command = [sys.executable, "-m", _MODULE, *arguments, *(["--json"] if as_json else [])]
    previous = signal.signal(signal.SIGINT, lambda *_: None)  # the child gets it too, and decides
    try:
        code = subprocess.run(command, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, previous)
    return code if code >= 0 else 128 - code


def _is_installed() -> bool:
    """Looks for the files only: importing the decoder here would load its engine."""
    package, module = _MODULE.split(".")
    found = importlib.util.find_spec(package)
    folders = found.submodule_search_locations if found is not None else None
    return any((Path(folder) / name).exists() for folder in folders or () for name in (f"{module}.py", module))
