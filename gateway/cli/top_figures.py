"""The figures of `conveyor top`, from two readings of each service's metrics."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.cli.scrape import Between, Scrape, quantiles, total

LATENCIES = {
    "first_token": "conveyor_time_to_first_token_seconds",
    "inter_token": "conveyor_inter_token_latency_seconds",
    "completion": "conveyor_e2e_request_latency_seconds",
}
STATES = ("running", "waiting", "parked", "returning")
KINDS = ("decoded", "prompt", "cached")
_GOOD = ("ok", "handed over")


@dataclass(frozen=True, slots=True)
class Readings:
    """The last two readings of each service, by its address, gateways, decoders and tool services apart."""

    gateways: dict[str, Between]
    decoders: dict[str, Between]
    tools: dict[str, Between]

    def services(self) -> Iterable[tuple[str, str, Scrape]]:
        """Kind, address and last reading of each."""
        for kind, group in (("gateway", self.gateways), ("decoder", self.decoders), ("tools", self.tools)):
            for address, between in group.items():
                yield kind, address, between.after


def figures(readings: Readings) -> dict[str, Any]:
    """All of them, for programs and for the screen. Rates and latencies are those of the last interval, and None where
    nothing happened in it or nobody can tell; figures of a tool, but its rate, count since its service began."""
    gateways, decoders = list(readings.gateways.values()), list(readings.decoders.values())
    return {
        "services": [
            {"service": kind, "address": address, "away": last.away or None}
            for kind, address, last in readings.services()
        ],
        "requests": {
            "running": _now(gateways, "conveyor_requests_running"),
            "waiting": _now(decoders, "conveyor_requests_waiting"),
            "finished_per_second": _rate(gateways, "conveyor_requests_total", outcome="OK"),
            "failed_per_second": _failing(gateways),
        },
        "sequences": {state: _now(decoders, "conveyor_decoder_sequences", state=state) for state in STATES},
        "tokens_per_second": {kind: _rate(decoders, "conveyor_decoder_tokens_total", kind=kind) for kind in KINDS},
        "kv_cache_usage": {
            address: _now([between], "conveyor_kv_cache_usage_perc") for address, between in readings.decoders.items()
        },
        "latency_seconds": {name: _latency(gateways, metric) for name, metric in LATENCIES.items()},
        "tools": _tools(gateways, list(readings.tools.values())),
    }


def _now(several: Sequence[Between], name: str, **labels: str) -> float | None:
    """The gauges of this name together; None where no service is there."""
    there = [each.after for each in several if not each.after.away]
    found = [value for last in there for key, value in last.of(name).items() if labels.items() <= dict(key).items()]
    return sum(found) if there else None


def _rate(several: Sequence[Between], name: str, **labels: str) -> float | None:
    there = [each for each in several if each.both]
    return sum(total([each], name, **labels) / each.seconds for each in there) if there else None


def _failing(gateways: Sequence[Between]) -> float | None:
    every, good = (_rate(gateways, "conveyor_requests_total", **labels) for labels in ({}, {"outcome": "OK"}))
    return None if every is None or good is None else every - good


def _latency(gateways: Sequence[Between], metric: str) -> dict[str, float] | None:
    found = quantiles(gateways, metric, 0.5, 0.95)
    return None if found is None else dict(zip(("p50", "p95"), found, strict=True))


def _tools(gateways: Sequence[Between], services: Sequence[Between]) -> list[dict[str, Any]]:
    """A row for each tool that was called, those that work most first."""
    counts, seconds = (
        _by_tool(services, "conveyor_tool_calls_total"),
        _by_tool(services, "conveyor_tool_call_seconds_sum"),
    )
    bad = _by_tool(services, "conveyor_tool_calls_total", without=("outcome", _GOOD))
    hidden = _by_tool(gateways, "conveyor_tool_hidden_seconds_sum")
    running = _by_tool(services, "conveyor_tool_calls_running")
    vetoes = _by_tool(services, "conveyor_tool_vetoes_total")
    wasted = _by_tool(services, "conveyor_wasted_tool_seconds_sum")
    rows = [
        {
            "tool": tool,
            "running": int(running[tool]),
            "calls": int(counts[tool]),
            "calls_per_second": _rate(services, "conveyor_tool_calls_total", tool=tool),
            "mean_seconds": seconds[tool] / counts[tool] if counts[tool] else None,
            "hidden_share": min(1.0, hidden[tool] / seconds[tool]) if seconds[tool] else None,
            "errors": int(bad[tool]),
            "vetoes": int(vetoes[tool]),
            "wasted_seconds": wasted[tool],
        }
        for tool in counts.keys() | running.keys()
    ]
    return sorted(rows, key=lambda row: (-seconds[row["tool"]], row["tool"]))


def _by_tool(
    several: Iterable[Between], name: str, without: tuple[str, tuple[str, ...]] | None = None
) -> defaultdict[str, float]:
    """The samples of a name as they stand, summed up for each tool; without those whose label has one of the values."""
    found: defaultdict[str, float] = defaultdict(float)
    for each in several:
        for key, value in each.after.of(name).items():
            labels = dict(key)
            if without is None or labels.get(without[0]) not in without[1]:
                found[labels.get("tool", "")] += value
    return found
