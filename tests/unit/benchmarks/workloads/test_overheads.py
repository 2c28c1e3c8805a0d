import pytest

from benchmarks.workloads.overheads import TEXT, delays_of
from benchmarks.workloads.workload import called
from protos.conveyor.gateway.v1 import gateway_pb2 as pb


def said(kind: str, at: float, message: object) -> pb.CompleteResponse:
    response = pb.CompleteResponse(**{kind: message})  # type: ignore[arg-type]
    response.at.FromNanoseconds(round(at * 1e9))
    return response


def test_delays_are_found_though_the_clocks_have_nothing_in_common():
    """The decoder's clock began 1,000 s into the machine's; the fastest way back takes nothing, so what is found is
    the time itself."""
    text = called("stopwatch", text=TEXT)
    first = text.index(TEXT)
    began, responses = 1000.0, []
    responses.append(said("text_delta", 0.1, pb.TextDelta(text=text[: first + 5])))
    responses.append(said("call_output", 0.102, pb.CallOutput(text=f"{round((began + 0.102) * 1e9)} 5\n")))
    responses.append(said("text_delta", 0.2, pb.TextDelta(text=text[first + 5 : first + 9])))
    responses.append(said("call_output", 0.230, pb.CallOutput(text=f"{round((began + 0.203) * 1e9)} 9\n")))
    assert list(delays_of(responses)) == pytest.approx([0.002, 0.003])


def test_several_pieces_in_one_output_are_each_counted():
    text = called("stopwatch", text=TEXT)
    first = text.index(TEXT)
    responses = [
        said("text_delta", 0.1, pb.TextDelta(text=text[: first + 5])),
        said("text_delta", 0.2, pb.TextDelta(text=text[first + 5 : first + 9])),
        said("call_output", 0.205, pb.CallOutput(text="101000000 5\n205000000 9\n")),
    ]
    assert list(delays_of(responses)) == pytest.approx([0.001, 0.005])
