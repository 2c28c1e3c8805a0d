"""The plain variants of the tools give what the partial ones give."""

from pathlib import Path

import pytest

from examples.plain import local_news as plain_local_news
from tests.unit.tool_service.completions import Log, end, start, written
from tool_service.execution.runner import Mode
from tool_service.interface import Tool
from tool_service.tools.http_get.fetching import Web
from tool_service.tools.http_get.settings import HttpGetSettings
from tool_service.tools.local_news.feed import Feed
from tool_service.tools.local_news.tool import local_news_tool

NEWS = Feed(str(Path(__file__).resolve().parents[3] / "examples" / "news"), Web(HttpGetSettings()))

CASES: list[tuple[Tool, Tool, dict[str, object]]] = [
    (plain_local_news.local_news_tool(NEWS), local_news_tool(NEWS), arguments)
    for arguments in (
        {"location": "San Francisco, CA"},
        {"location": "Boston, MA", "topic": "bridge", "limit": 1},
        {"location": "San Francisco"},
        {"location": 5},
    )
]


async def outcome(tool: Tool, mode: Mode, arguments: dict[str, object]) -> object:
    log = Log()
    runner = start(log, tool, mode=mode)
    for character in written(tool.name, **arguments):
        runner.text(character)
    await end(runner)
    await runner.aclose()
    return log.finished().outcome


@pytest.mark.parametrize(
    ("plain", "partial", "arguments"), CASES, ids=lambda value: value.name if isinstance(value, Tool) else str(value)
)
async def test_both_give_the_same_in_every_mode(plain: Tool, partial: Tool, arguments: dict[str, object]) -> None:
    assert plain.signature.json_schema == partial.signature.json_schema
    assert (plain.description, plain.effect, plain.timeout) == (partial.description, partial.effect, partial.timeout)
    assert not plain.starts_early
    assert partial.starts_early
    expected = await outcome(plain, Mode.SERIAL, arguments)
    assert [await outcome(partial, mode, arguments) for mode in Mode] == [expected] * len(Mode)
