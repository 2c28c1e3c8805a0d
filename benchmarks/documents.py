"""Recorded runs as pages: what the pages of all measurements do alike."""

import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

Run = dict[str, Any]


@contextmanager
def plot(path: Path, width: float = 8.0, height: float = 4.5, **grid: Any) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes, written as SVG at the end of the block: the same file for the same run.

    `grid` is what `plt.subplots` takes.
    """
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "conveyor", "font.size": 11}):
        figure, axes = plt.subplots(figsize=(width, height), layout="constrained", **grid)
        yield figure, axes
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)
    path.write_text(re.sub(r"[ \t]+$", "", path.read_text("utf-8"), flags=re.MULTILINE), "utf-8")


def machine(run: Run) -> str:
    """The model, the day and the machine, as the beginning of a sentence."""
    on = run["machine"]
    return (
        f"`{run['model']}` on {run['date']}: {on['processor']}, {on['cores']} cores, {on['memory_gib']:g} GiB, "
        f"{' '.join(on['instructions']) or 'no vector instructions'}"
    )


def wrapped(text: str) -> str:
    """A paragraph in lines that fit."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def put(page: str, mark: str, text: str) -> str:
    """The page with this text between `<!-- MARK -->` and `<!-- /MARK -->`. Raises ValueError where they are not."""
    opening, closing = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    if page.count(opening) != 1 or page.count(closing) != 1:
        raise ValueError(f"the page needs {opening} and {closing} once")
    before, _, rest = page.partition(opening)
    return f"{before}{opening}\n\n{text}\n\n{closing}{rest.partition(closing)[2]}"
