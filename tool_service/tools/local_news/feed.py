"""Where the news of a place comes from: a file, a folder, or an address of the web."""

import asyncio
import re
from pathlib import Path
from urllib.parse import quote

from tool_service.tools.http_get.fetching import Web
from tool_service.tools.local_news.news import InvalidFeed, Item, read_items
from tool_service.tools.local_news.place import Place

SUFFIXES = (".jsonl", ".rss", ".atom", ".xml")
MAX_FILE_BYTES = 4 << 20
MAX_FILE_COUNT = 64
MAX_ITEM_COUNT = 50
_URL = re.compile(r"https?://", re.I)


class Feed:
    """The news. `source` is a file, a folder or a URL template; raises `ValueError` where there is no such thing."""

    def __init__(self, source: str, web: Web) -> None:
        self._source = source
        self._web = web
        self._remote = _URL.match(source) is not None
        if not self._remote and not Path(source).exists():
            raise ValueError(f"local_news.feed: there is no file or folder {source}")

    async def near(self, place: Place) -> list[Item]:
        """The news of a place, latest first."""
        found = await (self._fetched(place) if self._remote else asyncio.to_thread(self._read, place))
        return sorted(found, key=lambda item: item.published, reverse=True)

    async def _fetched(self, place: Place) -> list[Item]:
        values = {"{city}": quote(place.city, safe=""), "{state}": quote(place.state, safe="")}
        url = re.sub(r"\{(?:city|state)\}", lambda found: values[found[0]], self._source)
        items = read_items((await self._web.get(url)).body)
        return [item for item in items if not item.places or place.key in item.places]

    def _read(self, place: Place) -> list[Item]:
        source = Path(self._source)
        files = [path for path in sorted(source.iterdir()) if path.suffix in SUFFIXES] if source.is_dir() else [source]
        return [item for path in files[:MAX_FILE_COUNT] for item in _items_of(path) if place.key in item.places]


def _items_of(path: Path) -> list[Item]:
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise InvalidFeed(f"{path.name} is longer than {MAX_FILE_BYTES} bytes")
    try:
        return read_items(data)
    except InvalidFeed as error:
        raise InvalidFeed(f"{path.name}: {error}") from None


def headlines(items: list[Item], topic: str, limit: int) -> str:
    """The first `limit` items about a topic, as text."""
    chosen = [str(item) for item in items if item.is_about(topic)][: max(1, min(limit, MAX_ITEM_COUNT))]
    return "\n".join(chosen) or "No news."
