"""Searching elsewhere: against engines on loopback, with all that they may do wrong."""

import asyncio
import json
import socket

import pytest

from examples.plain.search import search_tool
from tests.unit.tool_service.completions import BOUND, outcome, written
from tests.unit.tool_service.tools.search.peers import Answer, Peer, http1, http2, results, self_made_certificate
from tool_service.execution import events as ev
from tool_service.tools.search import remote
from tool_service.tools.search.engine import WIDEST, Hit, SearchError
from tool_service.tools.search.remote import remote_engine
from tool_service.tools.search.settings import SearchSettings
from tool_service.tools.search.tool import search_tools

PAGES = [
    {"title": "Walrus", "url": "https://en.wiki.example/walrus", "content": "A walrus has tusks.", "score": 3.5},
    {"title": "Tusks", "url": "https://shop.example/tusks", "content": "No tusks for sale."},
    {"title": "On ice", "url": "http://www.wiki.example:8080/ice", "content": ""},
]
DEEP = {"title": "Deep", "url": "https://docs.example/deep", "content": "found with site: only"}


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    try:
        return self_made_certificate(tmp_path_factory.mktemp("certificate"))
    except OSError as error:
        pytest.skip(f"no openssl to make a certificate with: {error}")


def answer(query: str) -> Answer:
    return results(DEEP) if query.endswith("site:docs.example") else results(*PAGES)


async def search(peer: Peer, query: str = "walrus", limit: int = WIDEST, site: str = "") -> list[Hit]:
    async with remote_engine(peer.address, BOUND) as engine:
        return await engine.search(query, limit, site)


async def failure(said: Answer | None, seconds: float = BOUND) -> str:
    async with http1(lambda _: said) as peer, remote_engine(peer.address, seconds) as engine:
        await engine.open()
        with pytest.raises(SearchError) as caught:
            await engine.search("walrus", 5)
        return str(caught.value)


async def test_results_are_hits_in_their_order():
    async with http1(answer) as peer:
        hits = await search(peer, limit=2)
    assert hits == [
        Hit("https://en.wiki.example/walrus", "Walrus", "A walrus has tusks."),
        Hit("https://shop.example/tusks", "Tusks", "No tusks for sale."),
    ]
    assert peer.requests == [("GET", "walrus")]


async def test_parameters_that_the_address_has_are_kept():
    async with http1(answer) as peer, remote_engine(f"{peer.address}?language=en", BOUND) as engine:
        await engine.search("a & b", 5)
    assert peer.paths == ["/search?language=en&q=a+%26+b&format=json"]


async def test_the_connection_is_there_before_the_query_and_stays():
    async with http1(answer) as peer, remote_engine(peer.address, BOUND) as engine:
        await engine.open()
        assert peer.requests == [("OPTIONS", "")]
        for _ in range(3):
            await engine.open()
            await engine.search("walrus", 5)
        assert peer.requests == [("OPTIONS", ""), *[("GET", "walrus")] * 3]
        assert peer.connections == 1


