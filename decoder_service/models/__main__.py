"""`python -m decoder_service.models list | pull [NAME] | remove NAME [--yes]`, each with --json."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from decoder_service.models import store
from decoder_service.models.catalogue import CATALOGUE, DEFAULT
from decoder_service.models.errors import ModelError
from protos.rpc.settings import cache_folder

_HEADINGS = ("NAME", "TITLE", "LICENCE", "SIZE", "KIND", "CONTEXT", "")


def main(arguments: list[str]) -> int:
    """Runs the command; gives the exit status."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwinds, so that nothing half made stays
    try:
        return run(options)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        if getattr(options, "name", DEFAULT) not in CATALOGUE:
            print("`conveyor models list` shows what there is.", file=sys.stderr)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        print(f"Is {cache_folder()} a folder to write to? CONVEYOR_CACHE names another one.", file=sys.stderr)
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return 128 + signal.SIGINT
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="conveyor models", description="The models that need no hub.")
    commands = parser.add_subparsers(required=True)
    listing = commands.add_parser("list", help="the models that are known and whether they are here")
    pull = commands.add_parser("pull", help="fetch a model and prepare it; one that is here is checked")
    pull.add_argument("name", nargs="?", default=DEFAULT)
    remove = commands.add_parser("remove", help="remove a model from the disk")
    remove.add_argument("name")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    for command, run in ((listing, _list), (pull, _pull), (remove, _remove)):
        command.add_argument("--json", action="store_true", help="print JSON")
        command.set_defaults(run=run)
    return parser


def _list(options: argparse.Namespace) -> int:
    rows = [_row(name) for name in CATALOGUE]
    if options.json:
        print(json.dumps(rows))
        return 0
    table = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(_HEADINGS))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0


def _row(name: str) -> dict[str, Any]:
    """What is known of a model. `quantisation` and on are None until it is here: its own file says them."""
    model, about = CATALOGUE[name], store.about(name)
    return {
        "name": name,
        "default": name == DEFAULT,
        "title": model.title,
        "licence": model.licence,
        "note": model.note,
        "download_bytes": model.bytes,
        "quantisation": about.quantisation if about else None,
        "context": about.context if about else None,
        "parameter_count": about.parameter_count if about else None,
        "ready": about is not None,
        "folder": str(store.folder_of(name)),
        "disk_bytes": store.disk_bytes(name),
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    size, folder, name = f"{row['download_bytes'] / 1e6:,.0f} MB", row["folder"], row["name"]
    if row["ready"]:
        where = f"ready in {folder} ({row['disk_bytes'] / 1e9:.1f} GB)"
    elif row["disk_bytes"]:
        where = f"begun ({row['disk_bytes'] / 1e6:,.0f} MB): conveyor models pull {name} goes on"
    else:
        where = f"not pulled: conveyor models pull {name}"
    own = (str(row["quantisation"] or "-"), str(row["context"] or "-"))
    return (name, row["title"], row["licence"], size, *own, where)


def _pull(options: argparse.Namespace) -> int:
    folder = store.pull(options.name)
    if options.json:
        print(json.dumps({"name": options.name, "folder": str(folder)}))
    else:
        print(f"{options.name} is ready in {folder}")
    return 0


def _remove(options: argparse.Namespace) -> int:
    size = store.disk_bytes(options.name)
    if size and not options.yes and not _is_meant(options.name, size):
        print(f"{options.name}: kept", file=sys.stderr)
        return 1
    removed = store.remove(options.name)
    if options.json:
        print(json.dumps({"name": options.name, "removed": removed}))
    else:
        print(f"{options.name}: {'removed' if removed else 'was not there'}")
    return 0


def _is_meant(name: str, size: int) -> bool:
    if not sys.stdin.isatty():
        print(f"error: nobody is here to be asked whether to remove {name}; --yes removes it", file=sys.stderr)
        return False
    print(f"Remove {name} ({size / 1e9:.1f} GB)? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
