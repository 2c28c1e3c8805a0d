"""Text that comes for many completions in one stream (`ToolService.Feed`)."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Taker(Protocol):
    """A completion."""

    def fed(self, text: str) -> None:
        """More of its text."""
        ...

    def lose_feed(self) -> None:
        """The feed has ended."""
        ...


class Feeds:
    """Where the text of each completion goes. `instance` names this process."""

    def __init__(self) -> None:
        self.instance = secrets.token_hex(8)
        self._takers: dict[tuple[str, int], Taker] = {}

    @contextmanager
    def taking(self, feed: str, number: int, taker: Taker) -> Iterator[None]:
        """While the block lasts, `taker` gets what the feed brings under the number.

        Raises ValueError for a number that is taken.
        """
        if not feed:
            yield
            return
        if (feed, number) in self._takers:
            raise ValueError(f"the feed has a completion {number} already")
        self._takers[feed, number] = taker
        try:
            yield
        finally:
            del self._takers[feed, number]

    def bring(self, feed: str, number: int, text: str) -> None:
        """Passes text on; that of a completion which has ended goes nowhere."""
        taker = self._takers.get((feed, number))
        if taker is not None:
            taker.fed(text)

    def lose(self, feed: str) -> None:
        """Tells its completions that a feed has ended."""
        for (name, _), taker in list(self._takers.items()):
            if name == feed:
                taker.lose_feed()
