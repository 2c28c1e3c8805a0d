"""A completion as a trace for https://ui.perfetto.dev, in Chrome's trace event format.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from collections.abc import Iterable
from typing import Any

from gateway.archive.lanes import Block, Call, Event, Lanes, Turn
from gateway.archive.summary import Summary

_PROCESS = 1
_DECODING = 1  # the lane of the turns; calls have those behind it


def trace_events(summary: Summary, events: Iterable[Event]) -> dict[str, Any]:
    """The trace: turns in one lane, each call in its own, with its pieces of work inside."""
    lanes = Lanes.of(events)
    traced = [
        _named("process_name", 0, f"completion {summary.id} ({summary.mode})"),
        _named("thread_name", _DECODING, "decoding"),
    ]
    traced += [_turn(turn, lanes.end) for turn in lanes.turns]
    for thread, call in enumerate(lanes.calls.values(), _DECODING + 1):
        traced.append(_named("thread_name", thread, f"{call.name} {call.id}"))
        traced.append(_call(call, thread, lanes.end))
        traced += [_block(block, thread) for block in call.blocks]
    return {"displayTimeUnit": "ms", "traceEvents": traced, "otherData": summary.to_json()}


def _named(what: str, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": _PROCESS, "tid": thread, "args": {"name": name}}


def _turn(turn: Turn, end: float) -> dict[str, Any]:
    told = {"tokens": turn.tokens, "finish_reason": turn.finish_reason}
    return _slice(f"turn {turn.number}", "decoding", _DECODING, turn.begin, turn.end or end, told)


def _call(call: Call, thread: int, end: float) -> dict[str, Any]:
    told = {"busy_seconds": call.busy, "hidden_seconds": round(call.hidden, 6), "error": call.error}
    return _slice(call.name, "call", thread, call.begin, call.end or end, told)


def _block(block: Block, thread: int) -> dict[str, Any]:
    return _slice(block.label or "work", "unit", thread, block.begin, block.end, {"hidden_seconds": block.hidden})


def _slice(name: str, kind: str, thread: int, begin: float, end: float, told: dict[str, Any]) -> dict[str, Any]:
    """Times are microseconds."""
    times = {"ts": round(begin * 1e6, 1), "dur": round(max(0.0, end - begin) * 1e6, 1)}
    return {"ph": "X", "name": name, "cat": kind, "pid": _PROCESS, "tid": thread, **times, "args": told}
