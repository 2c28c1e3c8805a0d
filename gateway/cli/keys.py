"""`conveyor keys`: makes, lists and revokes the API keys that a gateway takes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failure import Failure, show_failure
from gateway.cli.options import JsonOption, utf8
from gateway.cli.run import plain_console, say
from gateway.guard import keys_file

_MAKE_ONE = "Name the file of keys with --file, or make one: conveyor keys new NAME"

keys = typer.Typer(name="keys", help="Make, list and revoke the API keys of a gateway.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", callback=utf8, help="whose key it is")]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file",
        envvar="CONVEYOR_GATEWAY_KEYS_FILE",
        metavar="FILE",
        help="where the keys are [default: ~/.config/conveyor/keys]",
    ),
]


@keys.command("new")
def new(name: NameArgument, file: FileOption = None, as_json: JsonOption = False) -> None:
    """Make a key, and print it this once: the file holds its hash."""
    path = file or keys_file.default_path()
    try:
        key = keys_file.new_key(path, name)
    except keys_file.KeysError as error:
        raise _failed(error, "Choose another name, or another file with --file.") from None
    if as_json:
        print(json.dumps({"name": name, "key": key, "file": str(path)}))
        return
    print(key)
    say(plain_console(stderr=True), f"added to {path}; a gateway takes it with --keys-file {path}")


@keys.command("list")
def list_command(file: FileOption = None, as_json: JsonOption = False) -> None:
    """List whose keys there are."""
    path = file or keys_file.default_path()
    try:
        names = sorted(keys_file.read(path))
    except keys_file.KeysError as error:
        raise _failed(error, _MAKE_ONE) from None
    if as_json:
        print(json.dumps({"names": names, "file": str(path)}))
        return
    for name in names:
        print(name)
    if not names:
        say(plain_console(stderr=True), f"no keys in {path}; make one: conveyor keys new NAME")


@keys.command("revoke")
def revoke(name: NameArgument, file: FileOption = None) -> None:
    """Take a key away: a running gateway refuses it within a second."""
    path = file or keys_file.default_path()
    try:
        keys_file.revoke(path, name)
    except keys_file.KeysError as error:
        raise _failed(error, _MAKE_ONE) from None
    say(plain_console(stderr=True), f"{name} is revoked in {path}")


def _failed(error: keys_file.KeysError, remedy: str) -> typer.Exit:
    show_failure(Failure(str(error), remedy), plain_console(stderr=True))
    return typer.Exit(1)
