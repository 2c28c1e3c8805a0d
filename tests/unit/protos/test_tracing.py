"""Ids of spans, and what stands in for spans where none are kept."""

import asyncio

import pytest
from pydantic import ValidationError

from gateway.settings import GatewaySettings
from protos.rpc import context
from protos.rpc.errors import Reason, ServiceError
from protos.rpc.tracing import OFF, Kind, kind_of, turn_span_id, turn_traceparent

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_each_turns_span_has_an_id_of_its_own_that_follows_from_the_completions() -> None:
    ids = {turn_span_id(PARENT, turn) for turn in range(32)}
    assert len(ids) == 32
    assert all(0 < each < 1 << 64 for each in ids)
    assert turn_traceparent(PARENT, 3) == PARENT.replace("b7ad6b7169203331", f"{turn_span_id(PARENT, 3):016x}")
    assert turn_span_id(PARENT, 0) != turn_span_id(PARENT.replace("0af7", "1af7"), 0)


def test_a_span_that_is_not_kept_hands_its_parent_on_and_lets_errors_through() -> None:
    with pytest.raises(KeyError), OFF.begin("one", Kind.SERVER, {}, PARENT) as span:
        assert span.traceparent == PARENT
        raise KeyError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServiceError(Reason.OVERLOADED, "…"), "OVERLOADED"),
        (asyncio.CancelledError(), "CANCELLED"),
        (KeyError("a secret"), "KeyError"),
    ],
)
def test_an_error_is_a_short_word(error: BaseException, kind: str) -> None:
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    "trace",
    [
        "ff" + PARENT[2:],
        PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        PARENT.replace("b7ad6b7169203331", "0" * 16),
        PARENT.upper(),
    ],
)
def test_a_trace_that_the_standard_calls_invalid_is_dropped(trace: str) -> None:
    assert context.from_headers({"traceparent": trace}).traceparent is None
    assert context.from_headers({"traceparent": PARENT}).traceparent == PARENT


@pytest.mark.parametrize("endpoint", ["localhost:4317", "http://:4317", "http://x", "ftp://x:1", "http://x:99999"])
def test_an_endpoint_that_cannot_be_one_is_refused_by_name(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="must be http://host:port"):
        GatewaySettings(traces_endpoint=endpoint)
