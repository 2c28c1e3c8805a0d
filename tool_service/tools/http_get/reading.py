"""A page as text for a model; HTML is read by a process of its own, see html_child.py."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

from tool_service.tools.http_get.failure import CannotFetch
from tool_service.tools.http_get.page import Page, is_text

CHILD = str(Path(__file__).with_name("html_child.py"))
READ_SECONDS = 8.0


class Reader:
    """Reads one page. Its process may be started before the page is there; whoever makes a reader closes it."""

    def __init__(self) -> None:
        self._starting: asyncio.Task[Process] | None = None

    def start(self) -> None:
        """Starts the process, without waiting for it."""
        self._started()

    async def text(self, page: Page, *, raw: bool) -> str:
        """What a model reads of a page: its text, or with `raw` its source. Raises `CannotFetch`."""
        if not is_text(page.media_type) and not page.is_html:
            return f"{page.media_type}, {page.size or 'an unknown number of'} bytes: this is no text."
        text = page.characters if raw or not page.is_html else await self._html(page)
        return f"{text}\n[only the first {len(page.body)} bytes of the page were read]" if page.cut else text

    async def aclose(self) -> None:
        """Ends the process; goes on when it is cancelled."""
        starting, self._starting = self._starting, None
        if starting is not None:
            await asyncio.shield(asyncio.create_task(_end(starting)))

    def _started(self) -> asyncio.Task[Process]:
        if self._starting is None:
            self._starting = asyncio.create_task(
                asyncio.create_subprocess_exec(
                    sys.executable, "-I", CHILD, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}, cwd="/"
                )
            )
        return self._starting

    async def _html(self, page: Page) -> str:
        process = await asyncio.shield(self._started())
        try:
            async with asyncio.timeout(READ_SECONDS):
                text, _ = await process.communicate(f"{page.url}\n{page.characters}".encode("utf-8", "replace"))
        except TimeoutError:
            text = b""
        if process.returncode != 0:
            raise CannotFetch("The page is too intricate to be read as text; raw=true gives its source.")
        return text.decode()


async def _end(starting: asyncio.Task[Process]) -> None:
    process = await starting
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.communicate()  # takes what it still says, so that its pipes are closed
