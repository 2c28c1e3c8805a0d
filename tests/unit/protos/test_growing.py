from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import duration, seconds
from protos.conveyor.decoder.v1 import decoder_pb2 as pb
from protos.rpc.growing import MOST_CHARS, grown


def text(said: str, *tokens: int, at: float = 0.0) -> pb.GenerateResponse:
    return pb.GenerateResponse(at=duration(at), text_delta=pb.TextDelta(text=said, token_ids=tokens))


def content(said: str, reasoning: bool) -> pb.GenerateResponse:
    return pb.GenerateResponse(content_delta=pb.ContentDelta(text=said, reasoning=reasoning))


def argument(call_id: str, name: str, **piece: str) -> pb.GenerateResponse:
    return pb.GenerateResponse(arguments_delta=pb.ArgumentsDelta(call_id=call_id, argument=name, **piece))


def output(call_id: str, said: str) -> pb.GenerateResponse:
    return pb.GenerateResponse(call_output=pb.CallOutput(call_id=call_id, text=said))


def test_text_that_follows_text_becomes_one_that_happened_when_the_last_of_it_did() -> None:
    last = text("a", 1, at=1.0)
    assert grown(last, text("b", 2, 3, at=2.0))
    assert (last.text_delta.text, list(last.text_delta.token_ids), seconds(last.at)) == ("ab", [1, 2, 3], 2.0)


def test_pieces_of_one_argument_or_output_or_thought_become_one() -> None:
    for last, more in (
        (argument("c", "x", text="a"), argument("c", "x", text="b")),
        (output("c", "a"), output("c", "b")),
        (content("a", True), content("b", True)),
    ):
        kind = last.WhichOneof("event")
        assert kind is not None and grown(last, more) and getattr(last, kind).text == "ab"


def test_what_belongs_to_different_things_stays_apart() -> None:
    for last, more in (
        (text("a"), output("c", "b")),
        (content("a", True), content("b", False)),
        (argument("c", "x", text="a"), argument("c", "y", text="b")),
        (argument("c", "x", text="a"), argument("d", "x", text="b")),
        (argument("c", "x", text="a"), argument("c", "x", value_json="1")),
        (output("c", "a"), output("d", "b")),
        (pb.GenerateResponse(turn_started=pb.TurnStarted()), pb.GenerateResponse(turn_started=pb.TurnStarted())),
    ):
        before = last.SerializeToString()
        assert not grown(last, more) and last.SerializeToString() == before


@given(st.lists(st.text(max_size=MOST_CHARS // 3), max_size=30))
def test_nothing_is_lost_and_nothing_grows_without_end(said: list[str]) -> None:
    waiting: list[pb.GenerateResponse] = []
    for piece in said:
        if not (waiting and grown(waiting[-1], text(piece))):
            waiting.append(text(piece))
    assert "".join(each.text_delta.text for each in waiting) == "".join(said)
    assert all(len(each.text_delta.text) < 2 * MOST_CHARS for each in waiting)
