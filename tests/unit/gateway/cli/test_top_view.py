"""A frame of `conveyor top` on terminals of several sizes."""

from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from gateway.cli.scrape import Between, Scrape
from gateway.cli.top_figures import Readings, figures
from gateway.cli.top_view import View

TOOLS = [f"conveyor_tool_{n}_with_a_long_name" for n in range(30)]


def found() -> Mapping[str, Any]:
    calls = {frozenset({("tool", name), ("outcome", "ok")}): 12345.0 for name in TOOLS}
    there = Between(Scrape(0.0), Scrape(1.0, {"conveyor_tool_calls_total": calls}))
    gone = Scrape(1.0, away="name or service not known")
    decoders = {"127.0.0.1:8081": there, f"{'long.' * 20}invalid:8081": Between(gone, gone)}
    return figures(Readings({"127.0.0.1:8080": there}, decoders, {"t:1": there}))


def frame(width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, color_system=None, force_terminal=True)
    with console.capture() as captured:
        console.print(View().draw(found(), height, width))
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize(("width", "height"), [(50, 40), (66, 36), (80, 24), (160, 40)])
def test_it_fits_and_names_what_it_shows(width: int, height: int) -> None:
    lines = frame(width, height)
    text = "\n".join(lines)
    assert len(lines) <= height and max(map(len, lines)) <= width
    words = ("gateway", "requests", "sequences", "tokens", "kv cache", "waiting", "failed", "returning", "cached")
    assert all(word in text for word in words)
    assert [line.split()[0] for line in lines[:4]] == ["gateway", "decoder", "decoder", "tools"]
    assert "away: name or service" in lines[2]
    heads = next(line.split() for line in lines if line.startswith("tool "))
    known = ["tool", "running", "calls/s", "calls", "mean", "hidden", "errors", "vetoes"]
    assert heads == [head for head in known if head in heads] and "calls" in heads  # whole words only
    assert ("vetoes" in heads) == (width >= 80)
    assert lines[-1].startswith("and ") and lines[-1].endswith(" more")


def test_without_a_limit_nothing_is_cut() -> None:
    text = "\n".join(frame(1000, 10_000))
    assert "…" not in "\n".join(line for line in text.splitlines() if "tool_" not in line)
    assert "name or service not known" in text and f"{'long.' * 20}" in text
