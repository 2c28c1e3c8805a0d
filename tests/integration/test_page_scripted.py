"""The page in Chromium over the real gateway and a decoder that says what it is told: what a model may never say when
asked, and what the network does."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from benchmarks.watching.decoder import ScriptedDecoder, scripted_gateway
from benchmarks.watching.script import Event, Shape, event
from gateway.archive.lanes import Lanes
from gateway.guard.keys_file import new_key
from gateway.wire import duration
from protos.conveyor.decoder.v1 import decoder_pb2 as pb
from protos.rpc.errors import Reason, reject_field
from tests.integration import browser as browsers
from tests.integration.dropping_proxy import DroppingProxy
from tests.processes import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120), browsers.NEEDS_CHROMIUM]

MOST_BYTES = 60_000
SHAPE: Any = {"tokens": 60, "calls": 4, "turns": 2, "token_seconds": 0.004, "busy_seconds": 0.02}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>&lt;b&gt; "
    "\x1b[2J\x1b]0;title\x07 \u202egnp.exe\u2066 \x00\x9b31m\u2028 javascript:alert(4) "
    "\xad\u200b\u2060\u2064\ufeff\U000e0041" + "a" + "\u0300" * 400 + "W" * 400
)
UNSEEN = {"\xad": "\\xad", "\U000e0041": "\\u{e0041}"} | {c: f"\\u{ord(c):04x}" for c in "\u200b\u2060\u2064\ufeff"}
SHOWN = (
    HOSTILE.replace("\x1b", "\\x1b").replace("\x07", "\\x07").replace("\u202e", "\\u202e").replace("\u2066", "\\u2066")
)
SHOWN = SHOWN.replace("\x00", "\\x00").replace("\x9b", "\\x9b").replace("\u2028", "\\u2028")
SHOWN = "".join(UNSEEN.get(character, character) for character in SHOWN)

FRAMES = "async () => { for (let left = 20; left; left--) await new Promise(requestAnimationFrame); }"

Tabs = Callable[..., AbstractAsyncContextManager[Page]]


def said(*events: Event, text: str = "", decoded_at: float = 0.2) -> list[Event]:
    """A completion of one turn with `events` in it."""
    usage = pb.Usage(prompt_tokens=3, completion_tokens=1)
    stop = pb.FINISH_REASON_STOP
    return [
        event(0.1, turn_started=pb.TurnStarted()),
        event(0.1, text_delta=pb.TextDelta(text=text, token_ids=[1])),
        *events,
        event(decoded_at, turn_decoded=pb.TurnDecoded(finish_reason=stop, usage=usage)),
        event(decoded_at, turn_finished=pb.TurnFinished(call_count=1)),
        event(decoded_at, finished=pb.Finished(finish_reason=stop, usage=usage)),
    ]


def hostile() -> list[Event]:
    """Everything that a model or a tool writes is an attempt to be more than text."""
    named = {"call_id": "call_1"}
    unit = pb.UnitFinished(**named, label=HOSTILE, text_offset=9, busy=duration(0.01))
    error = pb.ToolError(code="<b>RAISED", message=HOSTILE)
    pictures = [
        pb.CallArtifact(**named, name=name, media_type=kind, data=data)
        for name, kind, data in (
            ("<b>\u202egnp.png", "image/png", PNG),
            ("../x.svg", "image/svg+xml", SVG),
            ("page.html", "text/html", b"<script>alert(5)</script>"),
        )
    ]
    return said(
        event(0.11, call_opened=pb.CallOpened(**named, name=HOSTILE[:60], text_offset=5)),
        event(0.11, arguments_delta=pb.ArgumentsDelta(**named, argument="<i>code", text="")),
        event(0.11, arguments_delta=pb.ArgumentsDelta(**named, argument="<i>code", text=HOSTILE)),
        event(0.12, call_started=pb.CallStarted(**named)),
        event(0.13, call_output=pb.CallOutput(**named, text=HOSTILE)),
        *(event(0.14, call_artifact=picture) for picture in pictures),
        event(0.14, unit_finished=unit),
        event(0.15, call_finished=pb.CallFinished(**named, error=error, busy=duration(0.01))),
        event(0.15, turn_vetoed=pb.TurnVetoed(**named, reason=HOSTILE)),
        text=HOSTILE,
    )


def long_output() -> list[Event]:
    named = {"call_id": "call_1"}
    text = "".join(f"row {number}\n" for number in range(20_000))
    return said(
        event(0.11, call_opened=pb.CallOpened(**named, name="python", text_offset=0)),
        event(0.12, call_started=pb.CallStarted(**named)),
        *(
            event(0.13, call_output=pb.CallOutput(**named, text=text[at : at + 7000]))
            for at in range(0, len(text), 7000)
        ),
        event(0.15, call_finished=pb.CallFinished(**named, result=text, busy=duration(0.01))),
        text="x",
    )


gates: list[asyncio.Semaphore] = []


def held(events: list[Event]) -> list[Event | asyncio.Semaphore]:
    """Half of it; the rest when the test lets one completion by."""
    half = len(events) // 2
    return [*events[:half], gates[-1], *events[half:]]


def scripts(start: pb.Start) -> Iterable[Event | asyncio.Semaphore]:
    """What is said to a prompt."""
    serial = start.tool_use.mode == pb.MODE_SERIAL
    match start.messages[-1].content:
        case "too long":
            reject_field(Reason.PROMPT_TOO_LONG, "messages", "have 9 tokens; the model takes at most 8")
        case "hostile":
            return hostile()
        case "long output":
            return long_output()
        case "held":
            return held(Shape(**SHAPE, serial=serial).events())
        case "many":
            return Shape(tokens=300, calls=30, turns=2, token_seconds=0.003, busy_seconds=0.01).events()
    return Shape(**SHAPE, serial=serial).events()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def port() -> AsyncIterator[int]:
    async with scripted_gateway(ScriptedDecoder(scripts)) as gateway:
        yield gateway.http_port


@pytest.fixture
def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def gate() -> Iterator[asyncio.Semaphore]:
    """Where completions of the prompt "held" stop; `release` lets one by. Afterwards it holds none."""
    gates.append(asyncio.Semaphore(0))
    yield gates[-1]
    for _ in range(9):
        gates[-1].release()


@pytest.fixture
def tab(browser: Browser) -> Tabs:
    return partial(browsers.tab, browser)


async def ask(page: Page, url: str, prompt: str, button: str) -> None:
    await page.goto(url)
    await expect(page.locator("#tools [value=calculator]")).to_be_checked()
    await page.get_by_label("Prompt").fill(prompt)
    await page.get_by_role("button", name=button, exact=True).click()


async def run(page: Page, url: str, prompt: str, state: str = "finished") -> None:
    await ask(page, url, prompt, "Run")
    await expect(page.locator("#state")).to_have_text(state)


async def test_all_that_the_page_loads_is_small_and_from_here(tab: Tabs, url: str) -> None:
    sizes: dict[str, int] = {}
    async with tab() as page:
        page.on("requestfinished", lambda request: asyncio.ensure_future(note(request)))

        async def note(request: Any) -> None:
            path = "/" + request.url.split("/", 3)[3]
            if not path.startswith("/v1/"):
                sizes[path] = (await request.sizes())["responseBodySize"]

        await page.goto(url)
        await expect(page.locator("#tools [value=calculator]")).to_be_checked()
        await page.wait_for_load_state("networkidle")
    assert {"/", "/page/page.css", "/page/main.js", "/page/timeline.js"} <= sizes.keys()
    assert 20_000 < sum(sizes.values()) <= MOST_BYTES, sizes


async def test_the_first_paint_needs_little_even_where_nothing_is_compressed(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, headers={"accept-encoding": "identity"}) as client:
        index = (await client.get("/")).text
        [main] = re.findall(r'<script type="module" src="([^"]+)"', index)
        needed = dict.fromkeys((*re.findall(r'<link rel="stylesheet" href="([^"]+)"', index), main), "")
        while missing := [path for path, text in needed.items() if not text]:
            needed[missing[0]] = text = (await client.get(missing[0])).text
            imported = re.findall(r'^import .* from "\./([^"]+)"', text, re.MULTILINE)
            needed = {**{f"/page/{name}": "" for name in imported}, **needed}
    assert len(needed) > 5
    assert len(index.encode()) + sum(len(text.encode()) for text in needed.values()) <= MOST_BYTES


async def test_server_sent_events_are_read_at_every_cut(tab: Tabs, url: str) -> None:
    stream = (
        ': alive\r\n\r\nid: 1\r\nevent: a\r\ndata: {"x":\r\ndata: 1}\r\n\r\nid:2\rdata: é\r\rdata\n\n'
        "retry: 5\nevent: last\nid: 3\ndata:  two\n\n: cut\n"
    )
    wanted = [
        {"id": "1", "event": "a", "data": '{"x":\n1}'},
        {"id": "2", "event": "message", "data": "é"},
        {"id": "2", "event": "message", "data": ""},
        {"id": "3", "event": "last", "data": " two"},
    ]
    script = """async ([text, cuts]) => {
      const { SseParser } = await import("/page/sse.js");
      return cuts.map((cut) => {
        const parser = new SseParser();
        const [events, places] = [[], [0, ...cut, text.length]];
        for (let i = 1; i < places.length; i++) events.push(...parser.feed(text.slice(places[i - 1], places[i])));
        return events;
      });
    }"""
    cuts = [[at] for at in range(len(stream))] + [list(range(len(stream))), []]
    async with tab() as page:
        await page.goto(url)
        for cut, events in zip(cuts, await page.evaluate(script, [stream, cuts]), strict=True):
            assert events == wanted, cut


async def test_an_event_without_end_is_refused(tab: Tabs, url: str) -> None:
    script = """async () => {
      const { SseParser } = await import("/page/sse.js");
      const parser = new SseParser();
      try { for (let i = 0; i < 100; i++) parser.feed("data: " + "x".repeat(2 ** 20) + (i % 2 ? "\\n" : "")); }
      catch (error) { return error.message; }
    }"""
    async with tab() as page:
        await page.goto(url)
        assert await page.evaluate(script) == "an event of the stream is too long"


async def test_what_a_model_or_a_tool_says_is_text_and_nothing_else(tab: Tabs, url: str) -> None:
    async with tab(viewport={"width": 360, "height": 780}) as page:
        await run(page, url, "hostile")
        assert await page.locator(".turn pre").text_content() == SHOWN
        assert await page.locator(".card dd pre").text_content() == SHOWN
        assert await page.locator(".card .output").text_content() == SHOWN
        assert await page.locator(".card pre.error").text_content() == SHOWN
        assert SHOWN in (await page.locator(".veto").text_content() or "")
        await page.get_by_text("As a table").click()
        await page.locator(".lane.call").focus()
        await page.keyboard.press("ArrowRight")
        await expect(page.locator(".tip")).to_contain_text("<script>alert(1)</script>")
        inside = page.locator("main script, main svg, main bdi > *, main pre > div > *, main [onerror], main iframe")
        assert await inside.count() == 0
        await expect(page.locator("figure img")).to_have_count(1)
        await expect(page.locator("figure img")).to_have_js_property("naturalWidth", 1)
        names = await page.locator("figure a").evaluate_all("links => links.map((link) => link.download)")
        assert names == ["<b>_u202egnp.png", ".._x.svg", "page.html"]
        kinds = await page.locator("figure a").evaluate_all("links => links.map((link) => link.protocol)")
        assert kinds == ["blob:"] * 3
        assert await width_of(page) <= 360


async def width_of(page: Page) -> int:
    return await page.evaluate("() => document.scrollingElement.scrollWidth")


async def test_long_output_is_shown_in_part_until_all_is_asked_for(tab: Tabs, url: str) -> None:
    async with tab() as page:
        await run(page, url, "long output")
        output = page.locator(".card .output")
        assert (await output.text_content() or "").count("\n") == 24
        await page.get_by_role("button", name="Show all (188,890 characters)").click()
        assert (await output.text_content() or "").endswith("row 19999\n")


async def test_hidden_work_is_what_the_gateway_says(tab: Tabs, url: str) -> None:
    script = """async (events) => {
      const { Record } = await import("/page/record.js");
      const record = new Record("id", {});
      for (const event of events) {
        const kind = Object.keys(event).find((name) => name !== "at_seconds");
        record.apply(kind, event[kind], event.at_seconds);
      }
      return [...record.calls.values()].map((call) => [call.id, call.hidden, call.units.length]);
    }"""
    async with tab() as page:
        await run(page, url, "as usual")
        async with httpx.AsyncClient(base_url=url) as client:
            detail = (await client.get(f"/v1/completions/{page.url.split('#')[1]}")).json()
        drawn = await page.evaluate(script, detail["events"])
    lanes = Lanes.of(detail["events"])
    assert len(drawn) == 4
    for (call_id, hidden, units), call in zip(drawn, lanes.calls.values(), strict=True):
        assert (call_id, units) == (call.id, len(call.blocks))
        assert hidden == pytest.approx(call.hidden, abs=1e-6)


async def test_everything_is_reached_by_keys_alone(tab: Tabs, url: str) -> None:
    async with tab() as page:
        await page.goto(url)
        await expect(page.locator("#tools [value=calculator]")).to_be_checked()
        await expect(page.get_by_label("Prompt")).to_be_focused()
        await page.keyboard.type("as usual")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#state")).to_have_text("finished")
        reached = set()
        for _ in range(60):
            await page.keyboard.press("Tab")
            reached.add(await page.evaluate("() => document.activeElement.id || document.activeElement.className"))
            if await page.evaluate("() => document.activeElement.classList.contains('lane')"):
                break
        assert {"run", "compare", "json", "perfetto", "again", "pane"} <= reached
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowRight")
        await expect(page.locator(".tip b")).to_have_text("statement_0()")
        await expect(page.locator(".said")).to_contain_text("statement_0(), ")
        await expect(page.locator(".said")).to_contain_text("hidden behind decoding")
        await expect(page.locator(".card.pointed")).to_have_count(1)
        marked = "() => [...CSS.highlights.get('pointed')].map((range) => range.toString())"
        assert await page.evaluate(marked) == [" ="]
        outline = await page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


async def test_the_table_has_what_is_drawn(tab: Tabs, url: str) -> None:
    async with tab() as page:
        await run(page, url, "as usual")
        await page.get_by_text("As a table").click()
        rows = page.locator("tbody tr")
        await expect(rows).to_have_count(2 * 2 + 4 + 4 * 6)
        await expect(page.get_by_role("row").nth(1)).to_contain_text("turn 1prompt0.000")


@pytest.mark.parametrize("ratio", [1.25, 1.5])
async def test_what_was_drawn_bit_by_bit_is_what_is_drawn_at_once(tab: Tabs, url: str, ratio: float) -> None:
    script = """() => {
      for (const lane of [...document.querySelectorAll(".lane")].reverse()) lane.focus(); // each after the one below
      document.activeElement.blur();
      const drawn = () => [...document.querySelectorAll(".plot canvas")].map((canvas) => canvas.toDataURL());
      const before = drawn();
      document.querySelector(".whole").click(); // all anew
      return [before.length, drawn().map((picture, place) => picture.length > 2000 && picture === before[place])];
    }"""
    async with tab(device_scale_factor=ratio) as page:
        await run(page, url, "many")
        await page.locator(".lane").nth(20).focus()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Escape")
        assert await page.evaluate(script) == [3, [True] * 3]


async def test_what_has_ended_is_opened_at_its_beginning(tab: Tabs, url: str) -> None:
    async with tab() as page:
        await run(page, url, "many")
        first = page.url
        places = [page.locator(f"#{part}").locator("..") for part in ("texts", "calls")]
        assert min([await place.evaluate("pane => pane.scrollTop") for place in places]) > 0
        await run(page, url, "many")
        await page.goto(first)
        await expect(page.locator("#state")).to_have_text("finished")
        await page.evaluate(FRAMES)
        assert [await place.evaluate("pane => pane.scrollTop") for place in places] == [0, 0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_that_is_written_can_be_read(tab: Tabs, url: str, scheme: str) -> None:
    async with tab(color_scheme=scheme) as page:
        await run(page, url, "hostile")
        await page.get_by_text("Options").click()
        await page.get_by_text("As a table").click()
        faint = await page.evaluate(CONTRAST)
        assert faint == []
        marks = await page.evaluate(MARKS)
        assert min(marks.values()) >= 3, marks


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((value, i) => value * a + below[i] * (1 - a));
  const light = (rgb) => rgb.map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const wrong = [];
  let seen = 0;
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const style = getComputedStyle(element);
    if (!hasText || element.disabled || !element.checkVisibility() || style.clipPath !== "none") continue;
    const below = behind(element);
    const pair = [over(parse(style.color), below), below].map(light).sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    seen++;
    if (ratio < (isLarge ? 3 : 4.5)) wrong.push(`${element.localName}.${element.className}: ${ratio.toFixed(2)}`);
  }
  if (seen < 60) wrong.push(`only ${seen} were looked at`);
  return wrong;
}"""
MARKS = """() => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
      .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  };
  const ratio = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const marks = ["--hidden", "--exposed", "--decode", "--error", "--faint", "--edge", "--accent"];
  return Object.fromEntries(marks.map((name) => [name, ratio(name, "--surface")]));
}"""


