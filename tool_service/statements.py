"""Cuts Python source that is still being written into statements, each handed over once the text proves it complete.

A simple statement ends with its line. A compound statement (a block keyword, a decorator, or a line that ends in a
colon) ends where the next line that is neither blank nor a comment starts at column 0 with anything but `else`, `elif`,
`except` or `finally`. A line is a logical one: brackets, strings and backslashes carry it on.

    state      what is being read                         it ends at
    MARGIN     white space before a line's first token    a newline (a blank line)   # ─▶ COMMENT   else ─▶ WORD
                                                          \\ ─▶ CARRIED_MARGIN
    CARRIED_MARGIN  a backslash's newline there           a newline ─▶ MARGIN, whose indentation stays   else ─▶ CODE
    WORD       the line's first word                      any other character ─▶ CODE
    CODE       tokens                                     a newline outside of brackets ends the line ─▶ MARGIN
    CARRIED    a backslash's newline                      anything ─▶ CODE
    COMMENT    a comment                                  its newline, which CODE or MARGIN then reads
    QUOTE      one or two quotation marks                 a third ─▶ TRIPLE   else ─▶ SINGLE, or CODE after two
    SINGLE     a string in one line                       its quotation mark, or a newline (broken code) ─▶ CODE
    TRIPLE     a string in triple quotes                  three of its quotation marks ─▶ CODE
    FORMATTED  the text of an f-string, or the format     its quotation marks ─▶ CODE   { ─▶ BRACE, or in a format CODE
               of one of its fields                       the } of a field ─▶ FORMATTED around it
    BRACE      the character behind a {                   a second one ─▶ FORMATTED   else ─▶ CODE (a field)
    NAMED      what follows \\N in an f-string            the } of a character's name, or no { ─▶ FORMATTED

The fields of f-strings hold code with strings of its own (PEP 701), so they are on a stack: a field's code ends at the
`}`, or the colon before its format, that is outside of its brackets.

A carriage return is white space before a line feed, and a line feed elsewhere, as for Python. The work is proportional
to the text. Text that is not Python is handed over too, at the latest by `close`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

_BLOCK_WORDS = frozenset(
    {"if", "for", "while", "try", "with", "def", "class", "async", "else", "elif", "except", "finally", "@"}
)
_CLAUSE_WORDS = ("else", "elif", "except", "finally")
_WORD_ROOM = 1 + max(map(len, _BLOCK_WORDS))  # more of a word need not be known

_MARGIN_RUN = re.compile(r"[ \t\f\r]*")
_WORD_RUN = re.compile(r"\w*")
_CODE_RUN = re.compile(r"""[^\n#"'\\()\[\]{}]*""")
_FIELD_RUN = re.compile(r"""[^\n#"'\\()\[\]{}:]*""")
_F_PREFIX = re.compile(r"(?:\A|\W)((?i:[ft]r?|r[ft]))\Z")  # of formatted strings, and of template strings (PEP 750)
_PREFIX_ROOM = 3
_NAME_RUN = re.compile(r"[\w -]*")
_LONE_RETURN = re.compile(r"\r(?!\n)")
_SINGLE_RUNS = {quote: re.compile(rf"[^{quote}\\\n]*") for quote in "\"'"}
_TRIPLE_RUNS = {quote: re.compile(rf"[^{quote}\\]*") for quote in "\"'"}
_FORMATTED_RUNS = {quote: re.compile(rf"[^{quote}\\\n{{}}]*") for quote in "\"'"}


class _State(Enum):
    MARGIN = auto()
    WORD = auto()
    CODE = auto()
    CARRIED = auto()
    CARRIED_MARGIN = auto()
    COMMENT = auto()
    QUOTE = auto()
    SINGLE = auto()
    TRIPLE = auto()
    FORMATTED = auto()
    BRACE = auto()
    NAMED = auto()


class _Part(Enum):
    TEXT = auto()
    FIELD = auto()
    FORMAT = auto()


@dataclass(slots=True)
class _Formatted:
    """A part of an f-string that is being read. `depth`: of the brackets around it."""

    part: _Part
    quote: str
    triple: bool
    raw: bool
    depth: int


class StatementSplitter:
    """Takes source text in pieces and gives back statements; joined they are the text, comments too."""

    def __init__(self) -> None:
        self._state = _State.MARGIN
        self._statements: list[str] = []
        # The statement that is being read: its text so far, and where it and the text at hand begin in the whole text.
        self._kept: list[str] = []
        self._begin = 0
        self._kept_to = 0
        self._origin = 0
        self._text = ""  # the text at hand, as it came
        self._held = ""  # a carriage return that a line feed may follow
        self._in_block = False  # it is a compound one
        self._decorated = False  # its last line at column 0 was a decorator
        # The logical line that is being read.
        self._line_begin = 0
        self._indented = False
        self._word = ""
        self._last = ""  # the last character that is neither white space nor comment
        self._depth = 0
        self._tail = ""  # the last characters of the code at hand: a string's prefix
        self._carried_margin = False
        self._after_comment = _State.MARGIN
        # The string that is being read.
        self._quote = ""
        self._quotes = 0
        self._escaped = False
        self._named = False  # the { of a character's name was read
        self._formatted: list[_Formatted] = []  # parts of f-strings, the outermost first

    def feed(self, text: str) -> list[str]:
        """Takes the next piece of the source; gives the statements it completes."""
        text, self._held = self._held + text, ""
        if text.endswith("\r"):
            text, self._held = text[:-1], "\r"
        return self._take(text)

    def _take(self, text: str) -> list[str]:
        self._statements, self._text = [], text
        if "\r" in text:
            text = _LONE_RETURN.sub("\n", text)
        pos = 0
        while pos < len(text):
            pos = _STEPS[self._state](self, text, pos)
        self._keep(len(text))
        self._origin += len(text)
        self._kept_to = self._origin
        return self._statements

    def close(self) -> list[str]:
        """Takes the end of the source; gives what is left, complete or not."""
        statements = self._take(self._held)
        if self._state is _State.WORD and self._at_new_line() and self._word not in _CLAUSE_WORDS:
            self._hand_over(self._line_begin)
        rest = "".join(self._kept)
        return [*statements, rest] if rest else statements

    def _keep(self, pos: int) -> None:
        self._kept.append(self._text[self._kept_to - self._origin : pos])
        self._kept_to = self._origin + pos

    def _hand_over(self, end: int) -> None:
        """Hands the statement over; it ends at `end` in the whole text, and the little behind begins the next."""
        kept, size = "".join(self._kept), end - self._begin
        self._statements.append(kept[:size])
        self._kept, self._begin = [kept[size:]], end
        self._in_block = self._decorated = False

    def _read_margin(self, text: str, pos: int) -> int:
        end = _run(_MARGIN_RUN, text, pos)
        if not self._carried_margin:
            self._indent(text[pos:end])
        if end == len(text):
            return end
        if text[end] == "\n":
            self._indented = self._carried_margin = False
            return end + 1
        if text[end] == "\\":
            return self._begin_carried_margin(end)
        if text[end] == "#":
            self._state, self._after_comment = _State.COMMENT, _State.MARGIN
            return end + 1
        return self._begin_line(text, end)

    def _indent(self, margin: str) -> None:
        """A form feed begins the margin anew."""
        _, feed, rest = margin.rpartition("\f")
        self._indented = rest != "" or (self._indented and not feed)

    def _begin_carried_margin(self, pos: int) -> int:
        if not self._carried_margin:
            self._line_begin = self._origin + pos
        self._carried_margin, self._state = True, _State.CARRIED_MARGIN
        return pos + 1

    def _read_carried_margin(self, text: str, pos: int) -> int:
        if text[pos] == "\r":
            return pos + 1
        if text[pos] == "\n":
            self._state = _State.MARGIN
            return pos + 1
        self._begin_line(text, pos)
        self._word, self._last = "", "\\"
        self._prove(pos)
        self._state = _State.CODE
        return pos

    def _begin_line(self, text: str, pos: int) -> int:
        if not self._carried_margin:
            self._line_begin = self._origin + pos
        self._carried_margin = False
        self._formatted.clear()
        self._word, self._depth = "", 0
        self._state = _State.WORD
        if text[pos] != "@":
            return pos
        self._word = "@"
        self._end_word(pos + 1)
        return pos + 1

    def _read_word(self, text: str, pos: int) -> int:
        end = _run(_WORD_RUN, text, pos)
        self._word += text[pos : min(end, pos + _WORD_ROOM - len(self._word))]
        if end < len(text):
            self._end_word(end)
        elif not any(word.startswith(self._word) for word in _CLAUSE_WORDS):
            self._prove(end)
        return end

    def _end_word(self, pos: int) -> None:
        if self._word not in _CLAUSE_WORDS:
            self._prove(pos)
        self._last, self._tail = self._word[-1:], self._word[-_PREFIX_ROOM:]
        self._state = _State.CODE

    def _prove(self, pos: int) -> None:
        """The line's first word is no clause's: at column 0 it proves the statement before it complete."""
        if self._at_new_line():
            self._keep(pos)
            self._hand_over(self._line_begin)

    def _at_new_line(self) -> bool:
        return self._in_block and not self._indented and not self._decorated

    def _read_code(self, text: str, pos: int) -> int:
        end = _run(_FIELD_RUN if self._formatted else _CODE_RUN, text, pos)
        self._last = text[pos:end].rstrip()[-1:] or self._last
        self._tail = (self._tail + text[max(pos, end - _PREFIX_ROOM) : end])[-_PREFIX_ROOM:]
        if end == len(text):
            return end
        char = text[end]
        if char == "\n":
            self._read_newline(end + 1)
        elif char == "#":
            self._state, self._after_comment = _State.COMMENT, _State.CODE
        else:
            self._last = char
            self._read_mark(char)
        return end + 1

    def _read_mark(self, char: str) -> None:
        if self._formatted and not self._depth and char in "}:":
            self._end_code_of_field(char)
        elif char in "([{":
            self._depth += 1
        elif char == ":":
            pass
        elif char in ")]}":
            self._depth = max(0, self._depth - 1)
        elif char == "\\":
            self._state = _State.CARRIED
        else:
            self._quote, self._quotes, self._escaped = char, 1, False
            self._state = _State.QUOTE
            return
        self._tail = char

    def _end_code_of_field(self, char: str) -> None:
        field = self._formatted.pop()
        self._depth, self._state = field.depth, _State.FORMATTED
        self._quotes, self._escaped = 0, False
        if char == ":":
            self._formatted.append(replace(field, part=_Part.FORMAT))

    def _read_newline(self, end: int) -> None:
        if self._depth or self._formatted:
            return
        if not self._in_block and not self._opens_block():
            self._keep(end)
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
        if text[pos] != self._quote and self._quotes == 2:
            self._state, self._tail = _State.CODE, self._quote
            return pos
        if text[pos] != self._quote:
            self._begin_string(_State.SINGLE)
            return pos
        self._quotes += 1
        if self._quotes == 3:
            self._begin_string(_State.TRIPLE)
        return pos + 1

    def _begin_string(self, state: _State) -> None:
        prefix, self._tail = _F_PREFIX.search(self._tail), self._quote
        self._state, self._quotes = state, 0
        if prefix:
            raw = "r" in prefix[1].lower()
            self._formatted.append(_Formatted(_Part.TEXT, self._quote, state is _State.TRIPLE, raw, self._depth))
            self._state = _State.FORMATTED

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

    def _read_formatted(self, text: str, pos: int) -> int:
        part = self._formatted[-1]
        if self._escaped:
            return self._read_formatted_escaped(part, text, pos)
        end = _run(_FORMATTED_RUNS[part.quote], text, pos)
        if end > pos:
            self._quotes = 0
        if end == len(text):
            return end
        char = text[end]
        self._quotes = self._quotes + 1 if char == part.quote else 0
        if char == part.quote and self._quotes == (3 if part.triple else 1):
            self._end_formatted()
        elif char == "\n" and not part.triple:
            self._end_formatted()
            return end
        elif char == "\\":
            self._escaped = True
        elif char == "{":
            self._read_brace_of(part)
        elif char == "}" and part.part is _Part.FORMAT:
            self._formatted.pop()
        return end + 1

    def _read_formatted_escaped(self, part: _Formatted, text: str, pos: int) -> int:
        if text[pos] in "{}":
            self._escaped = False
            return pos
        if text[pos] == "N" and not part.raw:
            self._escaped, self._state, self._named = False, _State.NAMED, False
            return pos + 1
        return self._read_escaped(text, pos)

    def _read_named(self, text: str, pos: int) -> int:
        if not self._named:
            self._named = text[pos] == "{"
            self._state = _State.NAMED if self._named else _State.FORMATTED
            return pos + 1 if self._named else pos
        end = _run(_NAME_RUN, text, pos)
        if end < len(text):
            self._state = _State.FORMATTED
            return end + 1 if text[end] == "}" else end
        return end

    def _end_formatted(self) -> None:
        part = self._formatted.pop()
        while part.part is not _Part.TEXT:
            part = self._formatted.pop()
        self._state, self._depth, self._last = _State.CODE, part.depth, part.quote

    def _read_brace_of(self, part: _Formatted) -> None:
        if part.part is _Part.TEXT:
            self._state = _State.BRACE
        else:
            self._begin_field()

    def _read_brace(self, text: str, pos: int) -> int:
        if text[pos] == "{":
            self._state = _State.FORMATTED
            return pos + 1
        self._begin_field()
        return pos

    def _begin_field(self) -> None:
        self._formatted.append(replace(self._formatted[-1], part=_Part.FIELD, depth=self._depth))
        self._depth, self._tail, self._state = 0, "{", _State.CODE

    def _read_escaped(self, text: str, pos: int) -> int:
        self._escaped = text[pos] == "\r"  # the line feed that follows is escaped with it
        return pos + 1


_STEPS: dict[_State, Callable[[StatementSplitter, str, int], int]] = {
    _State.MARGIN: StatementSplitter._read_margin,
    _State.WORD: StatementSplitter._read_word,
    _State.CODE: StatementSplitter._read_code,
    _State.CARRIED: StatementSplitter._read_carried,
    _State.CARRIED_MARGIN: StatementSplitter._read_carried_margin,
    _State.COMMENT: StatementSplitter._read_comment,
    _State.QUOTE: StatementSplitter._read_quote,
    _State.SINGLE: StatementSplitter._read_single,
    _State.TRIPLE: StatementSplitter._read_triple,
    _State.FORMATTED: StatementSplitter._read_formatted,
    _State.BRACE: StatementSplitter._read_brace,
    _State.NAMED: StatementSplitter._read_named,
}


def _run(pattern: re.Pattern[str], text: str, pos: int) -> int:
    match = pattern.match(text, pos)
    return match.end() if match else pos
