"""Cuts an SQL script that is still being written into statements, each handed over once its `;` is there.

Nothing but the `;` ends a statement: `DELETE FROM t` may still become `DELETE FROM t WHERE …`. The last one may lack
it; the end of the text, which only `close` knows, ends that one.

    state      what is being read                         it ends at
    CODE       everything that is not below               ; ─▶ the statement's end   ' " ` [ ─▶ QUOTED   - ─▶ DASH
                                                          / ─▶ SLASH   $ ─▶ DOLLAR   a letter ─▶ WORD
    WORD       a keyword or name                          any other character ─▶ CODE   e' ─▶ ESCAPED
    DASH       a - that may begin a comment               a second one ─▶ LINE   else ─▶ CODE
    SLASH      a / that may begin a comment               * ─▶ BLOCK   else ─▶ CODE
    LINE       a comment up to the line's end             a newline ─▶ CODE
    BLOCK      a comment in /* */                         */ ─▶ CODE
    QUOTED     a string or a quoted name                  its closing character ─▶ CODE; doubled, it opens the next
    ESCAPED    a string E'…' with backslashes             ' ─▶ AFTER
    AFTER      what follows it                            ' at once, or on another line ─▶ ESCAPED   else ─▶ CODE
    DOLLAR     a dollar quote's opening $tag              $ ─▶ BODY   else ─▶ CODE
    BODY       a dollar-quoted string                     $tag$ ─▶ CODE

SQLite has the names in [ ] and ` `, and comments that do not nest; only PostgreSQL has E'…', dollar quotes, and
comments that nest. A `;` in the middle of a statement is one in

* SQLite: CREATE TRIGGER, which ends at `; END ;` (the automaton of sqlite3_complete, see `_TRIGGER_STEPS`);
* PostgreSQL: parentheses, and the BEGIN … END of CREATE FUNCTION and CREATE PROCEDURE (as psql counts them).

The work is proportional to the text, however it is cut.
"""

import re
from collections.abc import Callable
from enum import Enum, auto


class Dialect(Enum):
    """Whose SQL."""

    SQLITE = "SQLite"
    POSTGRES = "PostgreSQL"


class _State(Enum):
    CODE = auto()
    WORD = auto()
    DASH = auto()
    SLASH = auto()
    LINE = auto()
    BLOCK = auto()
    QUOTED = auto()
    ESCAPED = auto()
    AFTER = auto()
    DOLLAR = auto()
    BODY = auto()


class _Phase(Enum):
    """How far a statement of SQLite is on its way through a trigger."""

    START = 0
    PLAIN = 1
    EXPLAIN = 2
    CREATE = 3
    TRIGGER = 4
    SEMICOLON = 5
    END = 6


_WORD_ROOM = 64  # more of a word need not be known: PostgreSQL cuts names at 63 bytes
_LETTER = r"A-Za-z_\x80-\U0010ffff"
_SPACE = {Dialect.SQLITE: " \t\n\f\r", Dialect.POSTGRES: " \t\n\f\r\v"}
_WORD = {Dialect.SQLITE: re.compile(rf"[{_LETTER}0-9$]+"), Dialect.POSTGRES: re.compile(rf"[{_LETTER}0-9$]+")}
_WORD_BEGINS = {Dialect.SQLITE: re.compile(rf"[{_LETTER}0-9$]"), Dialect.POSTGRES: re.compile(rf"[{_LETTER}]")}
_PLAIN = {
    Dialect.SQLITE: re.compile(rf"[^;'\"`\[\-/{_LETTER}0-9$]+"),
    Dialect.POSTGRES: re.compile(rf"[^;'\"\-/()${_LETTER}]+"),
}
_NO_TRIGGER = re.compile(r"[^;'\"`\[\-/]+")
_QUOTES = {Dialect.SQLITE: {"'": "'", '"': '"', "`": "`", "[": "]"}, Dialect.POSTGRES: {"'": "'", '"': '"'}}
_LINE = {Dialect.SQLITE: re.compile(r"[^\n]*"), Dialect.POSTGRES: re.compile(r"[^\n\r]*")}
_BLOCK_RUN = re.compile(r"[^*/]+")
_ESCAPED_RUN = re.compile(r"[^'\\]*")
_TAG = re.compile(rf"[{_LETTER}0-9]+")
_DIGITS = "0123456789"