async def test_a_narrow_screen_is_wide_enough(tab: Tabs, url: str) -> None:
    async with tab(viewport={"width": 360, "height": 780}) as page:
        await page.goto(url)
        assert await width_of(page) <= 360
        await run(page, url, "as usual")
        await expect(page.locator("#state")).to_be_in_viewport()
        await page.get_by_text("Options").click()
        await page.get_by_text("As a table").click()
        assert await width_of(page) <= 360


async def test_the_system_decides_about_motion_and_colours(tab: Tabs, url: str, gate: asyncio.Semaphore) -> None:
    async with tab(reduced_motion="reduce", forced_colors="active") as page:
        await run(page, url, "held", "running")
        assert await page.evaluate("() => document.getAnimations().length") == 0
        value = await page.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--hidden')")
        assert value.strip() == "Highlight"


async def test_a_comparison_goes_on_after_a_reload(tab: Tabs, url: str, gate: asyncio.Semaphore) -> None:
    async with tab() as page:
        await ask(page, url, "held", "Compare")
        await expect(page.locator(".turn pre")).not_to_have_count(0)
        await page.reload()
        await expect(page.locator("#state")).to_have_text("running")
        await page.locator("#form .stop").focus()
        asked: list[Route] = []
        await page.route("**/v1/completions", lambda route: asked.append(route))
        gate.release()
        await expect(page.locator("#status")).to_contain_text("Finished. Tools worked")
        await until(lambda: asked)
        await expect(page.locator("#form .stop")).to_be_focused()
        await asked[0].continue_()
        await expect(page.locator("#which button")).to_have_text(["serial", "partial"])
        await expect(page.locator("#form .stop")).to_be_focused()
        gate.release()
        await expect(page.locator("#words")).to_have_text(re.compile(r"^Partial took .+, serial .+ % sooner\.$"))


