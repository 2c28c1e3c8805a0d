"""`python -m tool_service.tools.search DIR`: makes an index of documents; what `conveyor index` runs."""

import argparse
import hashlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from protos.rpc.settings import cache_folder
from tool_service.execution.render import shortened
from tool_service.tools.plain_text import plain_line
from tool_service.tools.search.engine import SearchError
from tool_service.tools.search.indexing import ENGINES, write_index


def main(arguments: list[str]) -> int:
    """Runs the command; gives the exit status."""
    options = _options(arguments)
    into = (options.into or _usual_place(options.folder)).absolute()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwinds, so that nothing half made stays
    try:
        made = write_index(options.folder, into, options.engine, _progress)
    except SearchError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error}\nIs {into} a place to write to? --into names another one.")
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return 128 + signal.SIGINT
    if options.json:
        counts = {"document_count": made.document_count, "section_count": made.section_count}
        print(json.dumps({"index": os.fsdecode(into), "engine": made.engine, "source": made.source, **counts}))
    else:
        print(f"{made.document_count} documents, {made.section_count} sections, in {into}")
        print(f"Search them: conveyor up --tools.search.index {shlex.quote(str(into))}")
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="conveyor index", description="Makes an index of documents for `search`.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="the documents: .md, .txt and .rst")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--into", metavar="PATH", type=Path, help="where to put the index")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def _usual_place(folder: Path) -> Path:
    """A folder in the cache, the same for the same documents."""
    whole = folder.resolve()
    return cache_folder() / "indexes" / f"{whole.name}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:12]}"


def _progress(paths: Iterable[Path]) -> Iterator[Path]:
    """The documents, with a bar on standard error where that is a terminal."""
    return iter(tqdm(paths, desc="indexing", unit=" documents", disable=None, leave=False))


def _fail(problem: str) -> int:
    first, *more = problem.split("\n")
    print(f"error: {shortened(plain_line(first), 2_000)}", *more, sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
