import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_service.tools.http_get.failure import CannotFetch
from tool_service.tools.http_get.origin import Origin, OriginSplitter, read_origin


def cut(text: str) -> list[tuple[int, str]]:
    """Each unit, with the number of characters after which it came; -1 for the end."""
    splitter = OriginSplitter()
    units = [(at, unit) for at, character in enumerate(text, 1) for unit in splitter.feed(character)]
    return [*units, *((-1, unit) for unit in splitter.close())]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://good.com/a/b?c#d", "http://good.com/"),
        ("HTTPS://Good.com?x", "HTTPS://Good.com?"),
        ("https://good.com#x", "https://good.com#"),
        ("http://good.com:8080/a", "http://good.com:8080/"),
        ("http://[::1]:80/a", "http://[::1]:80/"),
        ("http://good.com@evil.example/", "http://good.com@"),
        ("http://good.com\\@evil.example/", "http://good.com\\"),
        ("http://good.com evil", "http://good.com "),
        ("ftp://good.com/", "f"),
        ("httpx://good.com/", "httpx"),
        ("file:///etc/passwd", "f"),
        (" http://good.com/", " "),
    ],
)
def test_the_origin_comes_at_the_character_after_which_it_cannot_change(url, origin):
    assert cut(url)[0] == (len(origin), origin)


@pytest.mark.parametrize("url", ["http://good.com", "http://good.com:80", "https://", "http", "h", "http://good.com."])
def test_a_host_that_may_still_grow_comes_only_at_the_end(url):
    assert cut(url) == [(-1, url)]


def test_what_is_too_long_comes_out_at_once():
    assert cut("http://" + "a" * 1000)[0][0] < 400
    assert cut("http://a/" + "a" * 100_000)[1][0] < 10_000


@given(st.text("htps:/?#@ab.\\[]1 ", max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_any_text_in_any_pieces_is_cut_alike_and_whole(text, cuts):
    edges = sorted({0, len(text), *(at for at in cuts if at < len(text))})
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    splitter = OriginSplitter()
    units = [unit for piece in pieces for unit in splitter.feed(piece)] + splitter.close()
    assert "".join(units) == text
    if len(units) > 1 and units[0].startswith(("http://", "https://")):
        whole = [unit for _, unit in cut(text)]
        assert units[0].startswith(whole[0])


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://good.com/x", Origin("http", "good.com", 80)),
        ("HTTPS://GOOD.com", Origin("https", "good.com", 443)),
        ("https://good.com:8443?x", Origin("https", "good.com", 8443)),
        ("http://bücher.example/", Origin("http", "xn--bcher-kva.example", 80)),
        ("http://[::1]:8080/", Origin("http", "::1", 8080)),
        ("http://2130706433/", Origin("http", "2130706433", 80)),
        ("http://under_score.example/", Origin("http", "under_score.example", 80)),
    ],
)
def test_an_origin_is_read(url, origin):
    assert read_origin(url) == origin


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://good.com/", "does not begin with http"),
        ("good.com", "does not begin with http"),
        ("javascript:alert(1)", "does not begin with http"),
        ("http://user:secret@good.com/", "password in a URL"),
        ("http://good.com@evil.example/", "password in a URL"),
        ("http://good.com\\@evil.example/", "password in a URL"),
        ("http:///x", "names no host"),
        ("http://good.com\\evil/", "names no host"),
        ("http://good.com\n", "names no host"),
        ("http://good%2ecom/", "names no host"),
        ("http://a b/", "names no host"),
        ("http://a\0b/", "names no host"),
        ("http://good.com:port/", "names no host"),
        ("http://[::1/", "names no host"),
        ("http://[fe80::1%25eth0]/", "names no host"),
        ("http://good.com:0/", "0 is no port"),
        ("http://good.com:65536/", "65536 is no port"),
        ("http://[:::]/", "is no name of a host"),
        ("http://" + "a" * 300 + "/", "names no host"),
    ],
)
def test_what_names_no_host_is_refused(url, reason):
    with pytest.raises(CannotFetch, match=reason):
        read_origin(url)
