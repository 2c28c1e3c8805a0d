"""Calls that are JSON objects, or an array of them, behind a marker: hermes, granite, phi4_mini_json, llama3_json."""

import json

from tool_service.formats.format import EndReason, Write
from tool_service.formats.scanning.json_call import JsonCallReader
from tool_service.formats.scanning.markers import Found
from tool_service.formats.scanning.turn_parser import MarkedTurnParser


class MarkedJsonParser(MarkedTurnParser):
    """Reads one turn. Each opener must have `{` or `[` as its `then`."""

    def __init__(self) -> None:
        super().__init__()
        self._reader = JsonCallReader(self.turn)

    def begin(self, text: str, found: Found) -> int:
        """A value begins."""
        self._reader = JsonCallReader(self.turn, self.take_opener(text, found), self.known(found))
        self._read = self._read_value
        return found.end

    def known(self, found: Found) -> frozenset[str] | None:
        """The names that open a call behind this opener; None for any."""
        return None

    def end_inside(self, held: str, reason: EndReason) -> None:
        """The value is not complete."""
        self._reader.close()

    def _read_value(self, text: str, pos: int) -> int:
        pos = self._reader.feed(text, pos)
        if self._reader.ended:
            self._leave_value()
        return pos

    def _leave_value(self) -> None:
        if self._reader.cut_off:
            self.to_skipping()
        elif self._reader.called:
            self.to_after()
        else:
            self.to_text()


def marked_call(before: str, after: str, key: str = "arguments") -> Write:
    """Writes a call as one JSON object between these texts."""
    return lambda name, given: before + json.dumps({"name": name, key: given}, ensure_ascii=False) + after
