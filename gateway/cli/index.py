"""`conveyor index`: hands over to the tool service's own command, which may be installed or not."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.hand_over import OwnCommand
from gateway.cli.options import JsonOption

_SEARCH = OwnCommand(
    "tool_service.tools.search",
    "the tool service is not installed here, so there is nothing that indexes",
    "Install it: pip install 'conveyor[tools]'",
)


def index(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="the documents: .md, .txt and .rst")],
    engine: Annotated[str | None, typer.Option(metavar="NAME", help="fts5 or tantivy [default: fts5]")] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="PATH", help="where to put the index [default: a folder in the cache]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an index of documents for the tool search."""
    options = [f"--engine={engine}"] if engine is not None else []
    options += [f"--into={into}"] if into is not None else []
    raise typer.Exit(_SEARCH.hand_over(*options, *(["--json"] if as_json else []), "--", str(folder)))