async def test_a_connection_that_drops_is_taken_up_again(tab: Tabs, port: int, gate: asyncio.Semaphore) -> None:
    async with DroppingProxy(port).running() as proxy, tab() as page:
        await run(page, f"http://127.0.0.1:{proxy.port}", "held", "running")
        await expect(page.locator(".card")).not_to_have_count(0)
        proxy.down = True
        await proxy.drop()
        await expect(page.locator("#connection")).to_contain_text("The connection is lost. The completion goes on")
        await until(lambda: proxy.refused)
        proxy.down = False
        await expect(page.locator("#connection")).to_be_hidden()
        gate.release()
        await expect(page.locator("#state")).to_have_text("finished")
        texts = await page.locator(".turn pre").all_text_contents()
    every = Shape(**SHAPE).events()
    assert "".join(texts) == "".join(each.text_delta.text for each in every)


async def test_one_that_is_not_there_is_said_to_be_so(tab: Tabs, url: str) -> None:
    async with tab() as page:
        await page.goto(f"{url}/#nothing")
        gone = "There is no completion with this id any more, or it was asked for with another key."
        await expect(page.get_by_role("alert")).to_contain_text(gone)
        await page.get_by_label("Prompt").fill(" ")
        await expect(page.get_by_role("alert")).to_be_hidden()
        await page.get_by_role("button", name="Run", exact=True).click()
        await expect(page.get_by_role("alert")).to_have_text("Write a prompt first.")
        await page.evaluate("() => (location.hash = '/completions/xyz…')")
        await expect(page.get_by_role("alert")).to_contain_text(gone)
        await expect(page.get_by_label("Prompt")).not_to_have_attribute("aria-invalid", "true")
        await page.evaluate("() => (location.hash = '')")
        await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_field_that_the_gateway_refuses_is_named_and_gone_to(tab: Tabs, url: str) -> None:
    async with tab() as page:
        await page.goto(url)
        await expect(page.locator("#tools [value=calculator]")).to_be_checked()
        turns = page.get_by_label("Max turns")
        await turns.evaluate("field => (field.max = 99, field.value = 40)")
        await page.get_by_label("Prompt").fill("as usual")
        await page.keyboard.press("Control+Enter")
        said = "Max turns is 40; it must be 0, for the default, or from 1 to 32."
        await expect(page.get_by_role("alert")).to_have_text(said)
        await expect(turns).to_be_focused()
        await expect(turns).to_have_attribute("aria-invalid", "true")
        await expect(turns).to_have_accessible_description(said)
        await turns.fill("1")
        await expect(turns).not_to_have_attribute("aria-invalid", "true")
        replay = page.get_by_label("Replay: what")
        await replay.fill('["one", "two"]')
        await page.get_by_role("button", name="Run", exact=True).click()
        said = "Replay has 2 entries, one for each turn, and max_turns is 1."
        await expect(page.get_by_role("alert")).to_have_text(said)
        await expect(replay).to_be_focused()


