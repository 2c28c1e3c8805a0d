"""Text and artifacts of one call: order, caps, names."""

import pytest

from tool_service.execution import events as ev
from tool_service.execution.output import MAX_ARTIFACT_BYTES, MAX_ARTIFACT_COUNT, Output, plain_name
from tool_service.interface import Artifact


def output(limit: int = 10_000) -> tuple[Output, list[ev.Event]]:
    events: list[ev.Event] = []
    return Output("call_1", limit, lambda: False, events.append), events


def names(events: list[ev.Event]) -> list[str]:
    return [event.artifact.name for event in events if isinstance(event, ev.CallArtifact)]


def test_an_artifact_stands_where_it_was_given_and_the_text_says_so() -> None:
    out, events = output()
    out.write("before\n")
    out.attach(Artifact("plot.png", "image/png", b"123"))
    out.write("after")
    assert events == [
        ev.CallOutput("call_1", "before\n"),
        ev.CallArtifact("call_1", Artifact("plot.png", "image/png", b"123")),
        ev.CallOutput("call_1", "[plot.png: image/png, 3 bytes]\n"),
        ev.CallOutput("call_1", "after"),
    ]
    assert out.text == "before\n[plot.png: image/png, 3 bytes]\nafter"


def test_one_that_is_too_large_is_left_out_with_a_notice() -> None:
    out, events = output()
    out.attach(Artifact("fits", "text/plain", bytes(MAX_ARTIFACT_BYTES)))
    out.attach(Artifact("large", "text/plain", bytes(MAX_ARTIFACT_BYTES + 1)))
    assert names(events) == ["fits"]
    assert f"[large: {MAX_ARTIFACT_BYTES + 1} bytes; left out: at most 16 of 2097152 bytes" in out.text


def test_so_are_those_that_are_too_many() -> None:
    out, events = output()
    for number in range(MAX_ARTIFACT_COUNT + 2):
        out.attach(Artifact(f"{number}.txt", "text/plain", b""))
    assert names(events) == [f"{number}.txt" for number in range(MAX_ARTIFACT_COUNT)]
    assert out.text.count("left out") == 2


def test_artifacts_come_even_when_the_text_has_reached_its_limit() -> None:
    out, events = output(limit=5)
    out.write("123456789")
    out.attach(Artifact("plot.png", "image/png", b"1"))
    assert names(events) == ["plot.png"]
    assert out.text == "12345\n[cut at 5 characters]"


def test_names_are_unique_within_a_call() -> None:
    out, events = output()
    for name in ("plot.png", "plot.png", "plot-2.png", "plot.png", "a/plot.png", "data", "data"):
        out.attach(Artifact(name, "image/png", b""))
    assert names(events) == ["plot.png", "plot-2.png", "plot-2-2.png", "plot-3.png", "plot-4.png", "data", "data-2"]
    assert "[plot-3.png: image/png" in out.text  # the model is told the name that the client sees


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("plot.png", "plot.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\plot.png", "plot.png"),
        ("/", "artifact"),
        ("", "artifact"),
        ("..", "artifact"),
        (".bashrc", "bashrc"),
        ("caf\udce9.txt", "caf?.txt"),
        ("a\nb\x1b[2J\u202egnp.txt", "a_b_[2J_gnp.txt"),
        ("x" * 300 + ".png", "x" * 96 + ".png"),
        ("x" * 300, "x" * 100),
        ("grüße 1.png", "grüße 1.png"),
    ],
)
def test_a_name_is_no_path_and_printable(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@pytest.mark.parametrize("media_type", ["", "image", "image/png\r\nX: y", "caf\udce9/x", "a/" + "b" * 200])
def test_a_media_type_that_is_none_is_told_as_bytes(media_type: str) -> None:
    out, events = output()
    out.attach(Artifact("x", media_type, b"1"))
    assert events[0] == ev.CallArtifact("call_1", Artifact("x", "application/octet-stream", b"1"))


def test_a_media_type_may_have_parameters() -> None:
    out, events = output()
    out.attach(Artifact("x", "text/csv; charset=utf-8", b"1"))
    assert events[0] == ev.CallArtifact("call_1", Artifact("x", "text/csv; charset=utf-8", b"1"))


def test_nothing_follows_an_outcome() -> None:
    events: list[ev.Event] = []
    out = Output("call_1", 10, lambda: True, events.append)
    out.write("x")
    out.attach(Artifact("x", "text/plain", b"1"))
    assert events == []
