"""Shows recorded runs in the documentation: `python -m benchmarks.decoding.page DECODE.json [TURNS.json]`.

Writes docs/decoding.svg and what stands between the marks of docs/decoding.md.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib import ticker

from benchmarks import documents
from benchmarks.decoding.process import ROOT
from benchmarks.documents import Run, put, table

PAGE, PLOT = ROOT / "docs" / "decoding.md", ROOT / "docs" / "decoding.svg"
COLOURS = {"conveyor": "#c2410c", "transformers": "#2563eb", "vllm": "#7c3aed", "llama.cpp": "#15803d"}


def plot(run: Run, path: Path) -> None:
    """Tokens a second over the batch size, both logarithmic, with bars from the least to the most of the rounds."""
    with documents.plot(path) as (_, axes):
        for name, decoder in run["decoders"].items():
            _line(axes, name, {int(size): figures["rate"] for size, figures in decoder["batches"].items()})
        sizes = run["work"]["batches"]
        axes.set(xscale="log", yscale="log", xlabel="sequences", ylabel="tokens a second")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(ticker.LogLocator(base=2))
        axes.yaxis.set_major_formatter(ticker.ScalarFormatter())
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)


def _line(axes: Any, name: str, rates: dict[int, dict[str, float]]) -> None:
    if not rates:
        return
    sizes = sorted(rates)
    medians = [rates[size]["median"] for size in sizes]
    below = [rates[size]["median"] - rates[size]["least"] for size in sizes]
    above = [rates[size]["most"] - rates[size]["median"] for size in sizes]
    axes.errorbar(sizes, medians, [below, above], label=name, color=COLOURS.get(name), marker="o", capsize=3)


def decode_tables(run: Run) -> str:
    """The tables of one run, as Markdown."""
    decoders, sizes = run["decoders"], [str(size) for size in run["work"]["batches"]]
    parts = [
        f"![Decoded tokens a second over the number of sequences]({PLOT.name})",
        _about(run),
        "Decoded tokens a second, median of the rounds (least–most):",
        _by_batch(decoders, sizes, lambda figures: _spread(figures["rate"])),
        "Our tokens a second over theirs, and what must hold:",
        _ratios(run, sizes),
        "Milliseconds of a step, p50 / p99:",
        _by_batch(decoders, sizes, lambda figures: f"{figures['p50']:.1f} / {figures['p99']:.1f}"),
        "The rest:",
        _rest(run, sizes[0]),
    ]
    return "\n\n".join(parts)


def turns_table(run: Run) -> str:
    """The table of a run of `benchmarks.turns`, as Markdown."""
    rows = [[name, _range(values)] for name, values in run["milliseconds"].items()]
    rows.append(["ratio", f"{run['ratio']:.1f} (≥ {run['least_ratio']:g})"])
    return _about(run) + "\n\n" + table(["", "milliseconds to the next token"], rows)


def _about(run: Run) -> str:
    load = run["machine"]["load_average"]
    return documents.wrapped(
        f"{documents.machine(run)}; {run['threads']} threads, {run['rounds']} rounds; load average before it {load:g}."
    )


def _by_batch(decoders: Run, sizes: list[str], cell: Callable[[Run], str]) -> str:
    rows = [
        [size, *(cell(each["batches"][size]) if size in each["batches"] else "–" for each in decoders.values())]
        for size in sizes
    ]
    return table(["sequences", *decoders], rows)


def _ratios(run: Run, sizes: list[str]) -> str:
    least = {(bound["peer"], str(bound["batch"])): bound["least"] for bound in run["bounds"]}

    def cell(peer: str, size: str) -> str:
        value = run["ratios"][peer].get(size)
        bound = f" (≥ {least[peer, size]:g})" if (peer, size) in least else ""
        return f"{value:.2f}{bound}" if value else "–"

    return table(
        ["sequences", *run["ratios"]], [[size, *(cell(peer, size) for peer in run["ratios"])] for size in sizes]
    )


def _rest(run: Run, smallest: str) -> str:
    decoders = run["decoders"].values()
    rows = [
        ["weights", *(str(each["about"].get("weights", "–")) for each in decoders)],
        [
            f"ms to the first token, {smallest} × {run['work']['prompt']} tokens",
            *(_spread(each["batches"][smallest]["first"]) if smallest in each["batches"] else "–" for each in decoders),
        ],
        [
            f"prompt tokens a second, of {run['work']['prefill']}",
            *(_spread(each["prefill_rate"]) if each["prefill_rate"] else "–" for each in decoders),
        ],
        ["seconds to load", *(f"{each['about'].get('load_seconds', 0):.1f}" for each in decoders)],
        ["peak memory, MiB", *(f"{each['peak_bytes'] / 2**20:.0f}" for each in decoders)],
    ]
    return table(["", *run["decoders"]], rows)


def _spread(spread: dict[str, float]) -> str:
    digits = 1 if spread["median"] < 100 else 0
    return f"{spread['median']:.{digits}f} ({spread['least']:.{digits}f}–{spread['most']:.{digits}f})"


def _range(values: list[float]) -> str:
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return _spread({"median": middle, "least": ordered[0], "most": ordered[-1]})


def main(paths: list[str]) -> int:
    """Writes page and plot; gives the exit code."""
    if not paths:
        print((__doc__ or "").splitlines()[0], file=sys.stderr)
        return 2
    page = PAGE.read_text("utf-8")
    for path in paths:
        run = json.loads(Path(path).read_text("utf-8"))
        if run["benchmark"].startswith("decode-"):
            plot(run, PLOT)
            page = put(page, "decode", decode_tables(run))
        else:
            page = put(page, "turns", turns_table(run))
    PAGE.write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
