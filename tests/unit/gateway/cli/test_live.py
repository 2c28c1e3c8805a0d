import io

import pytest
from google.protobuf import duration_pb2
from rich.console import Console

from gateway.cli.artifacts import only_named
from gateway.cli.live import Live, Phase, ledger_line, share
from gateway.cli.panes import panes
from gateway.cli.show import JsonLines, Lines, Panes, UnitLines, show_units_on
from protos.conveyor.gateway.v1 import gateway_pb2 as pb


def at(value: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(value * 1e9))
    return duration


def event(seconds: float, **kind: object) -> pb.CompleteResponse:
    return pb.CompleteResponse(at=at(seconds), **kind)  # type: ignore[arg-type]


LEDGER = pb.Ledger(
    completion=at(2), decode=at(1.5), tool=at(1), hidden=at(0.8), serial=at(2.8), ideal=at(1.9), attained=0.888
)
EVENTS = [
    event(0.1, turn_started=pb.TurnStarted(turn=0)),
    event(0.2, text_delta=pb.TextDelta(text="```python\n", token_ids=[1, 2])),
    event(0.3, call_opened=pb.CallOpened(call_id="c1", name="python", text_offset=10)),
    event(0.3, call_started=pb.CallStarted(call_id="c1")),
    event(0.4, text_delta=pb.TextDelta(text="print(\x1b[31m1)\n")),
    event(0.4, arguments_delta=pb.ArgumentsDelta(call_id="c1", argument="code", text="")),
    event(0.4, arguments_delta=pb.ArgumentsDelta(call_id="c1", argument="code", text="print(1)\n")),
    event(0.5, call_output=pb.CallOutput(call_id="c1", text="1\n\x1b[0m")),
    event(0.6, unit_finished=pb.UnitFinished(call_id="c1", label="print(1)", busy=at(0.1))),
    event(0.7, text_delta=pb.TextDelta(text="```")),
    event(
        0.8,
        turn_decoded=pb.TurnDecoded(
            turn=0, finish_reason=pb.FINISH_REASON_STOP, usage=pb.Usage(prompt_tokens=9, completion_tokens=5)
        ),
    ),
    event(
        1.3,
        call_finished=pb.CallFinished(
            call_id="c1", result="[bold]1", arguments_json='{"code": "print(1)"}', busy=at(0.5), waiting=at(0.25)
        ),
    ),
    event(1.3, turn_finished=pb.TurnFinished(turn=0, call_count=1)),
    event(1.4, turn_started=pb.TurnStarted(turn=1)),
    event(1.5, text_delta=pb.TextDelta(text="It is 1.")),
    event(
        1.6,
        turn_decoded=pb.TurnDecoded(turn=1, finish_reason=pb.FINISH_REASON_STOP, usage=pb.Usage(completion_tokens=3)),
    ),
    event(
        2.0,
        finished=pb.Finished(
            request_id="r1",
            finish_reason=pb.FINISH_REASON_STOP,
            usage=pb.Usage(prompt_tokens=9, completion_tokens=8),
            ledger=LEDGER,
        ),
    ),
]


def after(*events: pb.CompleteResponse) -> Live:
    live = Live()
    for one in events:
        live.apply(one)
    return live