async def test_a_field_that_the_decoder_refuses_is_named_and_gone_to_as_well(tab: Tabs, url: str) -> None:
    async with tab() as page:
        await run(page, url, "too long", "failed")
        said = "Messages have 9 tokens; the model takes at most 8"
        await expect(page.get_by_role("alert")).to_have_text(said)
        await expect(page.get_by_label("Prompt")).to_be_focused()
        await expect(page.locator("#failure")).to_contain_text("prompt_too_long: ")
        await page.reload()  # nothing has been asked here
        await expect(page.locator("#failure")).to_contain_text("prompt_too_long: ")
        await expect(page.get_by_role("alert")).to_be_hidden()


async def test_every_field_of_the_form_is_found_by_its_name(tab: Tabs, url: str) -> None:
    script = """async (paths) => {
      const { refusal } = await import("/page/refused.js");
      document.getElementById("system").value = "x";
      return paths.map((path) => {
        const { field, message } = refusal({ message: `${path} is wrong`, param: path }, document.forms[0]);
        return [field?.name, message];
      });
    }"""
    wanted = {
        "messages[0].content": ["system", "System message is wrong"],
        "messages[1].content": ["prompt", "Prompt is wrong"],
        "tool_use.mode": ["mode", "Mode is wrong"],
        "tool_use.tools[1]": ["tool", "Tools is wrong"],
        "tool_use.choice": ["choice", "Choice is wrong"],
        "tool_use.format": ["format", "Format is wrong"],
        "sampling.seed": ["seed", "Seed is wrong"],
        "sampling.temperature": ["temperature", "Temperature is wrong"],
        "sampling.top_p": [None, "sampling.top_p is wrong"],
        "limits.max_tokens": ["max_tokens", "Max tokens is wrong"],
        "replay[0]": ["replay", "Replay is wrong"],
        "messages": ["prompt", "Messages is wrong"],
        "of.another": [None, "of.another is wrong"],
        "": [None, " is wrong"],
    }
    async with tab() as page:
        await page.goto(url)
        await expect(page.locator("#tools [value=calculator]")).to_be_checked()
        assert await page.evaluate(script, list(wanted)) == list(wanted.values())


