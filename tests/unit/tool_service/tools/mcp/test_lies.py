"""Servers that lie, flood or fall silent: an error for the call, nothing for anybody else (W3)."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.unit.tool_service.tools.mcp.running import BOUND, Offered, lying, serving
from tool_service.execution import events as ev
from tool_service.tools.mcp import child, link, listing, nesting, progress
from tool_service.tools.mcp.server import McpError
from tool_service.tools.mcp.tool import mcp_tools

MOST_SECONDS = 1.0  # of CPU time in one go; a list of 1000 tools is read in 0.2 to 0.5


@pytest.fixture
async def attentive() -> AsyncIterator[None]:
    """Fails a test in which the event loop was held up."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0.005)
            longest = max(longest, time.thread_time() - began)

    watching = asyncio.create_task(watch())
    yield
    watching.cancel()
    assert longest < MOST_SECONDS


def told(logs: list[MutableMapping[str, Any]], event: str) -> list[dict[str, Any]]:
    """What lines of one event say."""
    return [
        {key: value for key, value in line.items() if key not in ("event", "log_level")}
        for line in logs
        if line["event"] == event
    ]


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


async def failure(offered: Offered, name: str = "liar_plain") -> str:
    async with asyncio.timeout(BOUND):
        with pytest.raises(McpError) as failed:
            await offered.use(name)
    return str(failed.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("shapes", "the MCP server 'liar' answered with what is no result of a tool"),
        ("huge", "the MCP server 'liar' ended while the call ran; what the call did is not known"),
        ("no_newline", "the MCP server 'liar' ended while the call ran; what the call did is not known"),
        ("refuse", "no way"),
        ("deep_result", "the answer is nested more than 150 deep"),
    ],
)
@pytest.mark.usefixtures("attentive")
async def test_a_wrong_answer_is_an_error_of_its_call_alone(kind: str, message: str) -> None:
    async with serving(liar=lying(kind), other=lying("plain")) as offered:
        assert await failure(offered) == message
        assert await offered.use("other_plain") == ["fine"]


@pytest.mark.parametrize("kind", ["silent", "wrong_id"])
async def test_a_call_that_is_never_answered_ends_with_its_timeout(kind: str) -> None:
    async with serving(liar=lying(kind, timeout_seconds=0.2)) as offered:
        outcome = await offered.outcome("liar_plain")
        assert outcome == ev.Failure("TIMEOUT", "liar_plain was stopped: it worked for more than 0.2 s.")


async def test_a_server_that_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "STALL_SECONDS", 0.2)
    async with serving(liar=lying("deaf")) as offered:
        with capture_logs() as logs:
            with pytest.raises(McpError, match="ended while the call ran"):
                await offered.use("liar_plain", x="y" * (1 << 20))
            seen = offered.listings
            await offered.until(lambda: offered.listings > seen)
    assert "it does not read its standard input" in [line.get("cause") for line in logs]


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("garbage", "it writes what is no MCP to its standard output"),
        ("mute", "it did not start within 0.5 s"),
        ("listing_mute", "it did not start within 0.5 s"),
        ("listing_shape", "it answered with what is no MCP"),
    ],
)
@pytest.mark.usefixtures("attentive")
async def test_what_is_no_server_is_not_offered(kind: str, cause: str) -> None:
    with capture_logs() as logs:
        patience = 0.5 if "mute" in kind else 20.0  # what says nothing is waited for to the end
        async with serving(liar=lying(kind, start_seconds=patience), other=lying("plain")) as offered:
            assert list(offered.tools) == ["other_plain"]
    assert told(logs, "mcp server away")[0]["cause"] == cause


@pytest.mark.usefixtures("attentive")
@pytest.mark.parametrize("kind", ["stderr", "chatter"])
async def test_a_server_that_talks_without_end_is_slowed_and_goes_on(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "MESSAGE_BURST", 10.0)
    async with serving(liar=lying(kind), other=lying("plain")) as offered:
        for _ in range(20):
            assert await offered.use("other_plain") == ["fine"]
        if kind == "stderr":
            assert await offered.use("liar_plain") == ["fine"]


@pytest.mark.usefixtures("attentive")
async def test_a_thousand_tools_are_capped_and_that_is_logged() -> None:
    with capture_logs() as logs:
        async with serving(liar=lying("thousand")) as offered:
            assert list(offered.tools) == [f"liar_t{number}" for number in range(listing.MAX_TOOLS)]
            assert await offered.use("liar_t7") == ["fine"]
    assert told(logs, "mcp tools left out") == [{"server": "liar", "reason": "at most 128 are offered"}]


