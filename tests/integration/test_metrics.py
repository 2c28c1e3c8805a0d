"""Metrics of the three real services, and who reads them: the dashboard, and `conveyor top`."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from decoder_service.models.loader import LoadedModel
from gateway.cli.scrape import Scrape, scrape
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from tests.integration.commands import BOUND, CLI, ROOT, conveyor
from tests.integration.stack import Stack, running_stack, shown
from tests.processes import until
from tool_service.interface import tool

pytestmark = pytest.mark.timeout(240)  # the first test may have to convert the model

DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text("utf-8"))


def call(name: str, arguments: str = "{}") -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


GOOD, VETOED = call("calculator", '{"expression": "6 * 7"}'), call("calculator", '{"expression": "6 / 0"}')


@tool
async def break_down() -> str:
    """Works, and then breaks down."""
    await asyncio.sleep(0.01)
    raise RuntimeError


@tool
async def wait() -> str:
    """Waits."""
    await asyncio.Event().wait()
    return ""


def asking(replay: str, mode: str = "MODE_PARTIAL", *functions: str) -> pb.CompleteRequest:
    return pb.CompleteRequest(
        messages=[pb.Message(role="user", content="Compute.")],
        tool_use=pb.ToolUse(
            format="hermes",
            tools=["calculator", "break_down", "wait"],
            mode=mode,
            functions=[pb.Function(name=name) for name in functions],
        ),
        replay=[replay],
        limits=pb.Limits(max_turns=1, max_tokens=300),
    )


@dataclass(frozen=True)
class Watched:
    """Services, and where each has its metrics."""

    stack: Stack
    decoder: str
    tools: str

    async def read(self) -> dict[str, Scrape]:
        addresses = {"gateway": self.stack.http, "decoder": self.decoder, "tool service": self.tools}
        return {name: await scrape(address) for name, address in addresses.items()}

    def flags(self) -> tuple[str, ...]:
        return ("--gateway-http", self.stack.http, "--decoder-metrics", self.decoder, "--tool-metrics", self.tools)


@contextlib.asynccontextmanager
async def watched(model: LoadedModel) -> AsyncIterator[Watched]:
    async with running_stack(model, [break_down, wait]) as stack:
        with shown(stack.decoder_metrics) as decoder, shown(stack.tool_metrics) as tools:
            yield Watched(stack, decoder, tools)


async def do_everything(stack: Stack) -> None:
    """Whatever there is a metric for."""
    await stack.complete(asking(GOOD))
    await stack.complete(asking(GOOD, "MODE_SERIAL"))
    await stack.complete(asking(VETOED))
    await stack.complete(
        asking(call("break_down") + call("made_up_by_the_model") + call("mine"), "MODE_ON_SEAL", "mine")
    )
    leaving = asyncio.create_task(stack.complete(asking(call("wait"))))
    waiting = stack.tool_metrics
    await until(lambda: waiting.get_sample_value("conveyor_tool_calls_running", {"tool": "wait"}) == 1)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await until(lambda: waiting.get_sample_value("conveyor_tool_calls_running", {"tool": "wait"}) == 0)
    with contextlib.suppress(Exception):
        await stack.complete(pb.CompleteRequest())


def value(read: Scrape, name: str, **labels: str) -> float | None:
    return read.of(name).get(frozenset(labels.items()))


async def test_metrics_count_what_was_done(small_model: LoadedModel) -> None:
    async with watched(small_model) as services:
        await do_everything(services.stack)
        read = await services.read()
    gateway, decoder, tools = read["gateway"], read["decoder"], read["tool service"]
    outcomes = {dict(key)["outcome"]: count for key, count in gateway.of("conveyor_requests_total").items()}
    assert outcomes == {"OK": 4, "CANCELLED": 1, "EMPTY_PROMPT": 1}
    reasons = {dict(key)["finished_reason"]: n for key, n in gateway.of("conveyor_request_success_total").items()}
    assert reasons == {"turns": 3, "calls": 1}
    assert value(gateway, "conveyor_requests_running") == 0
    assert value(gateway, "conveyor_e2e_request_latency_seconds_count") == 4
    assert value(gateway, "conveyor_time_to_first_token_seconds_count") == 5
    assert (value(gateway, "conveyor_inter_token_latency_seconds_count") or 0) > 20
    hidden = {(dict(key)["tool"], dict(key)["mode"]) for key in gateway.of("conveyor_tool_hidden_seconds_count")}
    assert hidden == {("calculator", "partial"), ("calculator", "serial"), ("break_down", "on_seal")}
    assert value(decoder, "conveyor_requests_waiting") == 0
    assert value(decoder, "conveyor_decoder_turns_total", reason="veto") == 1
    calls = {
        (each["tool"], each["mode"], each["outcome"]): count
        for key, count in tools.of("conveyor_tool_calls_total").items()
        if (each := dict(key))
    }
    assert calls == {
        ("calculator", "partial", "ok"): 1,
        ("calculator", "serial", "ok"): 1,
        ("calculator", "partial", "REJECTED"): 1,
        ("break_down", "on_seal", "RAISED"): 1,
        ("unknown", "on_seal", "UNKNOWN_TOOL"): 1,
        ("client", "on_seal", "handed over"): 1,
        ("wait", "partial", "CANCELLED"): 1,
    }
    assert value(tools, "conveyor_tool_vetoes_total", tool="calculator", mode="partial") == 1
    wasted = {dict(key)["tool"]: seconds for key, seconds in tools.of("conveyor_wasted_tool_seconds_sum").items()}
    assert wasted.keys() == {"calculator", "break_down", "wait"}
    assert wasted["break_down"] >= 0.01
    assert wasted["wait"] > 0


async def test_the_cache_is_in_use_while_a_sequence_holds_it(small_model: LoadedModel) -> None:
    async with running_stack(small_model, [break_down, wait]) as stack:
        usage = lambda: stack.decoder_metrics.get_sample_value("conveyor_kv_cache_usage_perc")  # noqa: E731
        running = asyncio.create_task(stack.complete(asking(call("wait"))))
        await until(lambda: 0 < usage() < 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await until(lambda: usage() == 0)


# --- the dashboard --------------------------------------------------------------------------------------------------

SELECTOR = re.compile(r"\b(conveyor_[a-z0-9_]+)(?:\{([^}]*)\})?(\[\$__rate_interval\])?")
OF_PROMETHEUS = {"instance", "job"}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


async def test_every_expression_of_the_dashboard_is_over_metrics_that_are_exported(small_model: LoadedModel) -> None:
    async with watched(small_model) as services:
        await do_everything(services.stack)
        read = await services.read()
    samples = {name: found for each in read.values() for name, found in each.samples.items()}
    seen = set()
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            found = SELECTOR.findall(expression)
            assert found, expression
            labels: set[str] = set()
            for name, matchers, interval in found:
                assert name in samples, f"{panel['title']}: {name} is not exported"
                labels |= {label for key in samples[name] for label, _ in key}
                assert set(re.findall(r"(\w+)\s*[!=]", matchers)) <= labels, expression
                is_counter = name.endswith(("_total", "_bucket", "_sum", "_count"))
                assert bool(interval) == is_counter, f"{panel['title']}: rates are of counters, and counters have rates"
                seen.add(re.sub(r"_(bucket|sum|count)$", "", name))
            for names in re.findall(r"by \(([^)]*)\)", expression):
                assert set(re.split(r",\s*", names)) <= labels, expression
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels | OF_PROMETHEUS
    exported = {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples if name.startswith("conveyor_")}
    assert exported - seen == {"conveyor_tool_completions"}, "what there is, is shown"


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    assert DASHBOARD["uid"] == "conveyor"
    assert DASHBOARD["schemaVersion"] >= 36  # data sources are objects
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    source = {"type": "prometheus", "uid": "${datasource}"}
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{panel['title']} covers another"
        taken |= cells
    for panel in panels():
        assert panel["datasource"] == source
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert [target["datasource"] for target in panel["targets"]] == [source] * len(panel["targets"])
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


# --- conveyor top ---------------------------------------------------------------------------------------------------


async def test_top_says_as_json_what_was_done(small_model: LoadedModel) -> None:
    async with watched(small_model) as services:
        await do_everything(services.stack)
        status, output, _ = await conveyor("top", "--once", "--json", "--interval", "0.1", *services.flags())
    said = json.loads(output)
    assert status == 0
    assert [service["away"] for service in said["services"]] == [None, None, None]
    assert said["requests"]["running"] == said["requests"]["waiting"] == 0
    assert set(said["sequences"].values()) == {0}
    tools = {row["tool"]: row for row in said["tools"]}
    assert tools.keys() == {"calculator", "break_down", "wait", "client", "unknown"}
    assert (tools["calculator"]["calls"], tools["calculator"]["errors"], tools["calculator"]["vetoes"]) == (3, 1, 1)
    assert tools["break_down"]["mean_seconds"] >= 0.01
    assert 0 <= tools["break_down"]["hidden_share"] <= 1
    assert tools["client"]["mean_seconds"] == 0
    assert said["latency_seconds"]["completion"] is None  # in this interval


async def test_top_names_a_service_that_is_away_and_goes_on(small_model: LoadedModel) -> None:
    async with watched(small_model) as services:
        gone = ("--decoder-metrics", "127.0.0.1:1", "--tool-metrics", f"{services.tools},{services.decoder}")
        flags = ("--gateway-http", services.stack.http, *gone)
        status, output, _ = await conveyor("top", "--once", "--json", "--interval", "0.1", *flags)
    said = json.loads(output)
    assert status == 0
    assert [service["away"] for service in said["services"]] == [None, "connection refused", None, None]
    assert said["sequences"]["running"] is None


async def test_top_fails_where_nobody_answers_at_all() -> None:
    flags = [
        flag for name in ("gateway-http", "decoder-metrics", "tool-metrics") for flag in (f"--{name}", "127.0.0.1:1")
    ]
    status, output, errors = await conveyor("top", "--once", "--interval", "0.1", *flags)
    assert status == 1
    assert output.splitlines()[2] == "tools    127.0.0.1:1  away: connection refused"
    assert not any(line.endswith(" ") for line in output.splitlines())
    assert "nobody answers: gateway 127.0.0.1:1" in errors
    assert "conveyor up" in errors


async def test_top_on_a_terminal_fits_it_and_ends_with_ctrl_c(small_model: LoadedModel) -> None:
    async with watched(small_model) as services:
        await do_everything(services.stack)
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = await asyncio.create_subprocess_exec(
            *(*CLI, "top", "--interval", "0.1", *services.flags()),
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
        )
        try:
            async with asyncio.timeout(BOUND):
                screen = await reader.readuntil(b"vetoes")
                screen += await reader.readuntil(b"vetoes")  # a second frame
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
    frames = re.sub(r"\x1b\[[0-9;]*H", "\n", screen.decode())  # the cursor goes home
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frames)
    assert "calculator" in text
    assert max(len(line) for line in text.splitlines()) <= 80
