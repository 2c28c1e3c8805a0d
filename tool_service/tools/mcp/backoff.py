"""When to try again."""

import random


class Backoff:
    """Delays that double from `first` to `longest`, each shortened at random by up to half, so that many who wait for
    one thing do not come back at once."""

    def __init__(self, first: float = 0.5, longest: float = 60.0) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def delay(self) -> float:
        """Seconds to wait before the next try."""
        delay = self._next
        self._next = min(self._longest, 2 * delay)
        return delay * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """All is well: the next trouble is the first again."""
        self._next = self._first