async def test_a_run_beside_another_is_said_to_be_so(tab: Tabs, url: str, gate: asyncio.Semaphore) -> None:
    async with tab() as page:
        await run(page, url, "held", "running")
        await expect(page.locator(".turn pre")).not_to_have_count(0)
        await page.get_by_label("Prompt").fill("as usual")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#left")).to_have_text(
            "The run before was not stopped: it is under Recent completions."
        )
        await expect(page.locator("#what")).to_have_text("as usual")
        await expect(page.locator("#state")).to_have_text("finished")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#left")).to_be_empty()


@pytest.mark.parametrize(("stop", "next_"), [("#form .stop", "#run"), ("#main .stop", "#again")])
async def test_keys_are_somewhere_after_a_stop(
    tab: Tabs, url: str, gate: asyncio.Semaphore, stop: str, next_: str
) -> None:
    async with tab() as page:
        await run(page, url, "held", "running")
        await expect(page.locator("#status")).to_have_text("Running.")
        await page.locator(stop).focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#status")).to_have_text("Stopped.")
        await expect(page.locator(next_)).to_be_focused()
        await page.locator("#run").click()
        await expect(page.locator("#status")).to_have_text("Running.")
        gate.release()
        await expect(page.locator("#status")).to_contain_text("Finished. Tools worked")