_TRIGGER_STEPS = {
    # phase             EXPLAIN, CREATE, TEMP, TRIGGER, END; then any other token
    _Phase.START: ({"explain": _Phase.EXPLAIN, "create": _Phase.CREATE}, _Phase.PLAIN),
    _Phase.PLAIN: ({}, _Phase.PLAIN),
    _Phase.EXPLAIN: (
        {"explain": _Phase.PLAIN, "create": _Phase.CREATE, "temp": _Phase.PLAIN, "temporary": _Phase.PLAIN}
        | {"trigger": _Phase.PLAIN, "end": _Phase.PLAIN},
        _Phase.EXPLAIN,
    ),
    _Phase.CREATE: (
        {"temp": _Phase.CREATE, "temporary": _Phase.CREATE, "trigger": _Phase.TRIGGER},
        _Phase.PLAIN,
    ),
    _Phase.TRIGGER: ({}, _Phase.TRIGGER),
    _Phase.SEMICOLON: ({"end": _Phase.END}, _Phase.TRIGGER),
    _Phase.END: ({}, _Phase.TRIGGER),
}
_ROUTINE = re.compile(r"create (or replace )?(function|procedure)\b")
_ROUTINE_WORDS = 4


class SqlSplitter:
    """Takes a script in pieces and gives back statements with their `;`; joined they are the text, comments too."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._state = _State.CODE
        self._statements: list[str] = []
        self._kept: list[str] = []  # the statement that is being read, as far as it was in earlier pieces
        self._begin = 0  # where it, or the rest of it, begins in the text at hand
        # The token that is being read.
        self._word = ""
        self._closing = ""
        self._depth = 0  # of comments
        self._mark = ""  # a * or / in a comment
        self._is_escaped = False
        self._since_string = ""  # between an E'…' and what may be more of it: "nothing", "space" or "newline"
        self._tag: list[str] = []
        self._delimiter = ""
        self._matched = 0  # characters of it
        # The statement that is being read.
        self._begin_statement()

    def feed(self, text: str) -> list[str]:
        """Takes the next piece of the script; gives the statements it completes."""
        self._statements, self._begin, pos = [], 0, 0
        while pos < len(text):
            pos = _STEPS[self._state](self, text, pos)
        if self._begin < len(text):
            self._kept.append(text[self._begin :])
        return self._statements

    def close(self) -> list[str]:
        """Takes the end of the script; gives what is left, complete or not."""
        if self._state is _State.WORD:
            self._take_word(self._word)
        rest, self._kept = "".join(self._kept), []
        return [rest] if rest else []

    def _begin_statement(self) -> None:
        self._phase = _Phase.START
        self._first_words: list[str] = []
        self._parentheses = 0
        self._blocks = 0

    def _read_code(self, text: str, pos: int) -> int:
        if self._phase is _Phase.PLAIN and (run := _NO_TRIGGER.match(text, pos)):
            return run.end()  # words are of no more interest
        if run := _PLAIN[self._dialect].match(text, pos):
            if self._dialect is Dialect.SQLITE and run[0].strip(_SPACE[Dialect.SQLITE]):
                self._take_token("")
            return run.end()
        char = text[pos]
        if _WORD_BEGINS[self._dialect].match(char):
            self._state, self._word = _State.WORD, ""
            return pos
        if char in _QUOTES[self._dialect]:
            self._take_token("")
            self._state, self._closing = _State.QUOTED, _QUOTES[self._dialect][char]
        elif char == ";":
            self._read_semicolon(text, pos + 1)
        elif char in "()":
            self._parentheses = max(0, self._parentheses + (1 if char == "(" else -1))
        else:
            self._state = {"-": _State.DASH, "/": _State.SLASH, "$": _State.DOLLAR}[char]
            self._tag = []
        return pos + 1

    def _read_semicolon(self, text: str, end: int) -> None:
        if self._phase in (_Phase.TRIGGER, _Phase.SEMICOLON):
            self._phase = _Phase.SEMICOLON
        elif not self._parentheses and not self._blocks:
            self._statements.append("".join((*self._kept, text[self._begin : end])))
            self._kept, self._begin = [], end
            self._begin_statement()

    def _read_word(self, text: str, pos: int) -> int:
        if run := _WORD[self._dialect].match(text, pos):
            self._word += run[0][: _WORD_ROOM - len(self._word)]
            return run.end()
        self._state = _State.CODE
        self._take_word(self._word)
        if self._dialect is Dialect.POSTGRES and self._word in ("e", "E") and text[pos] == "'":
            self._state = _State.ESCAPED
            return pos + 1
        return pos

    def _take_word(self, word: str) -> None:
        """A whole word outside of strings and comments."""
        self._take_token(word.lower())

    def _take_token(self, word: str) -> None:
        if self._dialect is Dialect.SQLITE:
            steps, other = _TRIGGER_STEPS[self._phase]
            self._phase = steps.get(word, other)
        elif word:
            self._count_blocks(word)

    def _count_blocks(self, word: str) -> None:
        if len(self._first_words) < _ROUTINE_WORDS:
            self._first_words.append(word)
        if self._parentheses or word not in ("begin", "case", "end") or not self._is_routine():
            return
        if word == "begin" or (word == "case" and self._blocks):
            self._blocks += 1
        elif word == "end":
            self._blocks = max(0, self._blocks - 1)

    def _is_routine(self) -> bool:
        return bool(_ROUTINE.match(" ".join(self._first_words)))

    def _read_dash(self, text: str, pos: int) -> int:
        if text[pos] == "-":
            self._state = _State.LINE
            return pos + 1
        self._state, self._since_string = _State.CODE, ""
        self._take_token("")
        return pos

    def _read_slash(self, text: str, pos: int) -> int:
        if text[pos] == "*":
            self._state, self._depth, self._mark = _State.BLOCK, 1, ""
            return pos + 1
        self._state = _State.CODE
        self._take_token("")
        return pos

    def _read_line(self, text: str, pos: int) -> int:
        end = _run(_LINE[self._dialect], text, pos)
        if end < len(text):
            self._state = _State.AFTER if self._since_string else _State.CODE
        return end

    def _read_block(self, text: str, pos: int) -> int:
        if run := _BLOCK_RUN.match(text, pos):
            self._mark = ""
            return run.end()
        pair, self._mark = self._mark + text[pos], text[pos]
        if pair == "*/" or (pair == "/*" and self._dialect is Dialect.POSTGRES):
            self._depth += 1 if pair == "/*" else -1
            self._mark = ""
            self._state = _State.BLOCK if self._depth else _State.CODE
        return pos + 1

    def _read_quoted(self, text: str, pos: int) -> int:
        end = text.find(self._closing, pos)
        if end < 0:
            return len(text)
        self._state = _State.CODE
        return end + 1

    def _read_escaped(self, text: str, pos: int) -> int:
        if self._is_escaped:
            self._is_escaped = False
            return pos + 1
        end = _run(_ESCAPED_RUN, text, pos)
        if end == len(text):
            return end
        if text[end] == "\\":
            self._is_escaped = True
        else:
            self._state, self._since_string = _State.AFTER, "nothing"
        return end + 1

    def _read_after(self, text: str, pos: int) -> int:
        char = text[pos]
        if char == "'" and self._since_string != "space":
            self._state, self._since_string = _State.ESCAPED, ""
        elif char in "\r\n":
            self._since_string = "newline"
        elif char in _SPACE[self._dialect]:
            self._since_string = "newline" if self._since_string == "newline" else "space"
        elif char == "-":
            self._state = _State.DASH
        else:
            self._state, self._since_string = _State.CODE, ""
            return pos
        return pos + 1

    def _read_dollar(self, text: str, pos: int) -> int:
        run = _TAG.match(text, pos)
        if run and not (not self._tag and run[0][0] in _DIGITS):
            self._tag.append(run[0])
            return run.end()
        self._state = _State.CODE
        if run or text[pos] != "$":
            return pos
        self._state, self._delimiter, self._matched = _State.BODY, f"${''.join(self._tag)}$", 0
        return pos + 1

    def _read_body(self, text: str, pos: int) -> int:
        if not self._matched:
            found = text.find("$", pos)
            self._matched = int(found >= 0)
            return found + 1 if found >= 0 else len(text)
        if text[pos] == self._delimiter[self._matched]:
            self._matched += 1
        else:
            self._matched = int(text[pos] == "$")
        if self._matched == len(self._delimiter):
            self._state = _State.CODE
        return pos + 1


_STEPS: dict[_State, Callable[[SqlSplitter, str, int], int]] = {
    _State.CODE: SqlSplitter._read_code,
    _State.WORD: SqlSplitter._read_word,
    _State.DASH: SqlSplitter._read_dash,
    _State.SLASH: SqlSplitter._read_slash,
    _State.LINE: SqlSplitter._read_line,
    _State.BLOCK: SqlSplitter._read_block,
    _State.QUOTED: SqlSplitter._read_quoted,
    _State.ESCAPED: SqlSplitter._read_escaped,
    _State.AFTER: SqlSplitter._read_after,
    _State.DOLLAR: SqlSplitter._read_dollar,
    _State.BODY: SqlSplitter._read_body,
}


def split(script: str, dialect: Dialect) -> list[str]:
    """The statements of a whole script."""
    splitter = SqlSplitter(dialect)
    return splitter.feed(script) + splitter.close()


class _WordReader(SqlSplitter):
    def __init__(self) -> None:
        super().__init__(Dialect.POSTGRES)
        self.words: list[str] = []

    def _take_word(self, word: str) -> None:
        self.words.append(word.lower())
        super()._take_word(word)


def words(statement: str) -> list[str]:
    """Keywords and names of a statement of PostgreSQL in lower case, without those in quotes; 64 letters of each."""
    reader = _WordReader()
    reader.feed(statement)
    reader.close()
    return reader.words


def _run(pattern: re.Pattern[str], text: str, pos: int) -> int:
    match = pattern.match(text, pos)
    return match.end() if match else pos
