"""A search engine on loopback that takes as long as one on the web, and answers as SearXNG does."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.http import HttpServer

_PAGES = (
    ("https://towers.example/eiffel", "Eiffel Tower", "The Eiffel Tower in Paris has a height of 330 metres."),
    ("https://towers.example/big-ben", "Big Ben", "The tower of Big Ben in London has a height of 96 metres."),
    ("https://pyramids.example/giza", "Great Pyramid", "The height of the Great Pyramid is 138.5 metres today."),
    ("https://coins.example/two", "Two euros", "The coin of two euro has a thickness of 2.20 mm."),
    (
        "https://docs.python.org/3/library/asyncio-task.html",
        "Coroutines and Tasks",
        "When one of the tasks of an asyncio TaskGroup fails with an exception, the other tasks are cancelled.",
    ),
    ("https://forum.example/asyncio", "asyncio", "When one task of my TaskGroup fails, what of the other tasks?"),
)
_WORD = re.compile(r"\w+")


@contextlib.asynccontextmanager
async def search_engine(seconds: float) -> AsyncIterator[str]:
    """Gives its address. Every search takes so many `seconds`."""

    async def search(request: Request) -> JSONResponse:
        await asyncio.sleep(seconds)
        return JSONResponse({"results": found(request.query_params.get("q", ""))})

    server = HttpServer("127.0.0.1:0", Starlette(routes=[Route("/search", search)]))
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}/search"
    finally:
        await server.stop()


def found(query: str) -> list[dict[str, str]]:
    """Pages with words of the query, those with most of them first."""
    words = _words(query)
    ranked = sorted(_PAGES, key=lambda page: -len(words & _words(f"{page[1]} {page[2]}")))
    return [
        {"url": url, "title": title, "content": content}
        for url, title, content in ranked
        if words & _words(f"{title} {content}")
    ]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
