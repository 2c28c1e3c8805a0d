from pathlib import Path

import pytest

from benchmarks.workloads.overheads import TEXT, beginnings, delays_of
from benchmarks.workloads.workload import called
from protos.conveyor.gateway.v1 import gateway_pb2 as pb


def said(kind: str, at: float, message: object) -> pb.CompleteResponse:
    response = pb.CompleteResponse(**{kind: message})  # type: ignore[arg-type]
    response.at.FromNanoseconds(round(at * 1e9))
    return response


def test_delays_are_from_the_decoding_of_a_piece_to_the_tools_word_of_it():
    text = called("stopwatch", text=TEXT)
    first = text.index(TEXT)
    began, responses = 1000.0, []
    responses.append(said("text_delta", 0.1, pb.TextDelta(text=text[: first + 5])))
    responses.append(said("call_output", 0.102, pb.CallOutput(text=f"{round((began + 0.102) * 1e9)} 5\n")))
    responses.append(said("text_delta", 0.2, pb.TextDelta(text=text[first + 5 : first + 9])))
    responses.append(said("call_output", 0.230, pb.CallOutput(text=f"{round((began + 0.203) * 1e9)} 9\n")))
    assert list(delays_of(responses, began)) == pytest.approx([0.002, 0.003])


def test_several_pieces_in_one_output_are_each_counted():
    text = called("stopwatch", text=TEXT)
    first = text.index(TEXT)
    responses = [
        said("text_delta", 0.1, pb.TextDelta(text=text[: first + 5])),
        said("text_delta", 0.2, pb.TextDelta(text=text[first + 5 : first + 9])),
        said("call_output", 0.205, pb.CallOutput(text="101000000 5\n205000000 9\n")),
    ]
    assert list(delays_of(responses, 0.0)) == pytest.approx([0.001, 0.005])


def test_the_log_says_when_each_completion_began(tmp_path: Path):
    log = tmp_path / "decoder.log"
    log.write_text('{"event": "feed opened"}\nnot JSON\n{"event": "began", "request_id": "a", "monotonic": 12.5}\n')
    assert beginnings(log) == {"a": 12.5}
