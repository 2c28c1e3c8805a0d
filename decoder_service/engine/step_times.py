"""What steps take by the tokens they run. Pure policy: times are handed in.

* As long as was seen, the last steps counting most.
* Where nothing was seen, as long as with fewer tokens, so that it is tried.
* What a step with more tokens took seems a little less with every step that has fewer, so that it is tried again now
  and then: the machine may have been busy with something else.
"""

RECENT = 1 / 3  # weight of the last step
FADING = 1 / 1000


class StepTimes:
    """Learns from steps and answers for others."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def observe(self, rows: int, seconds: float) -> None:
        """Learns from a step that ran so many tokens."""
        seen = _about(rows)
        for more in self._seconds:
            if more > seen:
                self._seconds[more] *= 1 - FADING
        known = self._seconds.get(seen, seconds)
        self._seconds[seen] = known + RECENT * (seconds - known)

    def seconds(self, rows: int) -> float | None:
        """What a step of so many tokens takes; None where no step was seen of so few."""
        seen = max((seen for seen in self._seconds if seen <= _about(rows)), default=None)
        return None if seen is None else self._seconds[seen]


def _about(rows: int) -> int:
    """The same for numbers of tokens that take about the same time: the number's first four binary digits."""
    shift = max(0, rows.bit_length() - 4)
    return rows >> shift << shift
