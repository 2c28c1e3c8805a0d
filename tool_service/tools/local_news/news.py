"""Items of news, read from JSON lines, RSS and Atom."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tool_service.tools.local_news.place import read_place
from tool_service.tools.plain_text import plain_line

MAX_SUMMARY_CHARS = 500
_ATOM = "{http://www.w3.org/2005/Atom}"


class InvalidFeed(Exception):
    """The feed cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of news. `published` is a date such as `2026-11-24`, or empty; `places` are keys of places."""

    title: str
    published: str
    summary: str
    link: str
    topics: tuple[str, ...]
    places: tuple[str, ...]

    def is_about(self, topic: str) -> bool:
        """Whether every word of `topic` is in it; none is in all."""
        text = " ".join((self.title, self.summary, *self.topics)).casefold()
        return all(word in text for word in topic.casefold().split())

    def __str__(self) -> str:
        lead = " ".join(part for part in (self.published, self.title) if part)
        return "\n  ".join(part for part in (lead, self.summary, self.link) if part)


def read_items(data: bytes) -> list[Item]:
    """The items of a feed: JSON lines, RSS or Atom, told apart by how they begin. Raises `InvalidFeed`."""
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return list(_xml_items(data) if start == b"<" else _json_items(data))


def _json_items(data: bytes) -> Iterator[Item]:
    """One object a line: title, and as far as known location, published, summary, link, topics."""
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise InvalidFeed(f"line {number} is no JSON") from None
        if not isinstance(value, dict) or not isinstance(value.get("title"), str):
            raise InvalidFeed(f"line {number} is no object with a title")
        topics = value.get("topics", [])
        names = [topic for topic in topics if isinstance(topic, str)] if isinstance(topics, list) else []
        yield _item(value, names, [_text(value.get("location"))])


def _xml_items(data: bytes) -> Iterator[Item]:
    try:
        root = ElementTree.fromstring(data, ElementTree.XMLParser(target=_Builder()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InvalidFeed(f"it is no XML: {error}") from None
    for node in root.iter("item"):
        categories = [category.text or "" for category in node.iter("category")]
        yield _item(
            {
                "title": node.findtext("title"),
                "published": node.findtext("pubDate"),
                "summary": node.findtext("description"),
                "link": node.findtext("link"),
            },
            categories,
            categories,
        )
    for node in root.iter(f"{_ATOM}entry"):
        categories = [category.get("term", "") for category in node.iter(f"{_ATOM}category")]
        link = node.find(f"{_ATOM}link")
        yield _item(
            {
                "title": node.findtext(f"{_ATOM}title"),
                "published": node.findtext(f"{_ATOM}published") or node.findtext(f"{_ATOM}updated"),
                "summary": node.findtext(f"{_ATOM}summary"),
                "link": "" if link is None else link.get("href"),
            },
            categories,
            categories,
        )


class _Builder(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuses what could define entities, which can be made to grow without bound."""
        raise InvalidFeed("it has a document type, which may not be")


def _item(fields: dict[str, Any], topics: list[str], locations: list[str]) -> Item:
    places = [place.key for location in locations if (place := read_place(location))]
    return Item(
        title=_text(fields.get("title")) or "(untitled)",
        published=_date(_text(fields.get("published"))),
        summary=_text(fields.get("summary"))[:MAX_SUMMARY_CHARS],
        link=_text(fields.get("link")),
        topics=tuple(topic for topic in topics if read_place(topic) is None),
        places=tuple(places),
    )


def _text(value: object) -> str:
    return plain_line(value) if isinstance(value, str) else ""


def _date(text: str) -> str:
    """The day of an RFC 3339 or RFC 5322 date, in UTC where it has a zone; empty where it is neither."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
            return (found.astimezone(UTC) if found.tzinfo else found).date().isoformat()
        except (ValueError, TypeError, OverflowError):
            continue
    return ""
