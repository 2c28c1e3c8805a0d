"""Rows as text: a line of column names, then a line for each row, values between commas.

    NULL                        no value; the text NULL is "NULL"
    12, 1.5, true, 2024-02-29   values that are no text, as they are
    berlin                      text that begins with a letter and cannot be taken for anything else
    "a, b", "12", "6"" wide"    all other text, its quotation marks doubled
    x'00ff'                     bytes of SQLite

Standard library only: SQLite's process imports it too.
"""

import re
from collections.abc import Iterable, Sequence

VALUE_CHARS = 4096

_BARE = re.compile(r"[^\W\d_][^,\"\r\n]*(?<!\s)")
_SPECIAL = re.compile(r"[,\"\r\n]")
_TAKEN = re.compile(r"(?i)null|true|false|nan|inf|infinity|x'.*")


class Room:
    """How many bytes of output are left for a call."""

    def __init__(self, max_bytes: int) -> None:
        self.limit = max_bytes
        self.left = max_bytes

    def take(self, text: str) -> bool:
        """Whether the text fits; then it is counted."""
        size = len(text.encode("utf-8", "replace"))
        if size > self.left:
            return False
        self.left -= size
        return True


class Table:
    """The rows of one statement. `is_full`: no more rows are of use."""

    def __init__(self, columns: Sequence[str], max_rows: int, room: Room) -> None:
        self._max_rows = max_rows
        self._rows = 0
        self._room = room
        self.is_full = False
        self.head = self._line(columns)

    def feed(self, rows: Iterable[Sequence[object]]) -> str:
        """The lines of more rows. The first row too many is told of instead of shown."""
        lines: list[str] = []
        for row in rows:
            if self.is_full:
                break
            if self._rows == self._max_rows:
                lines.append(self._cut(f"[there are more than these {self._max_rows} rows; they are not shown]\n"))
                break
            self._rows += 1
            lines.append(self._line(row))
        return "".join(lines)

    def close(self) -> str:
        """What to say of no rows at all."""
        return "" if self._rows or self.is_full else "[no rows]\n"

    def _line(self, values: Iterable[object]) -> str:
        line = ",".join(map(shown, values)) + "\n"
        if self._room.take(line):
            return line
        return self._cut(f"[cut: the output of a call is limited to {self._room.limit} bytes]\n")

    def _cut(self, notice: str) -> str:
        self.is_full = True
        return notice


def changed(count: int) -> str:
    """What is said of a statement that gives no rows."""
    return f"[{count} {'row' if count == 1 else 'rows'} changed]\n"


class Verbatim(str):
    """A value that is no text, in its database's own spelling."""


def shown(value: object) -> str:
    """A value as the table has it, at most `VALUE_CHARS` of it."""
    match value:
        case None:
            return "NULL"
        case Verbatim():
            text = value[:VALUE_CHARS]
            text = _quoted(text) if _SPECIAL.search(text) else text
            return _marked(text, len(value) > VALUE_CHARS)
        case str():
            return _marked(_text(value[:VALUE_CHARS]), len(value) > VALUE_CHARS)
        case bytes():
            return _marked(f"x'{value[: VALUE_CHARS // 2].hex()}'", len(value) > VALUE_CHARS // 2)
    return str(value)


def _text(text: str) -> str:
    return text if _BARE.fullmatch(text) and not _TAKEN.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _marked(text: str, is_cut: bool) -> str:
    return f"{text}[cut at {VALUE_CHARS} characters]" if is_cut else text
