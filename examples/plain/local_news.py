"""`local_news` as an ordinary function: what the tool would be if it waited for its whole call."""

from tool_service.interface import Effect, Tool, tool
from tool_service.tools.local_news.feed import Feed, headlines
from tool_service.tools.local_news.place import city_and_state


def local_news_tool(feed: Feed) -> Tool:
    """The tool over a feed."""

    @tool(effect=Effect.READ, timeout=40)
    async def local_news(location: str, topic: str = "", limit: int = 5) -> str:
        """Read the latest news of a city.

        Args:
            location: City and state, for example San Francisco, CA.
            topic: Only news with these words.
            limit: How many, at most 50.
        """
        news = await feed.near(city_and_state(location))
        return headlines(news, topic, limit)

    return local_news