def drawn(live: Live, now: float = 0.0, height: int | None = None, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(panes(live, now, height, "code"))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_whole_completion_as_data():
    assert after(*EVENTS).to_json() == {
        "request_id": "r1",
        "text": "```python\nprint(\x1b[31m1)\n```\nIt is 1.",
        "turns": [
            {
                "text": "```python\nprint(\x1b[31m1)\n```",
                "finish_reason": "stop",
                "usage": {"prompt_tokens": 9, "cached_tokens": 0, "completion_tokens": 5},
            },
            {
                "text": "It is 1.",
                "finish_reason": "stop",
                "usage": {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 3},
            },
        ],
        "calls": [
            {
                "id": "c1",
                "name": "python",
                "turn": 0,
                "arguments": {"code": "print(1)"},
                "output": "1\n\x1b[0m",
                "result": "[bold]1",
                "busy_seconds": 0.5,
                "waiting_seconds": 0.25,
            }
        ],
        "usage": {"prompt_tokens": 9, "cached_tokens": 0, "completion_tokens": 8},
        "ledger": {
            "completion_seconds": 2.0,
            "decode_seconds": 1.5,
            "tool_seconds": 1.0,
            "hidden_seconds": 0.8,
            "serial_seconds": 2.8,
            "ideal_seconds": 1.9,
            "attained": 0.888,
        },
        "finish_reason": "stop",
    }


def test_a_call_goes_from_opened_to_running_to_finished():
    phases = [call.phase for n in range(len(EVENTS)) for call in after(*EVENTS[: n + 1]).calls.values()]
    assert list(dict.fromkeys(phases)) == [Phase.OPENED, Phase.RUNNING, Phase.FINISHED]


def test_elapsed_runs_while_the_call_does():
    (running,) = after(*EVENTS[:4]).calls.values()
    assert running.elapsed(0.8) == 0.5
    (finished,) = after(*EVENTS).calls.values()
    assert finished.elapsed(100.0) == 0.5
    assert "python finished 0.50 s" in drawn(after(*EVENTS))


def test_a_failed_call_keeps_its_error_and_has_no_arguments():
    error = pb.ToolError(code="INCOMPLETE", message="cut off")
    live = after(*EVENTS[:3], event(1, call_finished=pb.CallFinished(call_id="c1", error=error)))
    (call,) = live.to_json()["calls"]
    assert call["error"] == {"code": "INCOMPLETE", "message": "cut off"}
    assert call["arguments"] is None
    assert "failed" in drawn(live)


def test_a_completion_that_is_still_running_is_data_too():
    data = after(*EVENTS[:4]).to_json()
    assert data["turns"][0]["finish_reason"] is None
    assert data["calls"][0]["name"] == "python"


def test_the_panes_show_text_and_calls_side_by_side():
    lines = drawn(after(*EVENTS[:7]), now=1.3).splitlines()
    assert "code" in lines[0]
    assert "calls" in lines[0]
    assert "```python" in lines[1]
    assert "python running 1.0 s" in lines[1]
    assert "print(1)" in lines[2]
    assert "\x1b" not in "".join(lines)


def test_model_text_is_never_markup():
    assert "[bold]1" in drawn(after(*EVENTS))


def test_the_end_of_a_long_text_is_shown():
    long = event(0.2, text_delta=pb.TextDelta(text="\n".join(f"line {n}" for n in range(100))))
    lines = drawn(after(EVENTS[0], long), height=10).splitlines()
    assert len(lines) == 10
    assert "line 99" in lines[-2]
    assert "line 91" not in "".join(lines)
    assert "line 0" in drawn(after(EVENTS[0], long))


def test_panes_fit_a_tiny_terminal():
    assert drawn(after(*EVENTS), height=1, width=10)


def test_a_second_call_of_a_tool_gets_a_number():
    live = after(*EVENTS[:3], event(1, call_opened=pb.CallOpened(call_id="c2", name="python")))
    assert [call.label for call in live.calls.values()] == ["python", "python 2"]


def test_events_of_unknown_kinds_or_calls_change_nothing():
    live = after(pb.CompleteResponse(), event(1, call_output=pb.CallOutput(call_id="nobody", text="x")))
    assert live.turns == []
    assert live.calls == {}


def test_the_ledger_in_one_line():
    line = "completion 2.00 s · decode 1.50 s · tools 1.00 s · hidden 0.80 s"
    finished = pb.Finished(finish_reason=pb.FINISH_REASON_STOP, ledger=LEDGER)
    assert ledger_line(finished) == f"{line} · 89% of ideal"
    assert ledger_line(finished, serial=True) == line


def test_the_ledgers_line_says_so_where_tools_hardly_worked():
    ledger = pb.Ledger(completion=at(2), decode=at(2), tool=at(0.0099), hidden=at(0), attained=0.0)
    line = "completion 2.00 s · decode 2.00 s · tools 0.01 s · nothing to hide"
    assert ledger_line(pb.Finished(ledger=ledger)) == line


def test_the_ledgers_line_says_why_the_model_was_stopped():
    for reason, word in ((pb.FINISH_REASON_LENGTH, "token limit"), (pb.FINISH_REASON_TURNS, "turn limit")):
        assert ledger_line(pb.Finished(ledger=LEDGER, finish_reason=reason)).endswith(f" · stopped: {word}")


@pytest.mark.parametrize("value", [0.0, 9.994, 9.996, 99.94, 99.96, 3600.0])
def test_the_ledgers_line_fits_a_terminal(value):
    ledger = pb.Ledger(completion=at(value), decode=at(value), tool=at(max(value, 1)), hidden=at(value), attained=1.0)
    assert len(ledger_line(pb.Finished(ledger=ledger))) <= 80


def test_nothing_has_no_sign():
    assert [share(value) for value in (-0.001, 0.0, 0.5, -0.25)] == ["0%", "0%", "50%", "-25%"]


def test_a_tool_without_output_says_so_in_the_end():
    silent = event(1.3, call_finished=pb.CallFinished(call_id="c1", busy=at(0.5)))
    (call,) = after(*EVENTS[:4], EVENTS[5], silent).calls.values()
    assert call.last_words() == "(no output)"


async def test_the_last_drawing_is_drawn_once_however_high_it_is():
    console = Console(file=io.StringIO(), width=60, height=10, force_terminal=True, _environ={"TERM": "xterm"})
    long = event(0.2, text_delta=pb.TextDelta(text="\n".join(f"line {n}." for n in range(40))))
    async with Panes(console) as panes:
        panes.event(after(EVENTS[0], long), long)
    assert console.file.getvalue().count("line 0.") == 1  # type: ignore[attr-defined]


async def lines_of(text: io.StringIO, notes: io.StringIO) -> None:
    live = Live()
    async with Lines(text, notes) as lines:
        for one in EVENTS:
            live.apply(one)
            lines.event(live, one)


async def test_plain_lines_keep_the_text_apart_from_the_notes():
    text, notes = io.StringIO(), io.StringIO()
    await lines_of(text, notes)
    assert text.getvalue() == "```python\nprint(1)\n```\nIt is 1.\n"
    assert notes.getvalue().splitlines() == [
        "[python] opened",
        "[python] started",
        "[python] | 1",
        "[python] finished in 0.50 s: [bold]1",
    ]


async def test_plain_lines_in_one_place_do_not_run_into_each_other():
    both = io.StringIO()
    await lines_of(both, both)
    assert "\n[python] finished in 0.50 s: [bold]1\nIt is 1.\n" in both.getvalue()


async def test_a_failure_is_noted_with_its_code_and_its_gist():
    error = pb.ToolError(code="REJECTED", message="Traceback\nNameError: np\n")
    failed = event(1, call_finished=pb.CallFinished(call_id="c1", error=error, busy=at(0.5)))
    live, notes = after(*EVENTS[:4], failed), io.StringIO()
    async with Lines(io.StringIO(), notes) as lines:
        lines.event(live, failed)
    assert notes.getvalue() == "[python] failed after 0.50 s: REJECTED: NameError: np\n"


async def test_a_veto_is_noted():
    live, notes = after(*EVENTS[:4]), io.StringIO()
    veto = event(1, turn_vetoed=pb.TurnVetoed(call_id="c1", reason="no such\x1b[1m file"))
    async with Lines(io.StringIO(), notes) as lines:
        lines.event(live, veto)
    assert notes.getvalue() == "[python] stopped the turn: no such file\n"


def test_each_event_is_a_line_of_json():
    output = io.StringIO()
    JsonLines(output).event(Live(), EVENTS[1])
    assert output.getvalue() == (
        '{"event": "text_delta", "at_seconds": 0.2, "text": "```python\\n", "token_ids": [1, 2]}\n'
    )


BEFORE_THE_END, AROUND_IT, AFTER_IT = (
    event(at_, unit_finished=pb.UnitFinished(call_id="c1", label=label, text_offset=offset, busy=at(busy)))
    for at_, label, offset, busy in ((0.6, "print(1)", 19, 0.1), (1.0, "x = [\x1b[31m", 19, 0.4), (1.2, "end", 26, 0.1))
)
WITH_UNITS = [*EVENTS[:8], BEFORE_THE_END, *EVENTS[9:11], AROUND_IT, AFTER_IT, *EVENTS[11:13]]


def test_a_unit_knows_when_its_text_was_there_and_how_much_was_hidden():
    (call,) = after(*WITH_UNITS).calls.values()
    assert [unit.to_json() for unit in call.units] == [
        {
            "label": label,
            "text_offset": offset,
            "text_at_seconds": text_at,
            "at_seconds": at_,
            "busy_seconds": busy,
            "hidden_seconds": hidden,
        }
        for label, offset, text_at, at_, busy, hidden in (
            ("print(1)", 19, 0.4, 0.6, 0.1, 0.1),
            ("x = [\x1b[31m", 19, 0.4, 1.0, 0.4, 0.2),
            ("end", 26, 0.7, 1.2, 0.1, 0.0),
        )
    ]
    assert [unit.how_hidden() for unit in call.units] == ["hidden", "0.20 s hidden", "not hidden"]


def test_work_too_short_to_show_is_hidden_only_while_the_turn_is_decoded():
    done = pb.UnitFinished(call_id="c1", label="x", busy=at(0.001))
    (call,) = after(
        *EVENTS[:4], event(0.5, unit_finished=done), EVENTS[10], event(0.9, unit_finished=done)
    ).calls.values()
    assert [unit.how_hidden() for unit in call.units] == ["hidden", "not hidden"]


def test_the_panes_show_units_where_they_are_asked_for():
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(panes(after(*WITH_UNITS), 2, title="code", units=True))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0.40 +0.40 s 0.20 s hidden · x = [" in shown
    assert "\x1b" not in shown
    assert "0.20 s hidden" not in drawn(after(*WITH_UNITS))


async def test_lines_of_units_leave_out_the_text():
    notes, live = io.StringIO(), Live()
    async with UnitLines(notes) as lines:
        for one in WITH_UNITS:
            live.apply(one)
            lines.event(live, one)
    assert notes.getvalue().splitlines() == [
        "[python] opened",
        "[python] started",
        "[python] | 1",
        "[python] unit · text at 0.40 s · worked 0.10 s · hidden · print(1)",
        "text complete after 0.80 s, 5 tokens",
        "[python] unit · text at 0.40 s · worked 0.40 s · 0.20 s hidden · x = [",
        "[python] unit · text at 0.70 s · worked 0.10 s · not hidden · end",
        "[python] finished in 0.50 s: [bold]1",
    ]


async def test_lines_of_units_say_that_the_text_was_stopped():
    notes, decoded = io.StringIO(), pb.TurnDecoded(finish_reason=pb.FINISH_REASON_VETO)
    stopped = event(0.8, turn_decoded=decoded)
    UnitLines(notes).event(after(*EVENTS[:4], stopped), stopped)
    assert notes.getvalue() == "text stopped after 0.80 s, 0 tokens\n"


def test_units_are_lines_where_nothing_can_be_drawn():
    assert isinstance(show_units_on(Console(file=io.StringIO()), "x"), UnitLines)
    terminal = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm"})
    assert isinstance(show_units_on(terminal, "x"), Panes)


def test_the_whole_ledger_has_the_serial_time_and_the_ideal():
    line = "completion 2.00 s · decode 1.50 s · tools 1.00 s · hidden 0.80 s"
    finished = pb.Finished(ledger=LEDGER)
    assert ledger_line(finished, whole=True) == f"{line} · serial 2.80 s · ideal 1.90 s · 89% of ideal"
    assert ledger_line(finished, whole=True, serial=True) == line


HANDED_OVER = event(0.6, call_artifact=pb.CallArtifact(call_id="c1", name="a.png", media_type="image/png", data=b"123"))
AWAITED = event(
    0.6, approval_awaited=pb.ApprovalAwaited(call_id="c1", request_id="r1", arguments_json='{"a": 1}', timeout=at(60))
)


def test_an_artifact_is_named_and_its_bytes_are_not_kept():
    (call,) = after(*EVENTS[:4], HANDED_OVER).to_json()["calls"]
    assert call["artifacts"] == [{"name": "a.png", "media_type": "image/png", "byte_count": 3}]
    assert "a.png, image/png, 3 bytes" in drawn(after(*EVENTS[:4], HANDED_OVER))


def test_an_artifact_is_given_to_who_keeps_it():
    kept = []
    live = Live(lambda artifact: kept.append(artifact.data) or only_named(artifact))  # type: ignore[func-returns-value]
    for one in (*EVENTS[:4], HANDED_OVER):
        live.apply(one)
    assert kept == [b"123"]


def test_a_call_waits_to_be_allowed_until_it_goes_on():
    assert "python waits to be allowed" in drawn(after(*EVENTS[:4], AWAITED))
    (call,) = after(*EVENTS[:4], AWAITED, EVENTS[7]).calls.values()
    assert call.phase is Phase.RUNNING


async def test_artifacts_and_approvals_are_noted():
    live, notes = Live(), io.StringIO()
    async with Lines(io.StringIO(), notes) as lines:
        for one in (*EVENTS[:4], HANDED_OVER, AWAITED):
            live.apply(one)
            lines.event(live, one)
    assert notes.getvalue().splitlines()[2:] == [
        "[python] handed over a.png, image/png, 3 bytes; --artifacts FOLDER saves it",
        '[python] waits 60 s to be allowed: {"a": 1}',
    ]


def test_an_artifact_is_a_line_of_json_too():
    output = io.StringIO()
    JsonLines(output).event(Live(), HANDED_OVER)
    assert '"data": "MTIz"' in output.getvalue()