async def test_stop_is_there_between_two_that_are_compared(tab: Tabs, url: str) -> None:
    asked: list[Route] = []

    async def hold_the_second(route: Route) -> None:
        asked.append(route)
        if len(asked) == 1:
            await route.continue_()

    async with tab() as page, httpx.AsyncClient(base_url=url) as http:
        await page.route("**/v1/completions", hold_the_second)
        await ask(page, url, "as usual", "Compare")
        stop = page.locator("#form .stop")
        await expect(stop).to_be_enabled()
        await stop.focus()
        await expect(page.locator("#status")).to_contain_text("Finished. Tools worked")
        await until(lambda: len(asked) == 2)
        await expect(stop).to_be_focused()
        await page.keyboard.press("Enter")
        await asked[1].continue_()
        await expect(page.locator("#run")).to_be_focused()
        await expect(stop).to_be_disabled()
        answer = await asked[1].request.response()
        assert answer is not None
        await ended(http, (await answer.json())["id"])


async def test_nothing_is_left_to_stop_where_the_first_ends_before_it_is_stopped(
    tab: Tabs, url: str, gate: asyncio.Semaphore
) -> None:
    async with tab() as page:
        await page.route("**/cancel", lambda route: None)  # it comes too late
        await ask(page, url, "held", "Compare")
        await page.locator("#form .stop").click()
        gate.release()
        await expect(page.locator("#status")).to_contain_text("Finished. Tools worked")
        await expect(page.locator("#form .stop")).to_be_disabled()


