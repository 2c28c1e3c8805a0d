"""Lanes of a timeline: what is drawn where, and what of it was hidden."""

from typing import Any

import pytest

from gateway.archive.lanes import Block, Lanes
from gateway.archive.perfetto import trace_events
from gateway.archive.summary import Summary

EVENTS: list[dict[str, Any]] = [
    {"at_seconds": 0.1, "turn_started": {"turn": 0}},
    {"at_seconds": 0.2, "text_delta": {"text": "run"}},
    {"at_seconds": 0.3, "call_opened": {"call_id": "c1", "name": "python"}},
    {"at_seconds": 0.4, "call_started": {"call_id": "c1"}},
    {"at_seconds": 0.8, "unit_finished": {"call_id": "c1", "label": "import", "busy_seconds": 0.3}},
    {"at_seconds": 1.0, "turn_decoded": {"turn": 0, "finish_reason": "stop", "usage": {"completion_tokens": 7}}},
    {"at_seconds": 1.2, "unit_finished": {"call_id": "c1", "label": "plot", "busy_seconds": 0.3}},
    {"at_seconds": 1.5, "call_finished": {"call_id": "c1", "busy_seconds": 0.8, "result": "ok"}},
    {"at_seconds": 1.5, "turn_finished": {"turn": 0}},
    {"at_seconds": 1.6, "turn_started": {"turn": 1}},
    {"at_seconds": 1.7, "call_opened": {"call_id": "c2", "name": "nowhere"}},
    {"at_seconds": 1.8, "call_finished": {"call_id": "c2", "error": {"code": "UNKNOWN_TOOL", "message": "?"}}},
    {"at_seconds": 9.9, "finished": {}},
]


def test_a_turn_and_its_calls_have_lanes_and_work_before_the_last_token_is_hidden() -> None:
    lanes = Lanes.of(EVENTS)
    first, second = lanes.turns
    assert (first.begin, first.end, first.tokens, second.end) == (0.1, 1.0, 7, None)
    call, failed = lanes.calls.values()
    assert (call.name, call.turn, call.begin, call.started, call.end) == ("python", 0, 0.3, 0.4, 1.5)
    assert [block.label for block in call.blocks] == ["import", "plot", ""]
    assert [block.hidden for block in call.blocks] == pytest.approx([0.3, 0.1, 0])
    assert call.blocks[2].begin == pytest.approx(1.3) and call.hidden == pytest.approx(0.4)
    assert (failed.turn, failed.error, failed.blocks) == (1, "UNKNOWN_TOOL", [])
    assert lanes.end == 1.8  # `finished` is on another clock


def test_work_is_hidden_for_as_long_as_the_turn_is_being_decoded() -> None:
    (call,) = Lanes.of(EVENTS[:5]).calls.values()
    assert call.blocks == [Block("import", pytest.approx(0.5), 0.8, pytest.approx(0.3))]


def test_what_was_heard_before_its_turns_last_token_but_ended_behind_it_is_cut_then() -> None:
    """Events come in their order; their times need not."""
    (call,) = Lanes.of([*EVENTS[:5], {"at_seconds": 0.7, "turn_decoded": {"turn": 0}}]).calls.values()
    assert call.blocks == [Block("import", pytest.approx(0.5), 0.8, pytest.approx(0.2))]


def test_a_block_is_made_once_and_cut_once_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    create = Block.__init__

    def counted(block: Block, *fields: Any, **named: Any) -> None:
        nonlocal made
        made += 1
        create(block, *fields, **named)

    monkeypatch.setattr(Block, "__init__", counted)
    unit = {"at_seconds": 0.8, "unit_finished": {"call_id": "c1", "label": "x", "busy_seconds": 0.001}}
    (call,) = Lanes.of([*EVENTS[:4], *[unit] * 500, EVENTS[5], *[unit] * 500]).calls.values()
    assert len(call.blocks) == 1000 and made == 1500


def test_events_of_unknown_kinds_and_of_unknown_calls_change_nothing() -> None:
    lanes = Lanes.of(
        [
            {"at_seconds": 1.0},
            {"at_seconds": 2.0, "new_kind": {}},
            {"at_seconds": 3.0, "call_started": {"call_id": "x"}},
        ]
    )
    assert (lanes.turns, lanes.calls, lanes.end) == ([], {}, 3.0)


def test_a_trace_has_a_slice_for_each_turn_call_and_piece_of_work() -> None:
    trace = trace_events(Summary("id", 0.0, "finished", "Hi", "partial", ()), EVENTS)
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [event["name"] for event in slices] == [
        *("turn 0", "turn 1"),
        *("python", "import", "plot", "work"),
        "nowhere",
    ]
    assert {event["tid"] for event in slices} == {1, 2, 3}
    imported = slices[3]
    assert (imported["ts"], imported["dur"]) == (500_000, 300_000)
    assert slices[1]["dur"] == pytest.approx(200_000)  # a turn that did not end is drawn to the last event
