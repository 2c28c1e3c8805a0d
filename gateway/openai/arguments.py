"""A call's arguments as growing JSON text, from the events in which they come."""

import json

from protos.conveyor.gateway.v1 import gateway_pb2 as pb


class ArgumentsText:
    """Writes one JSON object. What its verbs give, joined, is the object."""

    def __init__(self) -> None:
        self._argument: str | None = None
        self._is_in_string = False
        self._is_closed = False

    def feed(self, delta: pb.ArgumentsDelta) -> str:
        """More of an argument."""
        opening = self._opening(delta) if delta.argument != self._argument or not self._is_in_string else ""
        if delta.WhichOneof("piece") == "value_json":
            return f"{opening}{delta.value_json}"
        return f"{opening}{_inside(delta.text)}"

    def close(self) -> str:
        """The rest, once."""
        if self._is_closed:
            return ""
        self._is_closed = True
        return f"{self._end_string()}}}" if self._argument is not None else "{}"

    def _opening(self, delta: pb.ArgumentsDelta) -> str:
        before = f"{self._end_string()}, " if self._argument is not None else "{"
        self._argument = delta.argument
        self._is_in_string = delta.WhichOneof("piece") == "text"
        quote = '"' if self._is_in_string else ""
        return f"{before}{json.dumps(delta.argument, ensure_ascii=False)}: {quote}"

    def _end_string(self) -> str:
        ended, self._is_in_string = '"' if self._is_in_string else "", False
        return ended


def _inside(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
