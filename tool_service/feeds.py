"""Text that comes for many completions in one stream (`ToolService.Feed`)."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Take = Callable[[str], None]


class Feeds:
    """Where the text of each completion goes. `instance` names this process."""

    def __init__(self) -> None:
        self.instance = secrets.token_hex(8)
        self._takers: dict[tuple[str, int], Take] = {}

    @contextmanager
    def taking(self, feed: str, number: int, take: Take) -> Iterator[None]:
        """While the block lasts, `take` gets what the feed brings under the number. Raises ValueError for a number that
        is taken."""
        if not feed:
            yield
            return
        if (feed, number) in self._takers:
            raise ValueError(f"the feed has a completion {number} already")
        self._takers[feed, number] = take
        try:
            yield
        finally:
            del self._takers[feed, number]

    def bring(self, feed: str, number: int, text: str) -> None:
        """Passes text on; that of a completion which has ended goes nowhere."""
        take = self._takers.get((feed, number))
        if take is not None:
            take(text)