async def test_http2_is_spoken_where_the_server_has_it_on_one_connection(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with http2(answer, certificate) as peer, remote_engine(peer.address, BOUND) as engine:
        await engine.open()  # the handshake is done with
        assert (peer.connections, peer.requests) == (1, [("OPTIONS", "")])
        found = await asyncio.gather(*(engine.search("walrus", 5) for _ in range(20)))
        assert all(len(hits) == 3 for hits in found)
        assert peer.connections == 1


@pytest.mark.parametrize("version", [1, 2])
async def test_a_search_that_is_given_up_ends_at_once_and_harms_no_other(certificate, monkeypatch, version):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    def only_walrus(query: str) -> Answer | None:
        return answer(query) if query == "walrus" else None

    serving = http1(only_walrus) if version == 1 else http2(only_walrus, certificate)
    async with serving as peer, remote_engine(peer.address, BOUND) as engine:
        for _ in range(3):
            peer.asked.clear()
            searching = asyncio.create_task(engine.search("wal", 5))
            async with asyncio.timeout(BOUND / 2):
                await peer.asked.wait()
                searching.cancel()
                await asyncio.wait((searching,))
                assert searching.cancelled()
                assert len(await engine.search("walrus", 5)) == 3
        assert peer.connections == (1 if version == 2 else 4)  # only HTTP/1.1 has to end the connection for it


async def test_a_certificate_that_is_not_trusted_is_an_error(certificate):
    async with http2(answer, certificate) as peer, remote_engine(peer.address, BOUND) as engine:
        with pytest.raises(SearchError, match=r"127\.0\.0\.1 cannot be reached: .*CERTIFICATE_VERIFY_FAILED"):
            await engine.open()


async def test_a_connection_that_the_server_closed_meanwhile_is_made_anew():
    async with http1(answer) as peer, remote_engine(peer.address, BOUND) as engine:
        peer.closing = True
        for _ in range(4):
            assert len(await engine.search("walrus", 5)) == 3
        assert peer.connections == 4


async def test_an_idle_connection_is_tried_before_it_is_relied_on(monkeypatch):
    monkeypatch.setattr(remote, "WARM_SECONDS", -1.0)
    async with http1(answer) as peer, remote_engine(peer.address, BOUND) as engine:
        await engine.open()
        await engine.open()
        assert peer.requests == [("OPTIONS", "")] * 2


@pytest.mark.parametrize(
    ("site", "titles", "queries"),
    [
        ("", ["Walrus", "Tusks", "On ice"], ["walrus"]),
        ("wiki.example", ["Walrus", "On ice"], ["walrus"]),
        ("www.wiki.example", ["Walrus", "On ice"], ["walrus"]),
        ("https://En.Wiki.Example/some/page", ["Walrus"], ["walrus"]),
        ("site:shop.example", ["Tusks"], ["walrus"]),
        ("ki.example", [], ["walrus", "walrus site:ki.example"]),
        ("docs.example", ["Deep"], ["walrus", "walrus site:docs.example"]),
    ],
)
@pytest.mark.parametrize("order", ["query first", "site first"])
async def test_a_site_is_a_host_and_both_tools_ask_the_same(site, titles, queries, order):
    arguments = {"query": "walrus", "site": site}
    if order == "site first":
        arguments = {"site": site, "query": "walrus"}
    async with http1(answer) as peer:
        async with search_tools(SearchSettings(url=peer.address)) as [tool]:
            partial = await outcome(tool, list(written("search", **arguments)))
        assert [query for method, query in peer.requests if method == "GET"] == queries
        peer.requests.clear()
        async with remote_engine(peer.address, BOUND) as engine:
            plain = await outcome(search_tool(engine, 5), [written("search", **arguments)])
        assert [query for method, query in peer.requests if method == "GET"] == queries
    assert partial == plain
    assert [hit["title"] for hit in json.loads(str(partial))] == titles


@pytest.mark.parametrize("site", ["two words", "[::", "-", "…"])
async def test_what_is_no_host_is_an_error_that_says_what_is(site):
    async with http1(answer) as peer, remote_engine(peer.address, BOUND) as engine:
        with pytest.raises(SearchError, match=r"site must be a host, such as docs\.python\.org"):
            await engine.search("walrus", 5, site)
    assert peer.requests == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Answer(status=503), "127.0.0.1 answered with status 503"),
        (Answer(status=302, headers={"Location": "http://elsewhere.example/"}), "127.0.0.1 answered with status 302"),
        (Answer(status=403), "127.0.0.1 answered with status 403; is its format json switched on?"),
        (Answer(b"<html>"), "127.0.0.1 did not answer in JSON"),
        (Answer(b"[" * 100_000), "127.0.0.1 did not answer in JSON"),
        (Answer(b"\xff"), "127.0.0.1 did not answer in JSON"),
        (Answer(b""), "127.0.0.1 did not answer in JSON"),
        (Answer(b"[]"), "127.0.0.1 answered in JSON, but without a list of results"),
        (Answer(b'{"results": {}}'), "127.0.0.1 answered in JSON, but without a list of results"),
        (Answer(b" " * (3 << 20)), "127.0.0.1 sent more than 2 MiB"),
        (
            Answer(b"x", headers={"Content-Encoding": "gzip"}),
            "127.0.0.1 sent a compressed answer, which was not asked for",
        ),
        (Answer(b"x", headers={"Content-Length": "5"}), None),
    ],
)
async def test_whatever_an_engine_answers_the_error_is_a_short_sentence(said, message):
    if message is None:
        async with http1(lambda _: said) as peer, remote_engine(peer.address, BOUND) as engine:
            peer.closing = True
            with pytest.raises(SearchError, match="broke the connection off"):
                await engine.search("walrus", 5)
    else:
        assert await failure(said) == message


