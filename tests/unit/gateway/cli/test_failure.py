import io

import grpc
import pytest
from rich.console import Console

from gateway.cli.failure import REMEDIES, Failure, Peer, failure_of, show_failure
from protos.rpc.errors import Reason, ServiceError, to_status

PEER = Peer("gateway", "127.0.0.1:50051", "--gateway")


def rpc_error(code: grpc.StatusCode, details: str = "", trailing: tuple = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details)


def told(error: ServiceError, request_id: str = "abc123") -> grpc.aio.AioRpcError:
    status = to_status(error, request_id)
    return rpc_error(status.code, status.details, status.trailing_metadata)


def test_every_reason_has_a_remedy():
    assert REMEDIES.keys() == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_comes_with_its_remedy_and_request_id(reason):
    failure = failure_of(told(ServiceError(reason, "why")), PEER, "mine")
    assert failure.cause == f"{reason}: why"
    assert failure.remedy == REMEDIES[reason]
    assert failure.request_id == "abc123"


def test_an_overloaded_service_says_when_to_come_back():
    failure = failure_of(told(ServiceError(Reason.OVERLOADED, "full", retry_seconds=1.5)), PEER, "")
    assert failure.remedy == "Try again in 1.5 s."


def test_nobody_there():
    failure = failure_of(rpc_error(grpc.StatusCode.UNAVAILABLE, "connection refused"), PEER, "mine")
    assert failure.cause == "no gateway answers at 127.0.0.1:50051"
    assert "conveyor up" in failure.remedy
    assert "--gateway" in failure.remedy
    assert failure.request_id == "mine"


def test_one_that_is_not_ready():
    details = "connections to all backends failing; last error: ipv4:127.0.0.1:50051: backend unhealthy"
    failure = failure_of(rpc_error(grpc.StatusCode.UNAVAILABLE, details), PEER, "mine")
    assert failure.cause == "the gateway at 127.0.0.1:50051 is not ready"


def test_somebody_else_there():
    failure = failure_of(rpc_error(grpc.StatusCode.UNIMPLEMENTED, "Method not found!"), PEER, "mine")
    assert "does not answer as the gateway" in failure.cause


def test_our_own_deadline():
    failure = failure_of(rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"), PEER, "mine")
    assert "--timeout" in failure.remedy
    assert failure.cause == "DEADLINE_EXCEEDED: the request was not done in the time that it was given"
    assert failure.request_id == "mine"


@pytest.mark.parametrize(
    ("code", "details"), [(grpc.StatusCode.UNAVAILABLE, "reset"), (grpc.StatusCode.UNKNOWN, "Stream removed")]
)
def test_one_that_goes_away_in_the_middle(code, details):
    failure = failure_of(rpc_error(code, details), PEER, "mine", begun=True)
    assert failure.cause == "the gateway at 127.0.0.1:50051 went away in the middle of the request"
    assert failure.to_json()["reason"] == "UNAVAILABLE"


def test_a_failure_as_data():
    failure = failure_of(told(ServiceError(Reason.EMPTY_PROMPT, "why", field="messages")), PEER, "mine")
    remedy = REMEDIES[Reason.EMPTY_PROMPT]
    assert failure.to_json() == {
        "reason": "EMPTY_PROMPT",
        "message": "why",
        "field": "messages",
        "remedy": remedy,
        "request_id": "abc123",
    }


def test_a_failure_is_cause_details_remedy_and_id_with_nothing_rendered():
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    show_failure(Failure("[red]x[/red]\x1b[2J\nsecond", "do :smile: this", "id1", ["\x1b[1mlog [b]line"]), console)
    assert console.file.getvalue() == (  # type: ignore[attr-defined]
        "error: [red]x[/red] second\n  | log [b]line\ndo :smile: this\nrequest id: id1\n"
    )
