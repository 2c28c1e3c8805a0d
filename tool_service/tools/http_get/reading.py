"""A page as text for a model; HTML is read by a process of its own, see html_child.py."""

import asyncio
import subprocess
import sys
from pathlib import Path

from tool_service.execution.threads import start_thread
from tool_service.execution.to_the_end import to_the_end
from tool_service.tools.http_get.failure import CannotFetch
from tool_service.tools.http_get.page import Page, is_text
from tool_service.tools.plain_text import plain

CHILD = str(Path(__file__).with_name("html_child.py"))
READ_SECONDS = 8.0


class Reader:
    """Reads one page. Its process may be started before the page is there; whoever makes a reader closes it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._talk: asyncio.Future[bytes] | None = None

    def start(self) -> None:
        """Starts the process, without waiting for it."""
        self._process = self._process or subprocess.Popen(
            [sys.executable, "-I", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
        )

    async def text(self, page: Page, *, raw: bool) -> str:
        """What a model reads of a page: its text, or with `raw` its source. Raises `CannotFetch`."""
        if not is_text(page.media_type) and not page.is_html:
            return f"{page.media_type}, {page.size or 'an unknown number of'} bytes: this is no text."
        text = plain(page.characters if raw or not page.is_html else await self._html(page))
        return f"{text}\n[only the first {len(page.body)} bytes of the page were read]" if page.cut else text

    async def aclose(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            await to_the_end(self._talking(b""))

    async def _html(self, page: Page) -> str:
        self.start()
        text = await asyncio.shield(self._talking(f"{page.url}\n{page.characters}".encode("utf-8", "replace")))
        if self._process is None or self._process.returncode != 0:
            raise CannotFetch("The page is too intricate to be read as text; raw=true gives its source.")
        return text.decode()

    def _talking(self, said: bytes) -> asyncio.Future[bytes]:
        """The one talk with the process, in a thread: it says something, hears the answer, and sees the process end."""
        if self._talk is None:
            self._talk = start_thread(_talk, {"process": self._process, "said": said})
        return self._talk


def _talk(process: subprocess.Popen[bytes], said: bytes) -> bytes:
    with process:
        try:
            return process.communicate(said, READ_SECONDS)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return process.communicate()[0]