async def ended(http: httpx.AsyncClient, request_id: str) -> None:
    """Waits until a completion has been cancelled."""
    async with http.stream("GET", f"/v1/completions/{request_id}/events") as events:
        lines = [line async for line in events.aiter_lines()]
    assert "event: failed" in lines and any("cancelled" in line for line in lines)


async def test_keys_stay_at_stop_while_two_are_compared(tab: Tabs, url: str, gate: asyncio.Semaphore) -> None:
    async with tab() as page:
        await ask(page, url, "held", "Compare")
        stop = page.locator("#form .stop")
        await expect(stop).to_be_enabled()
        await stop.focus()
        gate.release()
        await expect(page.locator("#which button")).to_have_count(2)
        await expect(page.locator("#state")).to_have_text("running")
        await expect(stop).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#status")).to_have_text("Stopped.")


async def test_a_key_is_asked_for_and_kept_for_the_tab(tab: Tabs, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    key = new_key(keys, "ada")
    async with scripted_gateway(ScriptedDecoder(scripts), str(keys)) as gateway, tab() as page:
        url = f"http://127.0.0.1:{gateway.http_port}"
        await page.goto(url)
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Key").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(dialog).to_contain_text("The gateway does not know this key.")
        await dialog.get_by_label("Key").fill(key)
        await dialog.get_by_role("button", name="Use it").click()
        await expect(dialog).to_be_hidden()
        await run(page, url, "as usual")
        await page.reload()
        await expect(page.locator("#state")).to_have_text("finished")
        assert await page.evaluate("() => localStorage.length") == 0
