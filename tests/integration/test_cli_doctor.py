"""`conveyor doctor`: what it finds on this machine, and what it says of one on which things are wrong."""

import json
import socket
import sys
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health

from decoder_service import checkup as decoder_checkup
from gateway.cli import doctor
from gateway.cli.plan import Plan
from protos.rpc.checkup import Check, State
from tests.integration.commands import conveyor, serving
from tool_service import checkup


def plan(address: str, http: str = "", decoder: str = "127.0.0.1:1") -> Plan:
    quiet = {("decoder", "metrics-address"): "", ("tools", "metrics-address"): "", ("tools", "address"): "127.0.0.1:2"}
    return Plan(
        {
            ("gateway", "address"): address,
            ("gateway", "http-address"): http,
            ("decoder", "address"): decoder,
            **quiet,
        },
        environment={},
    )


async def test_it_looks_at_everything_that_is_installed() -> None:
    status, output, _ = await conveyor("doctor", "--quick", "--json")
    told = json.loads(output)
    names = {check["name"] for check in told["checks"]}
    assert {"python", "cache", "gateway port", "decoder port", "tools port", "kernels", "model", "state"} <= names
    assert "sandbox" in names and "engine" not in names
    assert told["ok"] == (status == 0) == all(check["state"] != "failure" for check in told["checks"])
    assert all(check["remedy"] for check in told["checks"] if check["state"] != "ok")


async def test_a_folder_that_cannot_be_is_a_failure_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVEYOR_CACHE", "/proc/nowhere")
    status, output, _ = await conveyor("doctor", "--quick")
    assert status == 1
    lines = output.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("failure  cache"))
    assert "/proc/nowhere" in lines[place] and "CONVEYOR_CACHE" in lines[place + 1]
    assert lines[-1].startswith("cannot serve as it is: cache")


def test_a_cache_that_is_not_there_yet_is_not_made_by_looking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVEYOR_CACHE", str(tmp_path / "new" / "cache"))
    assert doctor.cache().state is State.OK
    assert not list(tmp_path.iterdir())
    (tmp_path / "new").write_text("")
    assert doctor.cache().found == f"{tmp_path}/new/cache: Not a directory"


async def test_a_port_is_free_taken_or_ours() -> None:
    async with serving(health_pb2_grpc.add_HealthServicer_to_server, health.HealthServicer()) as ours:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = f"127.0.0.1:{other.getsockname()[1]}"
            checks = [check async for check in doctor.ports(plan(taken, taken.replace(".1:", ".2:"), ours))]
    gateway, http, decoder, _ = checks
    assert gateway.state is State.FAILURE and taken in gateway.found and "--gateway.address" in gateway.remedy
    assert http == Check("gateway port", State.OK, f"{taken.replace('.1:', '.2:')} is free")
    assert decoder.state is State.OK and decoder.found.startswith(f"{ours}: a service is there")


def test_a_python_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 2))
    assert doctor.python_version().state is State.FAILURE


async def test_the_sandbox_is_tried_and_not_only_looked_for() -> None:
    found = await checkup.interpreter()
    assert found.state is State.OK and found.found.endswith("held in")


def test_a_kernel_without_a_boundary_is_a_failure_that_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup.landlock, "what_is_missing", lambda: "the kernel has no Landlock")
    found = checkup.boundary()
    assert found.state is State.FAILURE and "Landlock" in found.found and "sandbox" in found.remedy


def test_a_state_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert checkup.state(tmp_path / "new" / "below").state is State.OK
    assert not (tmp_path / "new").exists()  # it looks, and no more
    found = checkup.state(tmp_path / "file" / "below")
    assert found.state is State.FAILURE and "tools.state_folder" in found.remedy


def test_a_check_is_read_as_it_was_told() -> None:
    check = Check("a", State.WARNING, "b\n", "c")
    assert Check.of_line(check.to_line()) == check
    for line in ("{}", "[]", "no", '{"name": "a", "state": "odd", "found": ""}'):
        with pytest.raises((ValueError, TypeError, KeyError)):
            Check.of_line(line)


@pytest.mark.slow
async def test_the_engine_is_started_and_decodes() -> None:
    found = await decoder_checkup.speed()
    assert found.state is not State.FAILURE and "tokens/s alone" in found.found
