"""`local_news`: a location that is none stops the turn while the other arguments are still to come."""

from tool_service.interface import Arg, Effect, Tool, tool
from tool_service.tools.http_get.fetching import Web
from tool_service.tools.http_get.settings import HttpGetSettings
from tool_service.tools.local_news.feed import Feed, headlines
from tool_service.tools.local_news.place import city_and_state
from tool_service.tools.local_news.settings import LocalNewsSettings


def local_news_tools(settings: LocalNewsSettings, web: HttpGetSettings) -> list[Tool]:
    """The tool, where a feed is set. `web` bounds what is fetched. Raises `ValueError` where the feed is missing."""
    return [local_news_tool(Feed(settings.feed, Web(web)))] if settings.feed else []


def local_news_tool(feed: Feed) -> Tool:
    """The tool over a feed."""

    @tool(effect=Effect.READ, timeout=40)
    async def local_news(location: Arg[str], topic: Arg[str] = "", limit: Arg[int] = 5) -> str:  # type: ignore[assignment]
        """Read the latest news of a city.

        Args:
            location: City and state, for example San Francisco, CA.
            topic: Only news with these words.
            limit: How many, at most 50.
        """
        news = await feed.near(city_and_state(await location))  # while topic and limit are being decoded
        return headlines(news, await topic, await limit)

    return local_news
