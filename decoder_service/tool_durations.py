"""How long tools take, and so when the calls of a turn will be done. No clock: times are handed in, in seconds.

The engine asks because parked sequences keep their cache while it is not needed for others: the one whose calls are
done last gives it up first.
"""

from collections import OrderedDict
from dataclasses import dataclass

MEAN_OF = 16  # so many calls back the mean still remembers well
MAX_TOOLS = 1000
UNKNOWN_SECONDS = 1.0


class ToolDurations:
    """The running mean of each tool's seconds, over all completions."""

    def __init__(self) -> None:
        self._means: OrderedDict[str, tuple[int, float]] = OrderedDict()  # calls counted, seconds; last used last

    def observe(self, tool: str, seconds: float) -> None:
        """A call of this tool has taken so long."""
        count, mean = self._means.pop(tool, (0, 0.0))
        count = min(count + 1, MEAN_OF)
        self._means[tool] = count, mean + (seconds - mean) / count
        if len(self._means) > MAX_TOOLS:
            self._means.popitem(last=False)

    def mean(self, tool: str) -> float:
        """How long a call of this tool takes; `UNKNOWN_SECONDS` before the first."""
        return self._means.get(tool, (0, UNKNOWN_SECONDS))[1]


@dataclass(slots=True)
class _Call:
    tool: str
    started: float | None = None


class OpenCalls:
    """The calls of one completion that have not finished. `one_by_one`: none starts before the last has finished."""

    def __init__(self, durations: ToolDurations, one_by_one: bool) -> None:
        self._durations = durations
        self._one_by_one = one_by_one
        self._calls: dict[str, _Call] = {}

    def opened(self, call_id: str, tool: str) -> None:
        """The model has begun to write a call."""
        self._calls[call_id] = _Call(tool)

    def started(self, call_id: str, now: float) -> None:
        """The call's tool runs. Calls that were not opened here, as those inside another, do not count."""
        if call_id in self._calls:
            self._calls[call_id].started = now

    def finished(self, call_id: str, now: float) -> None:
        """The call has ended, well or badly; one that never started tells nothing of its tool."""
        call = self._calls.pop(call_id, None)
        if call is not None and call.started is not None:
            self._durations.observe(call.tool, now - call.started)

    def done_at(self, now: float) -> float | None:
        """When all of them are expected to have finished; None where none is open.

        A call that is late is expected to take as long again as it has taken.
        """
        left = [self._left(call, now) for call in self._calls.values()]
        if not left:
            return None
        return now + (sum(left) if self._one_by_one else max(left))

    def _left(self, call: _Call, now: float) -> float:
        mean = self._durations.mean(call.tool)
        if call.started is None:
            return mean
        taken = now - call.started
        return mean - taken if taken < mean else taken
