"""Cuts Python source that is still being written into statements, each handed over once the text proves it complete.

A simple statement ends with its line. A compound statement (a block keyword, a decorator, or a line that ends in a
colon) ends where the next line that is neither blank nor a comment starts at column 0 with anything but `else`, `elif`,
`except` or `finally`. A line is a logical one: brackets, strings and backslashes carry it on.

    state      what is being read                          it ends at
    MARGIN     white space before a line's first token      a newline (a blank line)   # ─▶ COMMENT   else ─▶ WORD
    WORD       the line's first word                        any other character ─▶ CODE
    CODE       tokens                                       a newline outside of brackets ends the line ─▶ MARGIN
    CARRIED    a backslash's newline                        anything ─▶ CODE
    COMMENT    a comment                                    its newline, which CODE or MARGIN then reads
    QUOTE      one or two quotation marks                   a third ─▶ TRIPLE   else ─▶ SINGLE, or CODE after two
    SINGLE     a string in one line                         its quotation mark, or a newline (broken code) ─▶ CODE
    TRIPLE     a string in triple quotes                    three of its quotation marks ─▶ CODE

The work is proportional to the text. Text that is not Python is handed over too, at the latest by `close`.
"""

import re
from collections.abc import Callable
from enum import Enum, auto

_BLOCK_WORDS = frozenset(
    {"if", "for", "while", "try", "with", "def", "class", "async", "else", "elif", "except", "finally", "@"}
)
_CLAUSE_WORDS = ("else", "elif", "except", "finally")
_WORD_ROOM = 1 + max(map(len, _BLOCK_WORDS))  # more of a word need not be known

_MARGIN_RUN = re.compile(r"[ \t\f\r]*")
_WORD_RUN = re.compile(r"\w*")
_CODE_RUN = re.compile(r"""[^\n#"'\\()\[\]{}]*""")
_SINGLE_RUNS = {quote: re.compile(rf"[^{quote}\\\n]*") for quote in "\"'"}
_TRIPLE_RUNS = {quote: re.compile(rf"[^{quote}\\]*") for quote in "\"'"}


class _State(Enum):
    MARGIN = auto()
    WORD = auto()
    CODE = auto()
    CARRIED = auto()
    COMMENT = auto()
    QUOTE = auto()
    SINGLE = auto()
    TRIPLE = auto()


