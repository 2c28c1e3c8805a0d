"""What is counted of completions that end early."""

import asyncio

import pytest
import structlog.testing

from gateway.metrics import Metrics
from gateway.observing import Observer
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.rpc.errors import Reason, ServiceError
from protos.rpc.tracing import OFF

FINISHED = decoder_pb2.Finished(finish_reason=decoder_pb2.FINISH_REASON_STOP)


@pytest.mark.parametrize(
    ("error", "is_finished", "outcome"),
    [
        (GeneratorExit(), True, "OK"),  # the client has had the last event
        (asyncio.CancelledError(), True, "OK"),
        (GeneratorExit(), False, "CANCELLED"),
        (ServiceError(Reason.OVERLOADED, "many"), False, "OVERLOADED"),
        (RuntimeError("a bug"), True, "INTERNAL"),
    ],
)
def test_who_leaves_after_the_last_event_has_been_served(error: BaseException, is_finished: bool, outcome: str) -> None:
    metrics = Metrics()
    with (
        structlog.testing.capture_logs() as logged,
        pytest.raises(type(error)),
        Observer(metrics, OFF).completion() as seen,
    ):
        if is_finished:
            seen.finish(FINISHED)
        raise error
    assert metrics.registry.get_sample_value("conveyor_requests_total", {"outcome": outcome}) == 1
    [line] = logged
    assert line["event"] == ("completed" if outcome == "OK" else "not_completed")


def test_functions_of_the_client_alone_have_no_share_of_an_overlap() -> None:
    metrics = Metrics()
    with Observer(metrics, OFF).completion() as seen:
        for event in (
            decoder_pb2.GenerateResponse(turn_decoded=decoder_pb2.TurnDecoded()),
            decoder_pb2.GenerateResponse(call_finished=decoder_pb2.CallFinished(call_id="c")),
            decoder_pb2.GenerateResponse(turn_finished=decoder_pb2.TurnFinished(call_count=1)),
        ):
            event.at.FromMilliseconds(100 if event.HasField("turn_decoded") else 150)
            seen.hear(event, event.WhichOneof("event") or "")
        assert seen.finish(FINISHED).attained is None
