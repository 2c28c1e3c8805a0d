"""The shared wire code: errors, context, settings."""

from pathlib import Path
from typing import ClassVar

import grpc
import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from protos.rpc import context
from protos.rpc.errors import (
    CATALOGUE,
    Reason,
    ServiceError,
    from_rpc_error,
    reject_field,
    request_id_of,
    to_status,
)
from protos.rpc.settings import ServiceSettings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CONVEYOR_DECODER_")
    section: ClassVar[str] = "decoder"
    max_running: int = Field(32, ge=1)


class Incoming:
    """What a servicer's context is asked for."""

    def __init__(self, remaining: float | None = None, **metadata: str) -> None:
        self._remaining = remaining
        self._metadata = tuple((key.replace("_", "-"), value) for key, value in metadata.items())

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def time_remaining(self) -> float | None:
        return self._remaining


def as_received(status: grpc.Status) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata(*status.trailing_metadata)
    return grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), metadata, details=status.details)


def test_every_reason_has_a_status() -> None:
    assert set(CATALOGUE) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_an_error_survives_the_wire(reason: Reason) -> None:
    error = ServiceError(reason, "a sentence", retry_seconds=1.5 if reason is Reason.OVERLOADED else None)
    received = as_received(to_status(error, "abc"))
    back = from_rpc_error(received, Reason.DECODER_UNAVAILABLE)
    assert (back.reason, back.message, back.retry_seconds) == (reason, "a sentence", error.retry_seconds)
    assert back.field == "" and back.within("tool_use") is back
    assert request_id_of(received) == "abc"


def test_the_field_that_is_to_blame_survives_the_wire_and_is_told_by_who_passed_it_on() -> None:
    with pytest.raises(ServiceError) as refused:
        reject_field(Reason.INVALID_SCHEMA, "functions[2]", "is wrong" + "." * 2000)
    received = as_received(to_status(refused.value, "abc"))
    assert sum(len(key) + len(value) for key, value in received.trailing_metadata()) < 4096
    back = from_rpc_error(received, Reason.DECODER_UNAVAILABLE).within("tool_use")
    assert (back.reason, back.field) == (Reason.INVALID_SCHEMA, "tool_use.functions[2]")
    assert back.message.startswith("tool_use.functions[2] is wrong...")


def test_a_failure_of_the_transport_names_the_peer() -> None:
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), details="refused"
    )
    assert from_rpc_error(error, Reason.TOOL_SERVICE_UNAVAILABLE).reason is Reason.TOOL_SERVICE_UNAVAILABLE


def test_request_id_trace_and_deadline_are_taken_in_and_passed_on() -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    bound = context.incoming(Incoming(5.0, x_request_id="my-id", traceparent=trace))  # type: ignore[arg-type]
    assert bound.metadata() == (("x-request-id", "my-id"), ("traceparent", trace))
    remaining = bound.remaining_seconds()
    assert remaining is not None and 4 < remaining <= 5


@pytest.mark.parametrize("wrong", ["", "with space", "x" * 65, "line\nbreak", "\x1b[31m"])
def test_an_id_that_could_harm_a_log_is_replaced(wrong: str) -> None:
    bound = context.incoming(Incoming(x_request_id=wrong, traceparent="nonsense"))  # type: ignore[arg-type]
    assert bound.request_id != wrong and len(bound.request_id) == 12
    assert bound.traceparent is None
    assert bound.remaining_seconds() is None


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "conveyor.toml"
    file.write_text("[decoder]\nmax_running = 7\ngrace_seconds = 3\n[tools]\n")
    monkeypatch.setenv("CONVEYOR_CONFIG", str(file))
    assert Settings.load([]).max_running == 7
    monkeypatch.setenv("CONVEYOR_DECODER_MAX_RUNNING", "8")
    assert Settings.load([]).max_running == 8
    loaded = Settings.load(["--max-running", "9"])
    assert (loaded.max_running, loaded.grace_seconds) == (9, 3)


@pytest.mark.parametrize(
    ("arguments", "environment", "file", "culprit"),
    [
        (["--max-running", "0"], {}, "", "max_running = '0'"),
        ([], {"CONVEYOR_DECODER_MAX_RUNING": "1"}, "", "CONVEYOR_DECODER_MAX_RUNING"),
        ([], {"CONVEYOR_NONSENSE": "1"}, "", "CONVEYOR_NONSENSE"),
        ([], {}, "[decoder]\nmax_runing = 1", "max_runing = 1"),
        ([], {}, "[decodr]\n", "[decodr]"),
        ([], {}, "no toml", "conveyor.toml"),
        (["--max-runing", "1"], {}, "", "--max-runing"),
    ],
)
def test_a_wrong_key_or_value_is_named(
    arguments: list[str],
    environment: dict[str, str],
    file: str,
    culprit: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "conveyor.toml"
    path.write_text(file)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        Settings.load([f"--config={path}", *arguments])
    assert ended.value.code == 2
    assert culprit in capsys.readouterr().err
