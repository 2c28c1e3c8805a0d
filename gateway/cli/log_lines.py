"""The services log JSON lines; people read them as text."""

import json
from pathlib import Path

from gateway.cli.sanitise import printable

_TAIL_BYTES = 32_768
_SKIPPED = ("service", "level", "event", "exception", "timestamp")


def readable(line: str) -> list[str]:
    """A log line as lines for people: level, event, values, then the traceback if there is one."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        return [printable(line)]
    values = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _SKIPPED)
    head = f"{entry.get('level', 'info')}: {entry.get('event', '')} {values}".rstrip()
    return [printable(part) for part in (head, *str(entry.get("exception", "")).splitlines())]


def last_lines(path: Path, count: int) -> list[str]:
    """The end of a log, readable, `count` lines at most."""
    with path.open("rb") as log:
        size = log.seek(0, 2)
        log.seek(max(0, size - _TAIL_BYTES))
        text = log.read().decode("utf-8", "replace")
    return [part for line in text.splitlines()[-count:] for part in readable(line)][-count:]
