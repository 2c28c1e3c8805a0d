"""Which prefixes have their keys and values in the cache: a tree with a step for every full page of tokens.

A place in the tree stands for exactly one run of tokens from a sequence's beginning. Its children are found by their
tokens, which a dict hashes and then compares, so two prompts are never taken for each other, whatever their hashes are.
"""

from collections.abc import Iterable, Iterator


class Prefix:
    """A run of full pages of tokens, and the pages that hold what the last of its steps adds.

    `depth` counts the steps from the beginning. Two sequences that computed the same at once have a page each in
    `pages`. Empty: what was there has been given up, while something that follows it is still there.
    """

    __slots__ = ("children", "depth", "pages", "parent", "tokens")

    def __init__(self, parent: "Prefix | None" = None, tokens: tuple[int, ...] = ()) -> None:
        self.parent = parent
        self.tokens = tokens
        self.depth: int = parent.depth + 1 if parent else 0
        self.pages: list[int] = []
        self.children: dict[tuple[int, ...], Prefix] = {}


class PrefixTree:
    """Pages by the prefix that they end."""

    def __init__(self) -> None:
        self.root = Prefix()
        self._of_page: dict[int, Prefix] = {}

    def __contains__(self, page: int) -> bool:
        """Whether the page can be found."""
        return page in self._of_page

    def find(self, steps: Iterable[tuple[int, ...]]) -> Iterator[Prefix]:
        """The known prefixes of these steps, from the shortest on, each with a page."""
        prefix = self.root
        for tokens in steps:
            following = prefix.children.get(tokens)
            if following is None or not following.pages:
                return
            yield following
            prefix = following

    def enter(self, prefix: Prefix, tokens: tuple[int, ...], page: int) -> Prefix:
        """From now on `page` is found as what follows `prefix`. Gives the longer prefix."""
        following = prefix.children.get(tokens)
        if following is None:
            following = prefix.children[tokens] = Prefix(prefix, tokens)
        following.pages.append(page)
        self._of_page[page] = following
        return following

    def forget(self, page: int) -> None:
        """The page is not found any more. Does nothing where it was not."""
        prefix = self._of_page.pop(page, None)
        if prefix is None:
            return
        prefix.pages.remove(page)
        while prefix.parent is not None and not prefix.pages and not prefix.children:
            siblings = prefix.parent.children
            if siblings.get(prefix.tokens) is prefix:  # not so where it was cut off before, with what led to it
                del siblings[prefix.tokens]
            prefix = prefix.parent

    def has_another(self, page: int) -> bool:
        """Whether another page holds the same as this one."""
        return page in self._of_page and len(self._of_page[page].pages) > 1
