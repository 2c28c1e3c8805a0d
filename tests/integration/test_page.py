"""The page in Chromium over the real services: it runs, stops, compares, resumes, and opens again."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from decoder_service.models.loader import LoadedModel
from gateway.cli.demo_prompts import PROMPTS
from tests.integration import browser as browsers
from tests.integration.stack import Stack, running_stack
from tests.processes import until
from tool_service.interface import Arg, Call, Effect, Tool, tool

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240), browsers.NEEDS_CHROMIUM]

STEP_SECONDS = 0.003  # a step of the small model takes one or two beside it
PROGRAM = "```python\nfor place in range(3):\n    print('row', place)\nprint(6 * 7)\n```"
ACTS: list[str] = []

Tabs = Callable[..., AbstractAsyncContextManager[Page]]


def sending() -> Tool:
    @tool(effect=Effect.WRITE, approve="ask", timeout=20)
    async def send(to: Arg[str], call: Call) -> str:
        """Send a letter."""
        await call.sealed()
        ACTS.append(await to)
        return f"sent to {await to}"

    return send


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(small_model: LoadedModel) -> AsyncIterator[Stack]:
    async with running_stack(small_model, [sending()], step_seconds=STEP_SECONDS) as running:
        yield running


@pytest.fixture
def tab(browser: Browser) -> Tabs:
    return partial(browsers.tab, browser)


async def ready(page: Page, stack: Stack) -> None:
    await page.goto(stack.http)
    await expect(page.get_by_role("checkbox", name="calculator")).to_be_checked()


async def ask(page: Page, *turns: str, tools: tuple[str, ...] = ("python",), max_turns: int = 2) -> None:
    """Fills the form in."""
    await page.get_by_label("Prompt").fill("What is to be seen?")
    for box in await page.locator("#tools input").all():
        await box.set_checked(await box.get_attribute("value") in tools)
    await page.get_by_text("Options").click()
    await page.get_by_label("Max turns").fill(str(max_turns))
    await page.get_by_label("Replay: what").fill(json.dumps(turns))


async def over(page: Page, state: str = "finished") -> None:
    await expect(page.locator("#state")).to_have_text(state)


async def test_text_calls_and_timeline_of_a_run_are_shown(tab: Tabs, stack: Stack) -> None:
    async with tab() as page:
        await ready(page, stack)
        await ask(page, PROGRAM, "It is 42.")
        await page.get_by_role("button", name="Run", exact=True).click()
        await over(page)
        turns = page.locator(".turn pre")
        assert await turns.all_text_contents() == [PROGRAM, "It is 42."]
        card = page.get_by_role("article", name="Call python")
        assert await card.locator("dd").text_content() == PROGRAM[10:-3]
        assert await card.locator(".output").text_content() == "row 0\nrow 1\nrow 2\n42\n"
        assert await page.locator(".lane").all_text_contents() == ["turn 1", "python", "turn 2", "in all"]
        assert await page.locator(".figures dt").all_text_contents() == [
            *("took", "decoding", "tools", "hidden", "serial, estimated", "ideal, estimated")
        ]
        await expect(page.locator("#words")).to_contain_text("Tools worked")
        await expect(page.locator("#status")).to_contain_text("Finished. Tools worked")


async def test_it_is_stopped_and_nothing_works_on(tab: Tabs, stack: Stack) -> None:
    async with tab() as page:
        await ready(page, stack)
        await ask(page, "word " * 2000)
        await page.get_by_role("button", name="Run", exact=True).click()
        await expect(page.locator(".turn pre")).to_contain_text("word")
        await page.locator("#form .stop").click()
        await over(page, "stopped")
        await until(lambda: not any(stack.decoder.engine.counts().values()))
        await expect(page.locator("#recent a").first).to_have_attribute("data-state", "failed")
        await expect(page.locator("#form .stop")).to_be_disabled()


async def test_both_modes_are_compared_on_one_axis(tab: Tabs, stack: Stack) -> None:
    async with tab() as page:
        await ready(page, stack)
        await ask(page, "```python\nimport time\ntime.sleep(0.3)\nprint(1)\nprint(2)\nprint(3)\n```\n", max_turns=1)
        await page.get_by_role("button", name="Compare").click()
        await expect(page.locator("#which button")).to_have_text(["serial", "partial"])
        await over(page)
        lanes = ["serial", "turn 1", "python", "partial", "turn 1", "python"]
        assert await page.locator(".lane").all_text_contents() == lanes
        words = await page.locator("#words").text_content()
        # Which of the two is sooner hangs on what else the machine does; test_page_scripted.py knows it beforehand.
        told = re.fullmatch(r"Partial took (\S+) s, serial (\S+) s.*: (?:.* % (sooner|later)|as long)\.", words or "")
        assert told is not None, words
        late = float(told[1]) - float(told[2])
        assert {"sooner": late <= 0, "later": late >= 0, None: abs(late) < 0.02}[told[3]], words
        await expect(page.locator("#words-more")).to_contain_text("Both said the same, word for word.")
        address = page.url
        await page.reload()
        await expect(page.locator("#words")).to_have_text(words)
        assert page.url == address


async def test_a_reload_goes_on_with_what_runs(tab: Tabs, stack: Stack) -> None:
    text = " ".join(map(str, range(80)))
    async with tab() as page:
        await ready(page, stack)
        await ask(page, text, tools=(), max_turns=1)
        await page.get_by_role("button", name="Run", exact=True).click()
        await expect(page.locator(".turn pre")).to_contain_text("3 4 5")
        await page.reload()
        await expect(page.locator("#state")).to_have_text("running")
        await over(page)
        assert await page.locator(".turn pre").text_content() == text


async def test_a_recent_one_is_opened_again_and_downloaded(tab: Tabs, stack: Stack, tmp_path: Path) -> None:
    async with tab() as page:
        await ready(page, stack)
        await ask(page, PROGRAM, "It is 42.")
        await page.get_by_role("button", name="Run", exact=True).click()
        await over(page)
        words = await page.locator("#words").text_content()
        opened = page.url
        await page.goto(stack.http)
        await expect(page.locator("#empty")).to_be_visible()
        await page.locator("#recent a").first.click()
        await expect(page.locator("#words")).to_have_text(words or "")
        assert page.url == opened
        kept = await download(page, "JSON", tmp_path)
        assert kept["id"] == opened.split("#")[1] and kept["events"][-1]["finished"]["finish_reason"] == "stop"
        trace = await download(page, "Perfetto", tmp_path)
        assert {event["ph"] for event in trace["traceEvents"]} >= {"X"}
        await page.get_by_role("button", name="Edit and run again").click()
        await expect(page.get_by_label("Prompt")).to_have_value("What is to be seen?")


async def download(page: Page, button: str, folder: Path) -> Any:
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name=button).click()
    await (await downloading.value).save_as(folder / button)
    return json.loads((folder / button).read_text("utf-8"))


@pytest.mark.parametrize(("answer", "shown"), [("Allow", "sent to ada"), ("Refuse", "no letters today")])
async def test_a_person_is_asked(tab: Tabs, stack: Stack, answer: str, shown: str) -> None:
    written = json.dumps({"name": "send", "parameters": {"to": "ada"}})
    ACTS.clear()
    async with tab() as page:
        await ready(page, stack)
        await ask(page, written, tools=("send",), max_turns=1)
        await page.get_by_role("button", name="Run", exact=True).click()
        card = page.get_by_role("article", name="Call send")
        await expect(card.locator(".question pre")).to_have_text('{"to": "ada"}')
        await expect(page.locator("#status")).to_have_text("send waits for you to allow it.")
        assert ACTS == []
        await card.get_by_label("Reason").fill("no letters today")
        await card.get_by_role("button", name=answer).click()
        await over(page)
        await expect(card).to_contain_text(shown)
        await expect(card.locator(".question")).to_have_count(0)
        assert ["ada"] * (answer == "Allow") == ACTS


async def test_each_example_does_what_it_says(tab: Tabs, stack: Stack) -> None:
    async with tab() as page:
        await ready(page, stack)
        names = await page.locator("#examples button").all_text_contents()
        for name in names[:2]:
            await page.get_by_role("button", name=name).click()
            await page.get_by_role("button", name="Run", exact=True).click()
            await expect(page.locator("#what")).to_have_text(await page.get_by_label("Prompt").input_value())
            await over(page)
            words = await page.locator("#words").text_content() or ""
            assert words.endswith("It had one turn, as asked.") == (name == names[0]) and "limit" not in words
            await expect(page.locator(".card")).to_have_attribute("data-phase", "finished")
            assert await page.locator(".card").count() == 1


async def test_the_first_examples_are_those_of_the_demo(tab: Tabs, stack: Stack) -> None:
    async with tab() as page:
        await page.goto(stack.http)
        examples = await page.evaluate("async () => (await import('/page/examples.js')).EXAMPLES")
    for example, prompt in zip(examples, PROMPTS, strict=False):
        said = [(role, text) for role, text in (("system", example.get("system")), ("user", example["prompt"])) if text]
        assert said == list(prompt.messages)
        assert (example["tools"], example["format"]) == (list(prompt.tools), prompt.call_format)
        assert example.get("choice", "auto") == prompt.choice
        assert list(prompt.given) in ([], example["replay"])
