"""When text ends a turn."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnStop:
    """Ends the turn where `text` is complete, anywhere after `after`. Both stay in the text."""

    after: str
    text: str


class _Armed:
    """One `TurnStop`'s progress; keeps no more text than a match could need."""

    def __init__(self, stop: TurnStop) -> None:
        self._stop = stop
        self._armed = not stop.after
        self._tail = ""

    def feed(self, text: str) -> bool:
        self._tail += text
        if not self._armed:
            before, found, rest = self._tail.partition(self._stop.after)
            if not found:
                self._tail = before[-len(self._stop.after) :]
                return False
            self._armed, self._tail = True, rest
        hit = self._stop.text in self._tail
        self._tail = self._tail[-len(self._stop.text) :]
        return hit


class Stops:
    """The stops of one turn: strings that are cut off the text, and turn stops that stay in it.

    Text that may turn out to begin a stop string is held back until it is known not to.
    """

    def __init__(self, strings: tuple[str, ...], turn_stops: tuple[TurnStop, ...]) -> None:
        self._strings = strings
        self._turn_stops = [_Armed(stop) for stop in turn_stops]
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """Takes new text; gives what may be released, and whether the turn ends here."""
        candidate = self._held + text
        cut = min((at for at in map(candidate.find, self._strings) if at >= 0), default=None)
        if cut is not None:
            self._held = ""
            return candidate[:cut], True
        keep = max((_overlap(candidate, string) for string in self._strings), default=0)
        released = candidate[: len(candidate) - keep]
        self._held = candidate[len(released) :]
        hits = [stop.feed(released) for stop in self._turn_stops]  # each must see all of the text
        return released, any(hits)

    def close(self) -> str:
        """What was held back and is text after all."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest proper prefix of `stop` that `text` ends with."""
    longest = min(len(text), len(stop) - 1)
    return next((length for length in range(longest, 0, -1) if text.endswith(stop[:length])), 0)
