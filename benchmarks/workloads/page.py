"""Shows a recorded run in docs/evaluation.md, and in short in README.md:
`python -m benchmarks.workloads.page RUN.json [SHARED.json]`."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import documents
from benchmarks.documents import Run, put, table
from benchmarks.workloads import figures
from benchmarks.workloads.bounds import Bound
from benchmarks.workloads.suite import SUITE, mixed

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "evaluation.md"
README = DOCS.parent / "README.md"
IN_SHORT = ("codegen-cold", "search", "planning", "validation", "script", "agent")
PICTURES: dict[str, tuple[Callable[[Run, Path], None], str]] = {
    "rows": (figures.bars, "Seconds to the end of the completion for each workload and mode, with the ideal marked"),
    "timelines": (figures.timeline, "One CodeGen completion in serial and in partial"),
    "sweep": (figures.sweep, "What is saved over the ratio of tool time to decoding time, with the formula"),
    "loads": (figures.load, "What is saved over the number of completions at once"),
}
NAMES = {"rows": "bars", "timelines": "timeline", "sweep": "sweep", "loads": "load"}


def picture(run: Run, part: str) -> str:
    """Draws a part of the run; gives the line that shows it."""
    draw, about = PICTURES[part]
    path = PAGE.parent / f"evaluation-{NAMES[part]}.svg"
    draw(run, path)
    return f"![{about}]({path.name})"


def sections(run: Run) -> dict[str, str]:
    """What stands between the marks of the page, by mark; only of the parts that were measured."""
    parts: dict[str, Callable[[Run], str]] = {
        "rows": lambda run: "\n\n".join((_about(run), picture(run, "rows"), _rows(run))),
        "timelines": lambda run: picture(run, "timelines"),
        "sweep": lambda run: "\n\n".join((picture(run, "sweep"), _sweep(run))),
        "loads": lambda run: picture(run, "loads"),
        "overheads": _overheads,
        "instead": _instead,
        "bounds": _bounds,
    }
    return {mark: make(run) for mark, make in parts.items() if run.get(mark)}


def workloads() -> str:
    """What each workload is."""
    rows = [[each.title, "paper" if each.origin == "paper" else "ours", each.real] for each in SUITE.values()]
    rows.append([mixed.TITLE, "ours", "the others, drawn alike, at once"])
    lines = ["| workload | from | what is real |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def in_short(run: Run) -> str:
    """Some of it, for those who pass by."""
    found = {(row["workload"], row["mode"]): row for row in run["rows"]}
    rows = []
    for name in IN_SHORT:
        seconds = [_seconds(found[name, mode]["completion_seconds"]["p50"]) for mode in ("serial", "partial")]
        rows.append([SUITE[name].title, *seconds, f"{found[name, 'partial']['saved_vs_serial'] * 100:.0f} %"])
    return table(["completion", "tools after the turn, s", "while it is decoded, s", "saved"], rows)


def shared(run: Run) -> str:
    """The same on shared cores, in short."""
    return "\n\n".join((_about(run), _rows(run)))


def _day(run: Run) -> str:
    minutes = run["wall_seconds"] / 60
    return documents.wrapped(f"Run of {run['date']}, {run['trials']} rounds, {minutes:.0f} minutes in all.")


def _about(run: Run) -> str:
    text = f"{documents.machine(run)}; {run['placement']}; {run['trials']} rounds; a web search takes "
    return documents.wrapped(f"{text}{run['search_seconds']:g} s.")


def _rows(run: Run) -> str:
    head = [
        "workload, mode",
        "completion",
        "decode",
        "tools",
        "hidden",
        "ideal",
        "saved",
        "over on_seal",
        "of ideal",
        "between",
    ]
    rows = []
    for row in run["rows"]:
        spread = row["completion_seconds"]
        times = [_seconds(row[f"{name}_seconds"]) for name in ("decode", "tool", "hidden", "ideal")]
        shares = [
            _with(row["saved_vs_serial"], row["saved_ci95"]),
            _share(row["saved_vs_on_seal"]),
            _with(row["attained"], row["attained_ci95"]),
            _share(row["attained_between"]),
        ]
        interval = f"{spread['p50']:.2f} ({spread['ci95'][0]:.2f}–{spread['ci95'][1]:.2f})"
        rows.append([f"{row['workload']}, {row['mode']}", interval, *times, *shares])
    return table(head, rows)


def _sweep(run: Run) -> str:
    head = ["t / g, units", "g", "t", "serial", "partial", "saved", "formula", "of ideal"]
    rows = [
        [
            f"{point['ratio']:g}, {point['units']}",
            *(_seconds(point[f"{name}_seconds"]) for name in ("decode", "tool", "serial", "partial")),
            *(_share(point[name]) for name in ("saved", "formula", "attained")),
        ]
        for point in run["sweep"]
    ]
    return table(head, rows)


def _overheads(run: Run) -> str:
    head = ["at once", "to the tool: p50 ms", "p99 ms", "µs: decoding", "transport, parsing", "share", "gateway"]
    rows = [
        [
            str(each["concurrent"]),
            f"{each['to_tool_p50']:.2f}",
            f"{each['to_tool_p99']:.2f}",
            f"{each['decoding_cpu']:.0f}",
            f"{each['transport_cpu']:.0f}",
            _share(each["transport_share"]),
            f"{each['gateway_cpu']:.0f}",
        ]
        for each in run["overheads"]
    ]
    return "\n\n".join((table(head, rows), *_waking(run["waking"])))


def _waking(found: dict[str, Any] | None) -> Iterator[str]:
    if found is not None:
        after = ", ".join(f"{value:.0f} µs after {sleep}" for sleep, value in found["after"].items())
        yield documents.wrapped(
            f"A little work that takes {found['awake']:.0f} µs in a process that has just done it takes, where the "
            f"process has slept: {after}."
        )


def _instead(run: Run) -> str:
    ours = {row["workload"]: row for row in run["rows"] if row["mode"] == "partial"}
    rows = []
    for loop in run["instead"]:
        row = ours.get(loop["workload"])
        decode = None if row is None else row["decode_seconds"]
        mine = None if row is None else row["completion_seconds"]["p50"]
        times = [loop[f"{name}_seconds"] for name in ("completion", "decode", "tool")]
        same = None if decode is None else decode + loop["tool_seconds"]
        rows.append([loop["workload"], *map(_seconds, (*times, same, mine, decode))])
    head = [
        "vLLM and a loop",
        "its decoding",
        "its tools",
        "the loop, if it decoded as we do",
        "Conveyor",
        "its decoding",
    ]
    return table(["workload", *head], rows)


def _bounds(run: Run) -> str:
    rows = []
    for kept in run["bounds"]:
        bound = Bound(**{name: value for name, value in kept.items() if name != "holds"})
        rows.append([bound.what, bound.shown, bound.wanted, "" if bound.holds else "missed"])
    without = "".join(f"\n\n{documents.wrapped(why)}" for why in run["without"])
    return f"{_day(run)}\n\n{table(['', 'found', 'wanted', ''], rows)}{without}"


def _with(value: float | None, interval: list[float] | None) -> str:
    if value is None or interval is None:
        return _share(value)
    return f"{_share(value)} ({interval[0] * 100:.0f} to {interval[1] * 100:.0f})"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f} %"


def main(paths: list[str]) -> int:
    """Writes page and pictures; gives the exit code."""
    if not paths:
        print((__doc__ or "").splitlines()[0], file=sys.stderr)
        return 2
    show([Path(path) for path in paths])
    return 0


def show(paths: list[Path]) -> None:
    """Writes page and pictures."""
    page = put(PAGE.read_text("utf-8"), "workloads", workloads())
    for path in paths:
        run = json.loads(path.read_text("utf-8"))
        if run["benchmark"] == "workloads-shared":
            page = put(page, "shared", shared(run))
        else:
            for mark, text in sections(run).items():
                page = put(page, mark, text)
            if all(any(row["workload"] == name for row in run["rows"]) for name in IN_SHORT):
                README.write_text(put(README.read_text("utf-8"), "saved", in_short(run)), "utf-8")
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
