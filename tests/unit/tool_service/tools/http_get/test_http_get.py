"""`http_get` as a model calls it: real servers on loopback, nothing beyond."""

import asyncio
import gzip
import json
import signal
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.unit.tool_service.completions import Log
from tests.unit.tool_service.tools.http_get.web_server import (
    Answer,
    certificate,
    client_tls,
    page,
    redirect,
    server_tls,
    serving,
)
from tool_service.execution import events as ev
from tool_service.execution.host import Start, ToolHost, by_name
from tool_service.execution.runner import Limits, Mode, Runner
from tool_service.tools.http_get import html_child, reading
from tool_service.tools.http_get.addresses import is_public
from tool_service.tools.http_get.dialing import Dialer, system_addresses
from tool_service.tools.http_get.fetching import Web
from tool_service.tools.http_get.settings import HttpGetSettings
from tool_service.tools.http_get.tool import http_get_tools

HERE = "127.0.0.1"
HTML = b"<html><head><title>T</title></head><body><p>Hello <a href='/b'>world</a><script>no()</script></body></html>"
OPEN = '<tool_call>{"name": "http_get", "arguments": {"url": "'
CLOSE = '"}}</tool_call>'


class Names:
    """A resolver with answers in turn for each name; the last one stays. Remembers who was asked for."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): found for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self._answers:
            return await system_addresses(host, port) if host[0].isdigit() or host.startswith("::") else fail(host)
        found = self._answers[host]
        return found.pop(0) if len(found) > 1 else found[0]


def fail(host: str) -> list[str]:
    raise OSError(host)


def web(
    names: Names | None = None, tls: Path | None = None, permits=lambda address: address == HERE, **settings
) -> Web:
    more = {"tls": client_tls(tls)} if tls else {}
    return Web(HttpGetSettings(**settings), Dialer(permits, addresses=names or Names(), **more))


@asynccontextmanager
async def calling(world: Web, mode: Mode = Mode.PARTIAL) -> AsyncIterator[tuple[Runner, Log]]:
    log = Log()
    host = ToolHost(by_name(http_get_tools(world.settings, world)))
    runner = host.open(Start("hermes", ("http_get",), mode, Limits(max_result_chars=100_000)), log).runner
    try:
        yield runner, log
    finally:
        await runner.aclose()


async def fetch(world: Web, url: str, **arguments: object) -> str | ev.Failure:
    """The outcome of a whole call."""
    async with calling(world) as (runner, log):
        call = {"name": "http_get", "arguments": {"url": url, **arguments}}
        runner.text(f"<tool_call>{json.dumps(call)}</tool_call>")
        async with asyncio.timeout(20):
            await runner.end_turn("stop")
        return log.finished().outcome


async def failure(world: Web, url: str) -> str:
    outcome = await fetch(world, url)
    assert isinstance(outcome, ev.Failure)
    return outcome.message


# --- early ----------------------------------------------------------------------------------------------------------


async def test_it_connects_when_the_host_is_complete_and_asks_when_the_url_is() -> None:
    async with serving({"/a/b?c": page(b"hello")}) as server, calling(web()) as (runner, log):
        for character in f"{OPEN}{server.origin}/":
            runner.text(character)
        await server.until("connected")
        for character in "a/b?c":
            runner.text(character)
        assert server.events == ["connected"]
        runner.text('"')  # the URL is sealed, the call is not
        await server.until("GET /a/b?c")
        runner.text("}}</tool_call>")
        await runner.end_turn("stop")
        assert log.finished().outcome == "hello"
        assert server.events[:2] == ["connected", "GET /a/b?c"]
        assert server.events.count("connected") == 1


async def test_tls_is_agreed_on_while_the_path_is_still_being_written(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    async with (
        serving({"/x": page(b"secret")}, tls=server_tls(made, "http/1.1")) as server,
        calling(web(tls=made)) as (runner, log),
    ):
        runner.text(f"{OPEN}https://{HERE}:{server.port}/")
        await server.until("connected")  # asyncio's server says so after the handshake
        runner.text("x" + CLOSE)
        await runner.end_turn("stop")
        assert log.finished().outcome == "secret"
        assert server.events.count("connected") == 1


async def test_http2_is_spoken_where_the_server_does(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    async with serving(tls=server_tls(made, "h2", "http/1.1")) as server:
        assert await fetch(web(tls=made), f"https://{HERE}:{server.port}/x") == "over two"
        assert "GET /x over HTTP/2" in server.events


@pytest.mark.parametrize("ending", [".evil.example/", "@evil.example/", ":80@evil.example/", "evil.example/"])
async def test_a_host_that_only_looks_complete_is_neither_looked_up_nor_connected_to(ending: str) -> None:
    names = Names(good_example=[[HERE]])
    async with calling(web(names)) as (runner, log):
        for character in f"{OPEN}http://good.example{ending}x{CLOSE}":
            runner.text(character)
            await asyncio.sleep(0)
        await runner.end_turn("stop")
        assert log.failure().code == "REJECTED"
    assert "good.example" not in names.asked


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ("ftp:", "does not begin with http"),
        ("http://localhost/", "is not a public address"),
        ("http://127.0.0.1/", "http_get.allow_private would allow it"),
        ("http://127.1/", "is not a public address"),
        ("http://0x7f000001/", "is not a public address"),
        ("http://[::ffff:127.0.0.1]/", "is not a public address"),
        ("http://169.254.169.254/", "is not a public address"),
        ("http://user:password@", "A user name or password"),
        ("http://nowhere.example/", "There is no host nowhere.example"),
    ],
)
async def test_what_can_be_no_page_stops_the_turn_before_the_rest_is_written(start: str, reason: str) -> None:
    names = Names(localhost=[["::1", HERE]])
    async with calling(web(names, permits=is_public)) as (runner, log):
        runner.text(OPEN + start)
        await log.until(lambda event: isinstance(event, ev.TurnVetoed))
        await runner.end_turn("veto")
        assert reason in log.failure().message
        assert log.failure().code == "REJECTED"


async def test_a_cancelled_call_closes_its_connection() -> None:
    async with serving() as server, calling(web()) as (runner, _):
        runner.text(f"{OPEN}{server.origin}/")
        await server.until("connected")
        await runner.aclose()
        await server.until("closed")
    assert server.events == ["connected", "closed"]


async def test_wherever_a_call_is_cut_off_nothing_of_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[subprocess.Popen[bytes]] = []

    class Known(subprocess.Popen[bytes]):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            processes.append(self)

    monkeypatch.setattr(reading.subprocess, "Popen", Known)
    async with serving({"/page": page(HTML, "text/html")}) as server:
        text = f"{OPEN}{server.origin}/page{CLOSE}"
        for end in range(len(OPEN), len(text) + 1, 4):
            async with calling(web()) as (runner, _):
                runner.text(text[:end])
                for _ in range(end % 7):
                    await asyncio.sleep(0.002)
        await server.until("closed", server.events.count("connected"))
    assert processes
    assert [process.poll() is None for process in processes] == [False] * len(processes)


async def test_a_call_cancelled_while_a_page_comes_closes_its_connection() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(page(b"", "text/plain").replace(b"Content-Length: 0", b"Content-Length: 9"))

    async with serving({"/": endless}) as server, calling(web()) as (runner, log):
        runner.text(f"{OPEN}{server.origin}/{CLOSE}")
        await server.until("GET /")
        await runner.aclose()
        await server.until("closed")
    assert not log.of(ev.CallFinished)


async def test_a_connection_that_the_server_gave_up_meanwhile_is_made_anew() -> None:
    async with serving({"/x": page(b"hello")}) as server, calling(web()) as (runner, log):
        runner.text(f"{OPEN}{server.origin}/")
        await server.until("connected")
        await server.aclose()
        await server.until("closed")
        runner.text("x" + CLOSE)
        await runner.end_turn("stop")
        assert log.finished().outcome == "hello"
        assert server.events.count("connected") == 2


# --- where to -------------------------------------------------------------------------------------------------------


async def test_without_the_setting_nothing_private_is_connected_to() -> None:
    async with serving({"/": page(b"inside")}) as server:
        assert "is not a public address" in await failure(Web(HttpGetSettings()), f"{server.origin}/")
        assert await fetch(Web(HttpGetSettings(allow_private=True)), f"{server.origin}/") == "inside"
    assert server.events.count("connected") == 1


async def test_the_address_that_was_judged_is_the_one_connected_to() -> None:
    """Rebinding: the name leads elsewhere when it is asked for again."""
    names = Names(rebinding_example=[[HERE], ["127.0.0.2"]])
    async with serving({"/": page(b"judged")}) as judged, serving(host="127.0.0.2", port=judged.port) as other:
        assert await fetch(web(names), f"http://rebinding.example:{judged.port}/") == "judged"
        assert other.events == []
    assert names.asked == ["rebinding.example"]


async def test_a_name_that_leads_elsewhere_at_a_redirect_is_judged_again() -> None:
    names = Names(rebinding_example=[[HERE], ["127.0.0.2"]])
    async with serving() as judged, serving(host="127.0.0.2", port=judged.port) as other:
        judged.answers["/"] = redirect(f"http://rebinding.example:{judged.port}/secret")
        said = await failure(web(names), f"http://rebinding.example:{judged.port}/")
        assert "is not a public address" in said
        assert other.events == []


async def test_of_several_addresses_only_those_that_are_allowed_are_tried() -> None:
    names = Names(mixed_example=[["127.0.0.2", HERE]])
    async with serving({"/": page(b"public")}) as server, serving(host="127.0.0.2", port=server.port) as other:
        assert await fetch(web(names), f"http://mixed.example:{server.port}/") == "public"
        assert other.events == []


async def test_an_address_that_takes_no_connection_is_passed_over() -> None:
    names = Names(mixed_example=[["127.0.0.3", HERE]])
    async with serving({"/": page(b"alive")}) as server:
        world = web(names, permits=lambda address: True)
        assert await fetch(world, f"http://mixed.example:{server.port}/") == "alive"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://127.0.0.2:{port}/", "127.0.0.2 is not a public address"),
        ("//127.0.0.2:{port}/", "127.0.0.2 is not a public address"),
        ("http://[::1]:{port}/", "::1 is not a public address"),
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254 is not a public address"),
        ("file:///etc/passwd", "does not begin with http"),
        ("http://user:password@127.0.0.1:{port}/", "A user name or password"),
        ("http://[", "names no host"),
        ("/", "led on to another address more than 5 times"),
    ],
)
async def test_each_redirect_is_judged_like_the_first_url(target: str, reason: str) -> None:
    async with serving() as server, serving(host="127.0.0.2", port=server.port) as private:
        server.answers["/"] = redirect(target.format(port=server.port))
        assert reason in await failure(web(), f"{server.origin}/")
        assert private.events == []


async def test_redirects_are_followed() -> None:
    async with (
        serving({"/new?x": page(b"moved")}) as other,
        serving({"/a/c": redirect(f"{other.origin}/new?x")}) as server,
    ):
        server.answers["/a/b"] = redirect("c")
        assert await fetch(web(), f"{server.origin}/a/b") == "moved"


async def test_a_certificate_is_checked(tmp_path: Path) -> None:
    wrong, trusted = certificate(tmp_path, "other.example"), certificate(tmp_path)
    async with serving(tls=server_tls(wrong, "http/1.1")) as server:
        assert "its certificate is not valid" in await failure(web(tls=trusted), f"https://{HERE}:{server.port}/")
        assert "its certificate is not valid" in await failure(web(tls=wrong), f"https://{HERE}:{server.port}/")


async def test_a_server_that_speaks_something_else_is_an_error(tmp_path: Path) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, HERE, 0)
    async with server:
        url = f"{HERE}:{server.sockets[0].getsockname()[1]}/"
        assert "does not speak TLS" in await failure(web(tls=certificate(tmp_path)), f"https://{url}")
        assert "did not answer as HTTP wants it" in await failure(web(), f"http://{url}")


async def test_a_time_out_that_was_said_before_the_request_is_no_answer_to_it(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    answers = [page(b"", status="408 Request Timeout"), page(b"hello")]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))

    async with serving({"/": answer}, tls=server_tls(made, "http/1.1")) as server:
        assert await fetch(web(tls=made), f"https://{HERE}:{server.port}/") == "hello"


async def test_what_is_sent_is_what_was_meant() -> None:
    async with serving({"/a%20b?q=%C3%A9": page(b"ok")}) as server:
        names = Names(host_example=[[HERE]])
        world = web(names, user_agent="Tester/1")
        assert await fetch(world, f"http://host.example:{server.port}/a b?q=é#part") == "ok"
    head = server.heads[0].splitlines()
    assert head[0] == "GET /a%20b?q=%C3%A9 HTTP/1.1"
    assert f"Host: host.example:{server.port}" in head
    assert "User-Agent: Tester/1" in head
    assert not any(line.lower().startswith(("cookie", "authorization", "referer")) for line in head)


# --- how much -------------------------------------------------------------------------------------------------------


async def test_a_server_that_dribbles_is_given_up() -> None:
    async def dribble(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-A: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving({"/": dribble}) as server:
        assert "was not there within 0.3 s" in await failure(web(timeout_seconds=0.3), f"{server.origin}/")
        await server.until("closed")


async def test_a_server_that_never_speaks_tls_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tool_service.tools.http_get.dialing.CONNECT_SECONDS", 0.2)
    async with serving() as server:
        server.answers.clear()
        said = await failure(web(tls=certificate(tmp_path)), f"https://{HERE}:{server.port}/")
        assert "does not speak TLS" in said or "could not be reached within 0.2 s" in said
        await server.until("closed")


async def test_a_name_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tool_service.tools.http_get.dialing.CONNECT_SECONDS", 0.1)

    async def silent(host: str, port: int) -> list[str]:
        return await asyncio.get_running_loop().create_future()

    world = Web(HttpGetSettings(), Dialer(is_public, addresses=silent))
    assert "could not be reached within 0.1 s" in await failure(world, "http://a.example/")


async def endless_text(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def test_an_endless_body_is_cut_with_a_notice() -> None:
    async with serving({"/": endless_text}) as server:
        text = await fetch(web(max_bytes=1000), f"{server.origin}/")
        assert text == "x" * 1000 + "\n[only the first 1000 bytes of the page were read]"
        await server.until("closed")


BOMB = gzip.compress(b"x" * (64 << 20), 9)


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
async def test_a_packed_bomb_is_cut_with_a_notice(kind: str) -> None:
    async with serving({"/": page(BOMB, "text/plain", f"Content-Encoding: {kind}")}) as server:
        text = await fetch(web(max_bytes=1000), f"{server.origin}/")
        assert text == "x" * 1000 + "\n[only the first 1000 bytes of the page were read]"


async def test_what_unpacks_to_nothing_is_no_more_than_the_limit_either() -> None:
    empty = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = empty.compress(b"") + empty.flush(zlib.Z_SYNC_FLUSH)

    async def nothing(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\r\n" + start)
        while True:
            writer.write(b"\0\0\0\xff\xff" * 10_000)  # empty stored blocks
            await writer.drain()

    async with serving({"/": nothing}) as server:
        assert (
            await fetch(web(max_bytes=100_000), f"{server.origin}/")
            == "\n[only the first 0 bytes of the page were read]"
        )


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (gzip.compress(b"hello"), "gzip"),
        (gzip.compress(b"hello"), "X-GZIP"),
        (zlib.compress(b"hello"), "deflate"),
        (zlib.compress(b"hello")[2:-4], "deflate"),
        (b"hello", "identity"),
    ],
    ids=["gzip", "x-gzip", "zlib", "raw deflate", "plain"],
)
async def test_packed_pages_are_unpacked(packed: bytes, encoding: str) -> None:
    async with serving({"/": page(packed, "text/plain", f"Content-Encoding: {encoding}")}) as server:
        assert await fetch(web(), f"{server.origin}/") == "hello"


@pytest.mark.parametrize(
    ("packed", "encoding"), [(b"hello", "gzip"), (b"hello", "br"), (b"hello", "gzip, gzip")], ids=str
)
async def test_a_page_packed_in_another_way_is_an_error(packed: bytes, encoding: str) -> None:
    async with serving({"/": page(packed, "text/plain", f"Content-Encoding: {encoding}")}) as server:
        assert "The page is packed" in await failure(web(), f"{server.origin}/")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 60_000 + b"\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ],
    ids=["long line", "many lines", "no HTTP", "two lengths"],
)
async def test_headers_that_are_too_long_or_wrong_are_an_error(head: bytes) -> None:
    async with serving({"/": head}) as server:
        assert "did not answer as HTTP wants it" in await failure(web(), f"{server.origin}/")


async def test_a_connection_that_breaks_off_is_an_error() -> None:
    async def part(writer: asyncio.StreamWriter) -> None:
        writer.write(page(b"12345").replace(b"Content-Length: 5", b"Content-Length: 9"))
        await writer.drain()
        raise ConnectionError

    async with serving({"/": part}) as server:
        assert "did not answer as HTTP wants it" in await failure(web(), f"{server.origin}/")


# --- what is read ---------------------------------------------------------------------------------------------------


async def test_html_is_read_as_text_and_given_raw_on_request() -> None:
    async with serving({"/a": page(HTML, "text/html; charset=utf-8")}) as server:
        text = f"T\n\nHello world\n\nLinks:\n- world: {server.origin}/b"
        assert await fetch(web(), f"{server.origin}/a") == text
        assert await fetch(web(), f"{server.origin}/a", raw=True) == HTML.decode()


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b'{"a":  1}', "application/json", '{"a":  1}'),
        (b"<a>&amp;</a>", "application/rss+xml", "<a>&amp;</a>"),
        (b"a,b", "text/csv", "a,b"),
        (b"", "text/plain", ""),
        (b"%PDF", "application/pdf", "application/pdf, 4 bytes: this is no text."),
        (b"\x89PNG\0", "", "application/octet-stream, an unknown number of bytes: this is no text."),
    ],
)
async def test_other_text_is_given_as_it_is_and_the_rest_is_named(body: bytes, content_type: str, text: str) -> None:
    async with serving({"/": page(body, content_type)}) as server:
        assert await fetch(web(), f"{server.origin}/") == text


@pytest.mark.parametrize("mode", Mode)
async def test_every_mode_gives_the_same(mode: Mode) -> None:
    async with serving({"/a": page(b"hello")}) as server, calling(web(), mode) as (runner, log):
        for character in f"{OPEN}{server.origin}/a{CLOSE}":
            runner.text(character)
        await runner.end_turn("stop")
        assert log.finished().outcome == "hello"


@pytest.mark.parametrize(
    ("status", "said"),
    [("404 Not Found", "404 Not Found"), ("500 Oops", "500 Internal Server Error"), ("599 X", "599")],
)
async def test_an_answer_that_is_no_page_is_an_error(status: str, said: str) -> None:
    async with serving({"/": page(b"no", status=status)}) as server:
        assert await failure(web(), f"{server.origin}/") == f"CannotFetch: {server.origin}/ was answered with {said}."


async def test_html_that_would_take_minutes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tool_service.tools.http_get.reading.READ_SECONDS", 0.3)
    bomb: Answer = page(b"<p " + b" ".join(b"a%d" % at for at in range(250_000)) + b">", "text/html")
    async with serving({"/": bomb}) as server:
        assert "too intricate" in await failure(web(), f"{server.origin}/")


async def test_the_process_that_reads_html_limits_itself() -> None:
    bomb = b"http://a/\n<p " + b" ".join(b"a%d" % at for at in range(250_000)) + b">"
    shorter = (
        "import runpy, sys; main = runpy.run_path(sys.argv[1])['main']; main.__globals__['CPU_SECONDS'] = 1; main()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", shorter, reading.CHILD, stdin=asyncio.subprocess.PIPE
    )
    await process.communicate(bomb)
    assert process.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
    assert html_child.CPU_SECONDS < reading.READ_SECONDS