async def test_an_engine_that_never_answers_is_given_up():
    assert await failure(None, seconds=0.2) == "127.0.0.1 did not answer within 0.2 s"


async def test_an_engine_that_is_not_there_fails_the_call_before_the_query_is_known():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/search"
        async with search_tools(SearchSettings(url=address)) as [tool]:
            result = await outcome(
                tool, ['<tool_call>{"name": "search", "arguments": {"query": "wal', 'rus"}}</tool_call>']
            )
    assert isinstance(result, ev.Failure)
    assert result.code == "RAISED"
    assert result.message.startswith("SearchError: 127.0.0.1 cannot be reached: ")


async def test_results_that_cannot_be_shown_are_left_out_and_the_others_are_cleaned():
    found = [
        {"title": "no address"},
        {"title": "script", "url": "javascript:alert(1)"},
        {"title": "controls", "url": "https://a.example/\x1b[31m"},
        {"title": "not text", "url": 3},
        {"title": "no host", "url": "https:///x"},
        {"title": "bad host", "url": "https://[x/"},
        "not an object",
        {"title": "T\x1b[31m\ni\u202etle", "url": "https://a.example/", "content": "x\x07" + "y" * 10_000},
        {"title": None, "url": "https://b.example/", "content": ["not", "text"]},
    ]
    async with http1(lambda _: results(*found)) as peer:  # type: ignore[arg-type]
        one, other = await search(peer)
    assert (one.title, other) == ("T itle", Hit("https://b.example/", "", ""))
    assert len(one.snippet) == remote.MAX_SNIPPET_CHARS
    assert one.snippet.startswith("xyyy")


async def test_no_more_results_are_taken_than_a_search_may_have():
    pages = [{"title": str(number), "url": f"https://a.example/{number}"} for number in range(500)]
    async with http1(lambda _: results(*pages)) as peer:
        assert len(await search(peer)) == WIDEST


@pytest.mark.parametrize("query", ["", "  "])
async def test_an_empty_query_is_not_sent(query):
    async with http1(answer) as peer:
        assert await search(peer, query) == []
    assert peer.requests == []


async def test_characters_that_no_message_can_carry_do_no_harm():
    async with http1(answer) as peer:
        assert len(await search(peer, "wal\ud800rus\0")) == 3
    assert peer.requests == [("GET", "wal?rus\0")]


async def test_speculation_reaches_the_server_before_the_query_is_sealed(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with http2(answer, certificate) as peer, search_tools(SearchSettings(url=peer.address)) as [tool]:
        pieces = [
            '<tool_call>{"name": "search", "arguments": {"speculate": true, "query": "wal',
            "rus",
            '"}}</tool_call>',
        ]
        assert "Walrus" in str(await outcome(tool, pieces, pauses=200))
    assert peer.requests[-1] == ("GET", "walrus")
    assert {query for _, query in peer.requests} <= {"", "wal", "walrus"}