async def test_pages_end_somewhere() -> None:
    async with serving(endless=lying("endless_pages"), same=lying("same_page")) as offered:
        assert len(offered.tools) == listing.MAX_PAGES + 1


@pytest.mark.usefixtures("attentive")
async def test_the_list_has_a_longest_length() -> None:
    async with serving(liar=lying("long_list")) as offered:
        assert 0 < len(offered.tools) < 10


@pytest.mark.usefixtures("attentive")
async def test_tools_that_cannot_be_offered_are_left_out_with_the_reason() -> None:
    with capture_logs() as logs:
        async with serving(liar=lying("odd")) as offered:
            tools = offered.tools
            assert await offered.use("liar_look_around") == ["fine"]
            refused = await offered.outcome("liar_fine", text="a" * 50_000 + "b")  # its pattern is ^(a+)+$
    assert list(tools) == [
        "liar_fine",
        "liar_look_around",
        f"liar_look_around_{digest('look_around')}",
        f"liar_{'x' * 50}_{digest('x' * 100)}",
        "liar_bomb",
        "liar_loop",
        "liar_wordy",
    ]
    assert isinstance(refused, ev.Failure)
    assert refused.code == "INVALID_ARGUMENTS"
    shown = tools["liar_look_around"]
    assert shown.description == "Hidden red."
    assert shown.signature.json_schema["properties"] == {"text": {"type": "string", "description": "bell"}}
    assert len(tools["liar_wordy"].description) == listing.MAX_DESCRIPTION_CHARS
    reasons = {line["tool"]: line["reason"] for line in logs if line["event"] == "mcp tool left out"}
    assert reasons == {
        "fine": "it is listed twice",
        "regex": 'malformed schema: "(" is not a "regex"',
        "abroad": "the reference 'http://127.0.0.1:9/x' leads out of the schema",
        "huge": "the schema has 40076 bytes; at most 32768 are allowed",
        "deep": "the schema is nested more than 32 deep",
        "odd parameter": "'a b' is no name for a parameter",
    }


@pytest.mark.usefixtures("attentive")
async def test_a_tool_that_is_nested_too_deep_to_be_read_is_left_out_alone() -> None:
    with capture_logs() as logs:
        async with serving(liar=lying("deep_schema")) as offered:
            assert list(offered.tools) == ["liar_plain", "liar_after"]
            assert await offered.use("liar_plain") == ["fine"]
    assert told(logs, "mcp tool left out") == [
        {"server": "liar", "tool": "deep", "reason": "the schema is nested more than 32 deep"}
    ]


@pytest.mark.usefixtures("attentive")
def test_the_longest_message_that_is_looked_through_holds_nobody_up() -> None:
    for text in (b"[" * nesting.MAX_CUT_BYTES, b'"' * nesting.MAX_CUT_BYTES, b"[]" * (nesting.MAX_CUT_BYTES // 2)):
        with pytest.raises(ValueError, match="JSON"):
            nesting.read_deep(text)


@pytest.mark.usefixtures("attentive")
async def test_a_pathological_pattern_for_results_is_not_used() -> None:
    async with serving(liar=lying("output_schema")) as offered:
        assert await offered.use("liar_plain") == ['{"x":"' + "a" * 40 + 'b"}']


async def test_a_server_that_asks_back_is_refused_and_goes_on() -> None:
    async with serving(liar=lying("needs_input")) as offered:
        assert await offered.use("liar_plain") == ["fine"]


async def test_what_is_no_image_is_left_out() -> None:
    async with serving(liar=lying("bad_image")) as offered:
        assert await offered.use("liar_plain") == ["[image-1 left out: it is not valid base64]"]


async def test_progress_is_plain_and_has_an_end() -> None:
    async with serving(liar=lying("progress_flood")) as offered:
        *lines, notice, result = await offered.use("liar_plain")
    assert len(lines) == progress.MAX_LINES
    assert lines[1] == f"[1] {'m' * (progress.MAX_LINE_CHARS - 1)}…\n"
    assert (notice, result) == ("[further progress is not shown]\n", "fine")


async def test_names_that_the_server_lacks_are_told() -> None:
    with capture_logs() as logs:
        async with serving(liar=lying("plain", only=["plain", "fancy"])) as offered:
            assert list(offered.tools) == ["liar_plain"]
    assert told(logs, "mcp tool missing") == [{"server": "liar", "tool": "fancy", "reason": "`only` names it"}]


async def test_a_name_that_another_source_has_is_left_to_it() -> None:
    class Refusing(Offered):
        def offer(self, tool: object) -> None:
            raise ValueError("there is a tool of this name")

    offered = Refusing()
    async with mcp_tools({"liar": lying("plain")}, offered.offer, offered.withdraw):
        assert offered.tools == {}
