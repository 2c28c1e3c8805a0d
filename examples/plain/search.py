"""`search` as an ordinary function: what the tool would be if it waited for its whole call."""

from tool_service.interface import Effect, Tool, tool
from tool_service.tools.search.engine import Engine, Hit
from tool_service.tools.search.found import Found


def search_tool(engine: Engine, usual: int) -> Tool:
    """The tool over an engine; `usual` is how many hits it gives where the model does not say."""

    @tool(effect=Effect.READ)
    async def search(query: str, site: str = "", limit: int = usual, speculate: bool = False) -> list[Hit]:
        """Search by words; the best hits first.

        Args:
            query: Words to look for.
            site: Only here: a file or folder of the documents; on the web, a host such as docs.python.org.
            limit: How many hits, at most 50.
            speculate: Search while the query is still being written. Give it before the query.
        """
        await engine.open()
        found = await Found.of(engine, query)
        return await found.narrowed(site, limit)

    return search
