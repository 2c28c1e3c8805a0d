"""A query is words and nothing else: no character in it has a meaning."""

import re

MAX_WORD_COUNT = 32
MAX_WORD_CHARS = 64
MIN_BEGINNING_CHARS = 3  # of a word that is looked for by its beginning: with fewer, half of all sections match

_WORD = re.compile(r"[^\W_]+")


def words_of(query: str) -> list[str]:
    """The different words of a query, in their order, lower case. Further and longer ones are cut."""
    words = dict.fromkeys(word[:MAX_WORD_CHARS].lower() for word in _WORD.findall(query))
    return list(words)[:MAX_WORD_COUNT]


def may_be_beginning(word: str) -> bool:
    """Whether it is long enough to be looked for as the beginning of a word."""
    return len(word) >= MIN_BEGINNING_CHARS


def site_path(site: str) -> str:
    """A file or folder as documents' paths are written: relative, `/` between, none at the ends."""
    whole = site.encode("utf-8", "replace").decode()
    return whole.strip().removeprefix("./").strip("/")