class StatementSplitter:
    """Takes source text in pieces and gives back statements; joined they are the text, blank lines and comments too."""

    def __init__(self) -> None:
        self._state = _State.MARGIN
        self._statements: list[str] = []
        # The statement that is being read: its text so far, and where it and the text at hand begin in the whole text.
        self._kept: list[str] = []
        self._begin = 0
        self._kept_to = 0
        self._origin = 0
        self._in_block = False  # it is a compound one
        self._decorated = False  # its last line at column 0 was a decorator
        # The logical line that is being read.
        self._line_begin = 0
        self._indented = False
        self._word = ""
        self._last = ""  # the last character that is neither white space nor comment
        self._depth = 0
        self._after_comment = _State.MARGIN
        # The string that is being read.
        self._quote = ""
        self._quotes = 0
        self._escaped = False

    def feed(self, text: str) -> list[str]:
        """Takes the next piece of the source; gives the statements it completes."""
        self._statements = []
        pos = 0
        while pos < len(text):
            pos = _STEPS[self._state](self, text, pos)
        self._keep(text, len(text))
        self._origin += len(text)
        self._kept_to = self._origin
        return self._statements

    def close(self) -> list[str]:
        """Takes the end of the source; gives what is left, complete or not."""
        self._statements = []
        if self._state is _State.WORD and self._at_new_line() and self._word not in _CLAUSE_WORDS:
            self._hand_over(self._line_begin)
        rest = "".join(self._kept)
        return [*self._statements, rest] if rest else self._statements

    def _keep(self, text: str, pos: int) -> None:
        self._kept.append(text[self._kept_to - self._origin : pos])
        self._kept_to = self._origin + pos

    def _hand_over(self, end: int) -> None:
        """Hands the statement over; it ends at `end` in the whole text, and the little behind begins the next."""
        kept, size = "".join(self._kept), end - self._begin
        self._statements.append(kept[:size])
        self._kept, self._begin = [kept[size:]], end
        self._in_block = self._decorated = False

    def _read_margin(self, text: str, pos: int) -> int:
        end = _run(_MARGIN_RUN, text, pos)
        self._indented = self._indented or end > pos
        if end == len(text):
            return end
        if text[end] == "\n":
            self._indented = False
            return end + 1
        if text[end] == "#":
            self._state, self._after_comment = _State.COMMENT, _State.MARGIN
            return end + 1
        return self._begin_line(text, end)

    def _begin_line(self, text: str, pos: int) -> int:
        self._line_begin = self._origin + pos
        self._word, self._depth = "", 0
        self._state = _State.WORD
        if text[pos] != "@":
            return pos
        self._word = "@"
        self._end_word(text, pos + 1)
        return pos + 1

    def _read_word(self, text: str, pos: int) -> int:
        end = _run(_WORD_RUN, text, pos)
        self._word += text[pos : min(end, pos + _WORD_ROOM - len(self._word))]
        if end < len(text):
            self._end_word(text, end)
        elif not any(word.startswith(self._word) for word in _CLAUSE_WORDS):
            self._prove(text, end)
        return end

    def _end_word(self, text: str, pos: int) -> None:
        if self._word not in _CLAUSE_WORDS:
            self._prove(text, pos)
        self._last = self._word[-1:]
        self._state = _State.CODE

    def _prove(self, text: str, pos: int) -> None:
        """The line's first word is no clause's: at column 0 it proves the statement before it complete."""
        if self._at_new_line():
            self._keep(text, pos)
            self._hand_over(self._line_begin)

    def _at_new_line(self) -> bool:
        return self._in_block and not self._indented and not self._decorated

    def _read_code(self, text: str, pos: int) -> int:
        end = _run(_CODE_RUN, text, pos)
        self._last = text[pos:end].rstrip()[-1:] or self._last
        if end == len(text):
            return end
        char = text[end]
        if char == "\n":
            self._read_newline(text, end + 1)
        elif char == "#":
            self._state, self._after_comment = _State.COMMENT, _State.CODE
        else:
            self._last = char
            self._read_mark(char)
        return end + 1

    def _read_mark(self, char: str) -> None:
        if char in "([{":
            self._depth += 1
        elif char in ")]}":
            self._depth = max(0, self._depth - 1)
        elif char == "\\":
            self._state = _State.CARRIED
        else:
            self._quote, self._quotes, self._escaped = char, 1, False
            self._state = _State.QUOTE

    def _read_newline(self, text: str, end: int) -> None:
        if self._depth:
            return
        if not self._in_block and not self._opens_block():
            self._keep(text, end)
            self._hand_over(self._origin + end)
        elif not self._in_block or not self._indented:
            self._in_block, self._decorated = True, self._word == "@"
        self._state, self._indented = _State.MARGIN, False

    def _opens_block(self) -> bool:
        return self._word in _BLOCK_WORDS or self._last == ":"

    def _read_carried(self, text: str, pos: int) -> int:
        if text[pos] == "\r":
            return pos + 1
        self._state = _State.CODE
        return pos + 1 if text[pos] == "\n" else pos

    def _read_comment(self, text: str, pos: int) -> int:
        newline = text.find("\n", pos)
        if newline < 0:
            return len(text)
        self._state = self._after_comment
        return newline

    def _read_quote(self, text: str, pos: int) -> int:
        if text[pos] != self._quote:
            self._state = _State.SINGLE if self._quotes == 1 else _State.CODE
            return pos
        self._quotes += 1
        if self._quotes == 3:
            self._state, self._quotes = _State.TRIPLE, 0
        return pos + 1

    def _read_single(self, text: str, pos: int) -> int:
        if self._escaped:
            return self._read_escaped(text, pos)
        end = _run(_SINGLE_RUNS[self._quote], text, pos)
        if end == len(text):
            return end
        self._escaped = text[end] == "\\"
        if not self._escaped:
            self._state = _State.CODE
        return end if text[end] == "\n" else end + 1

    def _read_triple(self, text: str, pos: int) -> int:
        if self._escaped:
            return self._read_escaped(text, pos)
        end = _run(_TRIPLE_RUNS[self._quote], text, pos)
        if end > pos:
            self._quotes = 0
        if end == len(text):
            return end
        self._escaped = text[end] == "\\"
        self._quotes = 0 if self._escaped else self._quotes + 1
        if self._quotes == 3:
            self._state = _State.CODE
        return end + 1

    def _read_escaped(self, text: str, pos: int) -> int:
        self._escaped = text[pos] == "\r"  # the line feed that follows is escaped with it
        return pos + 1


_STEPS: dict[_State, Callable[[StatementSplitter, str, int], int]] = {
    _State.MARGIN: StatementSplitter._read_margin,
    _State.WORD: StatementSplitter._read_word,
    _State.CODE: StatementSplitter._read_code,
    _State.CARRIED: StatementSplitter._read_carried,
    _State.COMMENT: StatementSplitter._read_comment,
    _State.QUOTE: StatementSplitter._read_quote,
    _State.SINGLE: StatementSplitter._read_single,
    _State.TRIPLE: StatementSplitter._read_triple,
}


def _run(pattern: re.Pattern[str], text: str, pos: int) -> int:
    match = pattern.match(text, pos)
    return match.end() if match else pos
