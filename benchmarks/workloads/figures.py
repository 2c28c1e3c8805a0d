"""The pictures of docs/evaluation.md, drawn from a recorded run."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import ticker

from benchmarks.documents import Run, plot
from benchmarks.workloads.suite import SUITE, mixed
from benchmarks.workloads.workload import MODES

COLOURS = {"serial": "#94a3b8", "parallel": "#60a5fa", "on_seal": "#a78bfa", "partial": "#c2410c"}
DECODING, HIDDEN, EXPOSED = "#0f766e", "#c2410c", "#fdba74"
BAR = 0.2


def bars(run: Run, path: Path) -> None:
    """Completion latency for each workload and mode, with its interval, and the ideal as a mark over `partial`."""
    rows = run["rows"]
    names = list(dict.fromkeys(row["workload"] for row in rows))
    modes = [mode for mode in MODES if any(row["mode"] == mode for row in rows)]
    with plot(path, height=0.62 * len(names) + 1.2) as (_, axes):
        for place, mode in enumerate(modes):
            of_mode = {row["workload"]: row for row in rows if row["mode"] == mode}
            found = [of_mode[name]["completion_seconds"] for name in names if name in of_mode]
            at = [names.index(name) + (place - (len(modes) - 1) / 2) * BAR for name in of_mode]
            medians = [spread["p50"] for spread in found]
            below = [spread["p50"] - spread["ci95"][0] for spread in found]
            above = [spread["ci95"][1] - spread["p50"] for spread in found]
            axes.barh(at, medians, BAR, xerr=[below, above], label=mode, color=COLOURS[mode], error_kw={"lw": 0.8})
            if mode == "partial":
                marks = [(y, of_mode[name]["ideal_seconds"]) for y, name in zip(at, of_mode, strict=True)]
                known = [(y, ideal) for y, ideal in marks if ideal is not None]
                axes.plot([x for _, x in known], [y for y, _ in known], "k|", ms=9, mew=1.6, label="ideal")
        axes.set_yticks(range(len(names)), [_title(name) for name in names])
        axes.invert_yaxis()
        axes.set_xlabel("seconds to the end of the completion, median and its 95 % interval")
        axes.grid(axis="x", alpha=0.25)
        axes.legend(frameon=False)


def timeline(run: Run, path: Path) -> None:
    """One completion in two modes: decoding above, the units of its calls below."""
    modes = [mode for mode in ("serial", "partial") if mode in run["timelines"]]
    with plot(path, height=3.2, nrows=len(modes), sharex=True) as (figure, panes):
        for axes, mode in zip(np.atleast_1d(panes), modes, strict=True):
            _lanes(axes, run["timelines"][mode], mode)
        np.atleast_1d(panes)[-1].set_xlabel("seconds since the request")
        figure.legend(
            *np.atleast_1d(panes)[0].get_legend_handles_labels(), frameon=False, ncols=3, loc="outside upper right"
        )


def sweep(run: Run, path: Path) -> None:
    """What was saved, over tool time to decoding time, for each number of units, with what the formula says."""
    points = run["sweep"]
    curve = np.geomspace(0.08, 12, 200)
    with plot(path) as (_, axes):
        axes.plot(curve, np.minimum(1, curve) / (1 + curve), "k-", lw=1, label="min(g, t) / (g + t)")
        every = sorted({point["units"] for point in points})
        for count, shade in zip(every, np.linspace(0.25, 0.95, len(every)), strict=True):
            colour = (*[c * shade + (1 - shade) * 0.85 for c in (0.76, 0.25, 0.05)],)
            axes.plot(curve, np.minimum(1, curve) * (1 - 1 / count) / (1 + curve), ":", color=colour, lw=1)
            of_count = [point for point in points if point["units"] == count]
            ratios = [point["tool_seconds"] / point["decode_seconds"] for point in of_count]
            name = f"{count} unit{'s' if count > 1 else ''}"
            axes.plot(ratios, [point["saved"] for point in of_count], "o", color=colour, ms=5, label=name)
        axes.set(xscale="log", xlabel="tool time t over decoding time g", ylabel="saved against serial")
        axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, 0))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)


def load(run: Run, path: Path) -> None:
    """What was saved, over the number of completions at once."""
    rows = [row for row in run["loads"] if row["mode"] == "partial"]
    found = {int(row["workload"]): row["saved_vs_serial"] for row in rows}
    with plot(path, height=3.2) as (_, axes):
        counts = sorted(found)
        axes.plot(counts, [found[count] for count in counts], "o-", color=COLOURS["partial"])
        most = 0.1 * (1 + max(found.values()) // 0.1)
        axes.set(xlabel="completions at once", ylabel="saved against serial", ylim=(min(0, *found.values()), most))
        axes.set_xticks(counts)
        axes.yaxis.set_major_locator(ticker.MultipleLocator(0.05))
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, 0))
        axes.grid(alpha=0.25)


def _lanes(axes: Any, drawn: Run, mode: str) -> None:
    for begin, end in drawn["decoded"]:
        axes.barh(1, end - begin, 0.5, begin, color=DECODING, label="decoding")
    ends = [end for _, end in drawn["decoded"]]
    last = ends[-1] if ends else 0.0
    hidden, exposed = [], []
    for unit in drawn["units"]:
        cut = min(max(last, unit["from"]), unit["to"])
        hidden.append((unit["from"], cut - unit["from"]))
        exposed.append((cut, unit["to"] - cut))
    axes.broken_barh([span for span in hidden if span[1] > 0], (-0.25, 0.5), color=HIDDEN, label="tool, hidden")
    axes.broken_barh([span for span in exposed if span[1] > 0], (-0.25, 0.5), color=EXPOSED, label="tool, waited for")
    axes.axvline(drawn["completion"], color="k", lw=1)
    axes.set_yticks([0, 1], ["tool", "decoder"])
    axes.set_title(f"{mode}: {drawn['completion']:.2f} s", loc="left", fontsize=11)
    axes.set_ylim(-0.6, 1.6)


def _title(name: str) -> str:
    return mixed.TITLE if name == mixed.NAME else SUITE[name].title
