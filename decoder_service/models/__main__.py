"""`python -m decoder_service.models list | pull NAME | remove NAME [--json]`: the models that need no hub."""

import argparse
import json
import signal
import sys

from decoder_service.models import store
from decoder_service.models.errors import ModelNotFoundError
from protos.rpc.settings import cache_folder


def main(arguments: list[str]) -> int:
    """Runs the command; gives the exit status."""
    parser = argparse.ArgumentParser(prog="conveyor models", description="The models that need no hub.")
    parser.add_argument("command", choices=("list", "pull", "remove"))
    parser.add_argument("name", nargs="?", default=store.DEFAULT)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwinds, so that nothing half made stays
    try:
        return {"list": _list, "pull": _pull, "remove": _remove}[options.command](options.name, options.json)
    except ModelNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        if options.name not in store.CATALOGUE:
            print("`conveyor models list` shows what there is.", file=sys.stderr)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        print(f"Is {cache_folder()} a folder to write to? CONVEYOR_CACHE names another one.", file=sys.stderr)
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return 128 + signal.SIGINT
    return 1


def _list(_: str, as_json: bool) -> int:
    rows = [
        {
            "name": name,
            "default": name == store.DEFAULT,
            "title": model.title,
            "licence": model.licence,
            "ready": store.is_ready(name),
            "folder": str(store.folder_of(name)),
        }
        for name, model in store.CATALOGUE.items()
    ]
    if as_json:
        print(json.dumps(rows))
    else:
        for row in rows:
            state = f"ready in {row['folder']}" if row["ready"] else f"not pulled: conveyor models pull {row['name']}"
            print(f"{row['name']}  {row['title']}  {row['licence']}  {state}")
    return 0


def _pull(name: str, as_json: bool) -> int:
    folder = store.pull(name)
    print(json.dumps({"name": name, "folder": str(folder)}) if as_json else f"{name} is ready in {folder}")
    return 0


def _remove(name: str, as_json: bool) -> int:
    removed = store.remove(name)
    print(
        json.dumps({"name": name, "removed": removed})
        if as_json
        else f"{name}: {'removed' if removed else 'was not there'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
