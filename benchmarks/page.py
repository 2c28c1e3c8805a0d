"""Whether the page stays smooth while a large completion comes in: `python -m benchmarks.page`.

A completion of 2,000 tokens and 40 calls, 200 tokens a second, is run in a headless Chromium: the real page over the
real gateway, with a decoder that says what it is told. `work` is what the page's main thread does from one frame to the
next, milliseconds of a processor: reading the stream, scripts, style, layout, painting. It is summed up over the
`RunTask`s of Chromium's own trace, and so does not count what others on a busy machine take in between. `interval` is
the time from frame to frame, which does.

The exit code is 1 where more than one frame in a hundred takes more than 16 ms of work. The run is recorded in
`benchmarks/results`.
"""

import argparse
import asyncio
import importlib.metadata
import itertools
import json
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright, expect
from rich.console import Console
from rich.table import Table

from benchmarks import record
from benchmarks.watching.decoder import ScriptedDecoder, scripted_gateway
from benchmarks.watching.script import Shape

SHAPE = Shape(tokens=2000, calls=40, turns=4, token_seconds=0.005, busy_seconds=0.02, failing=9)
MOST_MS = 16.0
VIEW = {"width": 1440, "height": 950}
CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel"]
MAIN_THREAD = "CrRendererMain"
ENDED = """() => new Promise((done) => {
  let left = 10; // of the frames after its end
  const next = () => (left-- ? requestAnimationFrame(next) : done(state.textContent));
  const look = (_, observer) => {
    if (state.textContent === "running") return;
    observer.disconnect();
    next();
  };
  const state = document.getElementById("state");
  new MutationObserver(look).observe(state, { childList: true });
})"""  # to ask again and again from outside would be work in the page
FRAME = "FireAnimationFrame"  # one of our own in each frame while a completion runs


@dataclass(frozen=True, slots=True)
class Frames:
    """Milliseconds, one entry a frame: what the main thread worked, and the time since the frame before."""

    work: list[float]
    interval: list[float]

    @property
    def late(self) -> float:
        """The share of frames that took too long."""
        return sum(value > MOST_MS for value in self.work) / len(self.work)

    def to_json(self) -> dict[str, Any]:
        """Figures."""
        return {"frames": len(self.work), "late": self.late} | {
            name: dict(zip(("p50", "p95", "p99", "max"), map(_rounded, _figures(values)), strict=True))
            for name, values in (("work_ms", self.work), ("interval_ms", self.interval))
        }


async def measure() -> Frames:
    """Runs the completion once."""
    decoder = ScriptedDecoder(lambda _: SHAPE.events())
    async with async_playwright() as playwright, scripted_gateway(decoder) as gateway:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        trace = await _traced(browser, f"http://127.0.0.1:{gateway.http_port}")
        await browser.close()
    return frames_of(trace)


async def _traced(browser: Browser, url: str) -> list[dict[str, Any]]:
    page = await browser.new_page(viewport=VIEW)  # type: ignore[arg-type] # a TypedDict of two numbers
    await page.goto(url)
    await expect(page.locator("#tools input").first).to_be_visible()
    await page.get_by_label("Prompt").fill("Sum the rows.")
    await browser.start_tracing(page=page, categories=CATEGORIES)
    async with asyncio.timeout(120):
        ended = asyncio.create_task(page.evaluate(ENDED))
        await page.keyboard.press("Control+Enter")  # a click would be work of Playwright's in the page
        if await ended != "finished":
            raise RuntimeError("the completion did not come to its end")
    trace: list[dict[str, Any]] = json.loads(await browser.stop_tracing())["traceEvents"]
    shown = await page.locator(".turn pre").all_text_contents(), await page.locator(".card").count()
    said = "".join(event.text_delta.text for event in SHAPE.events())
    if ("".join(shown[0]), shown[1]) != (said, SHAPE.calls):
        raise RuntimeError("the page does not show what was said")
    return trace


def frames_of(trace: Sequence[dict[str, Any]]) -> Frames:
    """The frames in a trace of Chromium: tasks of the page's main thread, cut where a frame begins."""
    marks = [event for event in trace if event.get("name") == FRAME and event.get("ph") == "X"]
    threads = [(event["pid"], event["tid"]) for event in marks]
    thread = max(set(threads), key=threads.count)
    starts = sorted(event["ts"] for event in marks if (event["pid"], event["tid"]) == thread)
    tasks = sorted(
        (event["ts"], event.get("tdur", 0))
        for event in trace
        if event.get("name") == "RunTask" and event.get("ph") == "X" and (event["pid"], event["tid"]) == thread
    )
    # A frame's task begins before the mark in it: whatever begins up to there is of this frame or before.
    begins = [max((ts for ts, _ in tasks if ts <= start), default=start) for start in starts]
    frames = list(itertools.pairwise(begins))
    work = [sum(duration for ts, duration in tasks if begin <= ts < end) / 1000 for begin, end in frames]
    return Frames(work, [(end - begin) / 1000 for begin, end in frames])


def _figures(values: list[float]) -> tuple[float, float, float, float]:
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[94], cuts[98], max(values)


def _rounded(value: float) -> float:
    return round(value, 2)


def main() -> int:
    """Measures, shows and records."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the record goes")
    options = parser.parse_args()
    if shutil.which("chromium") is None:
        print("There is no chromium: make system-packages installs it.", file=sys.stderr)
        return 2
    on = record.machine()
    figures = asyncio.run(measure())
    told = figures.to_json()
    table = Table(title=f"{told['frames']} frames, {SHAPE.tokens} tokens, {SHAPE.calls} calls")
    for heading in ("ms", "p50", "p95", "p99", "max"):
        table.add_column(heading, justify="right")
    for name in ("work_ms", "interval_ms"):
        table.add_row(name.removesuffix("_ms"), *(f"{value:.1f}" for value in told[name].values()))
    Console().print(table)
    content = {"shape": {"tokens": SHAPE.tokens, "calls": SHAPE.calls, "units": SHAPE.units}, **told}
    content["playwright"] = importlib.metadata.version("playwright")
    print(record.write("page", on, content, options.json))
    return int(figures.late > 0.01)


if __name__ == "__main__":
    sys.exit(main())
