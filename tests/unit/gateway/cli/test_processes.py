import asyncio
import errno
import io
import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from gateway.cli.failure import Failure
from gateway.cli.processes import Service, Services, State, bind_error, free_addresses, is_taken
from tests.processes import ended, is_running

STAND_IN = str(Path(__file__).with_name("stand_in.py"))


def stand_in(behaviour: str, name: str = "one", grace_seconds: float = 5.0) -> Service:
    (address,) = free_addresses(1)
    return Service(name, (sys.executable, STAND_IN, behaviour, "--address", address), address, grace_seconds)


async def test_services_are_waited_for_then_drained(tmp_path):
    seen: list[tuple[str, State]] = []
    async with Services([stand_in("serve", "one"), stand_in("serve", "two")], tmp_path) as services:
        await services.wait_healthy(lambda name, state: seen.append((name, state)))
        process_ids = services.process_ids
        assert process_ids.keys() == {"one", "two"}
    assert {name for name, state in seen if state is State.READY} == {"one", "two"}
    assert seen[0] == ("one", State.STARTING)
    assert services.killed == ()
    assert "drained" in (tmp_path / "one.log").read_text()
    assert not any(map(is_running, process_ids.values()))


async def test_one_that_answers_but_is_not_ready_is_loading(tmp_path):
    loading = asyncio.Event()

    def report(_: str, state: State) -> None:
        if state is State.LOADING:
            loading.set()

    async with Services([stand_in("load")], tmp_path) as services:
        waiting = asyncio.ensure_future(services.wait_healthy(report))
        await loading.wait()
        assert not waiting.done()
        waiting.cancel()


async def test_an_early_death_tells_the_end_of_the_log_and_stops_the_others(tmp_path):
    with pytest.raises(Failure, match="the decoder service ended with exit code 3") as caught:
        async with Services([stand_in("load", "tools"), stand_in("crash", "decoder")], tmp_path) as services:
            await services.wait_healthy()
    assert caught.value.details[-1] == "info: cannot load the model"
    assert str(tmp_path / "decoder.log") in caught.value.remedy
    assert not any(map(is_running, services.process_ids.values()))


async def test_a_death_later_on_is_noticed(tmp_path):
    async with Services([stand_in("serve")], tmp_path) as services:
        await services.wait_healthy()
        os.kill(services.process_ids["one"], signal.SIGKILL)
        with pytest.raises(Failure, match="was ended by SIGKILL"):
            await services.wait_ended()


async def test_one_that_does_not_drain_is_killed_with_its_whole_group(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.cli.processes._MARGIN_SECONDS", 0.05)
    async with Services([stand_in("stubborn", grace_seconds=0.05)], tmp_path) as services:
        await services.wait_healthy()
    lines = map(json.loads, (tmp_path / "one.log").read_text().splitlines())
    grandchild = next(line["process_id"] for line in lines if line["event"] == "child")
    assert services.killed == ("one",)
    await ended([grandchild])


async def test_a_cancelled_stop_kills_at_once(tmp_path):
    services = Services([stand_in("stubborn", grace_seconds=60)], tmp_path)
    await services.start()
    await services.wait_healthy()
    stopping = asyncio.ensure_future(services.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert not is_running(services.process_ids["one"])


async def test_where_one_cannot_be_started_none_is_left(tmp_path):
    blocked = Service("two\0", (sys.executable,), "127.0.0.1:1")
    services = Services([stand_in("serve"), blocked], tmp_path)
    with pytest.raises(ValueError, match="null byte"):
        await services.start()
    assert not is_running(services.process_ids["one"])


async def test_log_lines_are_echoed_as_text(tmp_path):
    echo = io.StringIO()
    async with Services([stand_in("serve")], tmp_path, echo=echo) as services:
        await services.wait_healthy()
    assert "one | info: ready\n" in echo.getvalue()
    assert "one | info: drained\n" in echo.getvalue()


async def test_children_die_with_their_parent(tmp_path):
    (address,) = free_addresses(1)
    program = f"""
import asyncio, sys
from pathlib import Path
from gateway.cli.processes import Service, Services
async def main():
    command = (sys.executable, {STAND_IN!r}, "serve", "--address", {address!r})
    services = Services([Service("one", command, {address!r})], Path({str(tmp_path)!r}))
    await services.start()
    await services.wait_healthy()
    print(services.process_ids["one"], flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    await parent.communicate()
    await ended([child])


def test_free_addresses_differ():
    assert len(set(free_addresses(6))) == 6


def test_an_address_is_taken_while_somebody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert is_taken(f"127.0.0.1:{server.getsockname()[1]}")
    assert not is_taken(free_addresses(1)[0])
    assert not is_taken("unix:/run/conveyor")


def test_an_address_of_another_machine_is_not_taken():
    assert bind_error("192.0.2.1:50051") == errno.EADDRNOTAVAIL
    assert not is_taken("192.0.2.1:50051")
