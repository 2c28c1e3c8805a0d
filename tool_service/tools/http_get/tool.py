"""`http_get`: connects as soon as the host of the URL is complete, and asks for the page when the URL is."""

from tool_service.interface import Arg, Effect, Stream, Tool, tool
from tool_service.tools.http_get.fetching import Web
from tool_service.tools.http_get.origin import OriginSplitter
from tool_service.tools.http_get.settings import HttpGetSettings

EXTRA_SECONDS = 20.0  # for connecting and reading, beyond what a page may take
CONCURRENCY = 16


def http_get_tools(settings: HttpGetSettings, web: Web | None = None) -> list[Tool]:
    """The tool. `web`: by default what `settings` allow."""
    world = web or Web(settings)

    @tool(effect=Effect.READ, timeout=settings.timeout_seconds + EXTRA_SECONDS, concurrency=CONCURRENCY)
    async def http_get(
        url: Stream[str],
        raw: Arg[bool] = False,  # type: ignore[assignment]  # a default is the value that the Arg resolves to
    ) -> str:
        """Fetch a page of the web and read its text and links.

        Args:
            url: Begins with http:// or https://.
            raw: Give the source of the page instead, HTML as it is.
        """
        async with world.visit() as visit:
            async for part in url.units(OriginSplitter()):  # connects while the path is being decoded
                await visit.add(part)
            page = await visit.page()
            return await visit.text(page, raw=await raw)

    return [http_get]
