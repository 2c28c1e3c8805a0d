"""How many completions each caller may begin in a minute, and have running.

No clock and no waiting in here: whoever asks says what time it is, in seconds.
"""

from collections import Counter
from dataclasses import dataclass

_ROUNDING = 1e-6  # seconds: who comes when he was told to is not sent away for the last digit


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a completion may not begin, and the seconds until one may, where that is known."""

    reason: str
    retry_seconds: float | None = None


class TokenBucket:
    """Holds `capacity` tokens at most, is full at first, and gains one every `seconds`.

    So of the takes within any t seconds no more than `capacity` + t / `seconds` succeed.
    """

    def __init__(self, capacity: int, seconds: float) -> None:
        self._seconds = seconds
        self._ahead_seconds = (capacity - 1) * seconds
        self._full_at = float("-inf")  # the one thing to keep: it fills at a steady rate

    def take(self, now: float) -> float:
        """Takes a token: 0. Where there is none, the seconds until there is one, and nothing is taken."""
        full_at = max(self._full_at, now)
        waiting = full_at - now - self._ahead_seconds
        if waiting > _ROUNDING:
            return waiting
        self._full_at = full_at + self._seconds
        return 0.0

    def is_full(self, now: float) -> bool:
        """Whether it is as if nothing had ever been taken."""
        return self._full_at <= now


class Limits:
    """Counts by callers' names. Without keys all callers have one name, the empty one. A limit of 0 is none."""

    def __init__(self, per_minute: int, max_active: int) -> None:
        self._per_minute = per_minute
        self._max_active = max_active
        self._active: Counter[str] = Counter()
        self._buckets: dict[str, TokenBucket] = {}

    def enter(self, caller: str, now: float) -> Refusal | None:
        """Counts a completion that begins, to be ended with `leave`. One that is refused is not counted."""
        if self._max_active and self._active[caller] >= self._max_active:
            return Refusal(f"{self._max_active} completions of this caller run, as many as may")
        if self._per_minute and (seconds := self._bucket(caller, now).take(now)):
            return Refusal(f"this caller may begin {self._per_minute} completions a minute, and has", seconds)
        self._active[caller] += 1
        return None

    def leave(self, caller: str) -> None:
        """A completion of the caller has ended."""
        self._active[caller] -= 1
        if not self._active[caller]:
            del self._active[caller]

    def _bucket(self, caller: str, now: float) -> TokenBucket:
        if caller not in self._buckets:
            # Of whoever has not been here for so long that his bucket is full nothing need be known.
            self._buckets = {name: bucket for name, bucket in self._buckets.items() if not bucket.is_full(now)}
            self._buckets[caller] = TokenBucket(self._per_minute, 60 / self._per_minute)
        return self._buckets[caller]
