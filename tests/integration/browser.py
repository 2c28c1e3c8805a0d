"""A real Chromium, and tabs of it that notice what goes wrong in them."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Request, async_playwright, expect

SECONDS = 20.0  # the longest wait: so long that only what never comes takes it
CHROMIUM = shutil.which("chromium")
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: make system-packages installs it")
LOST = "Failed to load resource"  # Chromium says so of each answer that is an error; the page says it in its own words
WATCH = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} forbids ${event.blockedURI}`))"""

expect.set_options(timeout=SECONDS * 1000)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def tab(browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """A page with nothing of others in it. When it is left, nothing may have gone wrong in it: no error, no breach of
    the policy, no dialog, no request elsewhere."""
    wrong: list[str] = []
    hosts: set[str] = set()

    def asked(request: Request) -> None:
        if not request.url.startswith(("blob:", "data:")):
            hosts.add(request.url.split("/")[2])

    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    await context.add_init_script(WATCH)
    page = await context.new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.on("pageerror", lambda error: wrong.append(f"{error.name}: {error.stack}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" and LOST not in said.text else None)
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("request", asked)
    try:
        yield page
    finally:
        await context.close()
    assert wrong == []
    assert len(hosts) <= 1, hosts
