"""The page's files over HTTP."""

import gzip
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from gateway import page

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=page.routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as made:
        yield made


@pytest.mark.parametrize(
    ("path", "media_type"), [("/", "text/html"), ("/page/page.css", "text/css"), ("/page/main.js", "text/javascript")]
)
async def test_each_file_comes_with_its_type_and_the_policy(
    client: httpx.AsyncClient, path: str, media_type: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip;q=0.5", "*"])
async def test_it_comes_compressed_to_who_can_read_that(client: httpx.AsyncClient, accepted: str) -> None:
    async with client.stream("GET", "/page/page.css", headers={"accept-encoding": accepted}) as answer:
        packed = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip" and answer.headers["vary"] == "accept-encoding"
    assert int(answer.headers["content-length"]) == len(packed)
    plain = await client.get("/page/page.css", headers={"accept-encoding": "identity"})
    assert gzip.decompress(packed) == plain.content


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip;q=no"])
async def test_it_comes_as_it_is_to_who_cannot(client: httpx.AsyncClient, accepted: str) -> None:
    answer = await client.get("/", headers={"accept-encoding": accepted})
    assert "content-encoding" not in answer.headers
    assert answer.content.startswith(b"<!doctype html>")


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
async def test_what_a_client_has_is_not_sent_again(client: httpx.AsyncClient, accepted: str) -> None:
    encoding = {"accept-encoding": accepted}
    tag = (await client.get("/page/main.js", headers=encoding)).headers["etag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await client.get("/page/main.js", headers={**encoding, "if-none-match": condition})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await client.get("/page/main.js", headers={**encoding, "if-none-match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize("path", ["/page/none.js", "/page/..%2f__init__.py", "/page/files.py", "/page/static/main.js"])
async def test_nothing_else_is_there(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404
