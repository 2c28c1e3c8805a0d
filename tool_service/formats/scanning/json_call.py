"""Calls written as JSON objects, `{"name": …, "arguments": {…}}`, and their way into events.

    JsonLexer ─tokens─▶ CallReader (one call or an array of calls) ─▶ JsonCall (one call) ─▶ Arguments ─▶ events

`arguments` may be called `parameters`, may come before the name (then it is kept and said once the name is sealed), may
be left out or null, and may be a string that holds the object as JSON. Other keys are read over. An object that is no
call gives its text back unchanged, from its first character on.
"""

from collections.abc import Iterator
from enum import Enum, auto

from tool_service.formats.events import (
    ArgumentOpened,
    ArgumentsDelta,
    ArgumentSealed,
    CallMalformed,
    CallOpened,
    CallSealed,
    Event,
    StringDelta,
    Text,
)
from tool_service.formats.json_lexer import (
    ArrayClosed,
    ArrayOpened,
    JsonError,
    JsonLexer,
    JsonValue,
    KeySealed,
    ObjectClosed,
    ObjectOpened,
    ScalarSealed,
    StringGrown,
    StringOpened,
    StringSealed,
    Token,
    ValueBuilder,
)

MAX_CALLS = 64
ARGUMENT_KEYS = frozenset({"arguments", "parameters"})
CALL_KEYS = ARGUMENT_KEYS | {"name", "id", "type", "call_id", "index"}

INCOMPLETE = "the text ended inside the call"
TOO_MANY = f"more than {MAX_CALLS} calls in one turn"
NOT_AN_OBJECT = "the arguments are not an object"
GIVEN_TWICE = "the arguments are given twice"


class CallNumbers:
    """Hands out a turn's call numbers."""

    def __init__(self) -> None:
        self.given = 0

    def take(self) -> int:
        """The next number. From `MAX_CALLS` on, the call that gets it must not run."""
        self.given += 1
        return self.given - 1


class Arguments:
    """Turns the tokens of one arguments object into values and events."""

    def __init__(self) -> None:
        self.values: dict[str, JsonValue] = {}
        self.complete = False
        self._builder: ValueBuilder | None = None
        self._name = ""
        self._opened = False

    def take(self, token: Token, call: int) -> Event | None:
        """Takes the next token. An object must come first; the caller sees to that."""
        if self._builder is not None:
            return self._take_part(self._builder, token, call)
        match token:
            case KeySealed(name=name):
                self._name = name
            case StringOpened():
                return ArgumentOpened(call, self._name)
            case StringGrown(text=text):
                return StringDelta(call, self._name, text)
            case StringSealed(value=value) | ScalarSealed(value=value):
                return self._seal(value, call)
            case ObjectOpened() if not self._opened:
                self._opened = True
            case ObjectOpened() | ArrayOpened():
                self._builder = ValueBuilder()
                self._builder.take(token)
            case ObjectClosed():
                self.complete = True
            case ArrayClosed() | JsonError():
                pass
        return None

    def _take_part(self, builder: ValueBuilder, token: Token, call: int) -> Event | None:
        builder.take(token)
        if not builder.complete:
            return None
        self._builder = None
        return self._seal(builder.value, call)

    def _seal(self, value: JsonValue, call: int) -> Event:
        self.values[self._name] = value
        return ArgumentSealed(call, self._name, value)

    def replay(self, call: int) -> Iterator[Event]:
        """The events of the values so far."""
        for name, value in self.values.items():
            if isinstance(value, str):
                yield ArgumentOpened(call, name)
                if value:
                    yield StringDelta(call, name, value)
            yield ArgumentSealed(call, name, value)


class EncodedArguments:
    """Reads a string that holds the arguments object as JSON. A blank string and `null` stand for no arguments."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._lexer = JsonLexer()
        self._start = 0  # of the object in the text at hand
        self._opened = False
        self._empty = True
        self.failure = ""

    def feed(self, text: str, call: int) -> tuple[str, list[Event]]:
        """Takes more of the string; gives what of it is the object's text, and its events."""
        if self.failure:
            return "", []
        tokens, end = ([], 0) if self._lexer.done else self._lexer.feed(text)
        self._start = 0
        self._empty = self._empty and text.isspace()
        events = [event for token in tokens if (event := self._take(token, call)) is not None]
        if self._lexer.done and text[end:].strip(" \t\r\n"):
            self._fail("the arguments' object is followed by more text")
        return text[self._start : end] if self._opened else "", events

    def _take(self, token: Token, call: int) -> Event | None:
        if isinstance(token, JsonError):
            self._fail(token.reason)
        elif self._opened:
            return self._arguments.take(token, call)
        elif isinstance(token, ObjectOpened):
            self._opened, self._start = True, token.end - 1
            self._arguments.take(token, call)
        elif isinstance(token, ScalarSealed) and token.value is None:
            self._empty = True
        else:
            self._fail(NOT_AN_OBJECT)
        return None

    def _fail(self, reason: str) -> None:
        self.failure = self.failure or reason

    def close(self) -> None:
        """Takes the end of the string."""
        if not self._empty and not self._arguments.complete:
            self._fail("the arguments' object is not complete")


class Verdict(Enum):
    """What an object turned out to be."""

    UNDECIDED = auto()
    CALL = auto()
    NO_CALL = auto()


class JsonCall:
    """Reads the tokens of one call object, from behind its `{` on.

    Without `known`, any name opens a call. With it the object must look like a call: no foreign key may come before the
    call is opened, and a name that is not known opens it only together with arguments.
    """

    def __init__(self, numbers: CallNumbers, known: frozenset[str] | None) -> None:
        self.verdict = Verdict.UNDECIDED
        self.complete = False
        self._numbers, self._known = numbers, known
        self._number = 0
        self._name = ""
        self._key = ""
        self._depth = 1
        self._failure = ""
        self._arguments = Arguments()
        self._arguments_seen = False
        self._reading: EncodedArguments | Arguments | None = None
        self._raw_start = 0  # of the arguments' text in the text at hand
        self._raw_kept: list[str] = []

    def resume(self, start: int) -> None:
        """New text is at hand; it begins at `start`."""
        self._raw_start = start

    def pause(self, text: str, end: int, out: list[Event]) -> None:
        """The text at hand is read up to `end`."""
        if self._reading is self._arguments:
            self._say_raw(text[self._raw_start : end], out)

    def abort(self, reason: str, out: list[Event], *, incomplete: bool = False) -> None:
        """The call's text is wrong, or ends here."""
        if not self._failure:
            self._failure = reason
            out.append(CallMalformed(self._number, reason, incomplete))

    def take(self, token: Token, text: str, out: list[Event]) -> None:
        """Takes the next token."""
        if self._depth > 1 or not isinstance(token, KeySealed | ObjectClosed):
            self._take_value(token, text, out)
        elif isinstance(token, KeySealed):
            self._take_key(token.name, out)
        else:
            self._end(out)

    def _take_key(self, key: str, out: list[Event]) -> None:
        self._key = key
        if key in ARGUMENT_KEYS:
            self._take_arguments_key(out)
        elif self._known is not None and self.verdict is Verdict.UNDECIDED and key not in CALL_KEYS:
            self.verdict = Verdict.NO_CALL

    def _take_arguments_key(self, out: list[Event]) -> None:
        if self._arguments_seen:
            self._key = ""
            self._fail(GIVEN_TWICE, out)
        self._arguments_seen = True
        if self._name and self.verdict is Verdict.UNDECIDED:
            self._open(out)

    def _take_value(self, token: Token, text: str, out: list[Event]) -> None:
        first = self._depth == 1
        self._depth += depth_change(token)
        if self._key == "name":
            self._take_name(token, out)
        elif self._reading is not None:
            self._take_arguments(token, text, out)
        elif self._key in ARGUMENT_KEYS and first:
            self._start_arguments(token, out)

    def _take_name(self, token: Token, out: list[Event]) -> None:
        if isinstance(token, StringOpened | StringGrown):
            return
        if not isinstance(token, StringSealed) or not token.value:
            self.verdict = Verdict.NO_CALL
            return
        self._name = token.value
        if self._known is None or self._name in self._known or self._arguments_seen:
            self._open(out)

    def _open(self, out: list[Event]) -> None:
        self.verdict = Verdict.CALL
        self._number = self._numbers.take()
        out.append(CallOpened(self._number, self._name))
        failure, self._failure = self._failure, ""
        if failure or self._number >= MAX_CALLS:
            self._fail(failure or TOO_MANY, out)
            return
        self._say_raw("".join(self._raw_kept), out)
        self._raw_kept.clear()
        out.extend(self._arguments.replay(self._number))

    def _start_arguments(self, token: Token, out: list[Event]) -> None:
        if isinstance(token, ObjectOpened):
            self._reading, self._raw_start = self._arguments, token.end - 1
            self._arguments.take(token, self._number)
        elif isinstance(token, StringOpened):
            self._reading = EncodedArguments(self._arguments)
        elif not (isinstance(token, ScalarSealed) and token.value is None):
            self._fail(NOT_AN_OBJECT, out)

    def _take_arguments(self, token: Token, text: str, out: list[Event]) -> None:
        if isinstance(self._reading, EncodedArguments):
            self._take_encoded(self._reading, token, out)
            return
        event = self._arguments.take(token, self._number)
        if event is not None:
            self._say(event, out)
        if self._arguments.complete:
            self._say_raw(text[self._raw_start : token.end], out)
            self._reading = None

    def _take_encoded(self, encoded: EncodedArguments, token: Token, out: list[Event]) -> None:
        if isinstance(token, StringGrown):
            raw, events = encoded.feed(token.text, self._number)
            self._say_raw(raw, out)
            for event in events:
                self._say(event, out)
        elif isinstance(token, StringSealed):
            encoded.close()
            self._reading = None
        if encoded.failure:
            self._fail(encoded.failure, out)

    def _end(self, out: list[Event]) -> None:
        self.complete = True
        if self.verdict is Verdict.UNDECIDED:
            self.verdict = Verdict.NO_CALL
        elif not self._failure:
            out.append(CallSealed(self._number, self._arguments.values))

    def _say_raw(self, raw: str, out: list[Event]) -> None:
        if self.verdict is not Verdict.CALL:
            self._raw_kept.append(raw)
        elif raw:
            self._say(ArgumentsDelta(self._number, raw), out)

    def _say(self, event: Event, out: list[Event]) -> None:
        if self.verdict is Verdict.CALL and not self._failure:
            out.append(event)

    def _fail(self, reason: str, out: list[Event]) -> None:
        if self.verdict is Verdict.CALL:
            self.abort(reason, out)
        else:
            self._failure = self._failure or reason


def depth_change(token: Token) -> int:
    """How much deeper the next token is nested."""
    match token:
        case ObjectOpened() | ArrayOpened():
            return 1
        case ObjectClosed() | ArrayClosed():
            return -1
    return 0


class _Raw(Enum):
    """What becomes of the value's text."""

    HOLD = auto()  # kept until it is known whether it is a call
    PASS = auto()  # no call: said as text
    DROP = auto()  # a call, and what stands between calls


class CallReader:
    """Reads one JSON value, a call object or an array of them, as events.

    `prefix` is the text before the value that belongs to it if it is a call, and is said as text if it is not. An array
    is one of calls if its first item is a call; of the others, an object that is no call is said as text.
    """

    def __init__(self, numbers: CallNumbers, prefix: str = "", known: frozenset[str] | None = None) -> None:
        self.called = False
        self.cut_off = False
        self._numbers, self._known = numbers, known
        self._lexer = JsonLexer()
        self._call: JsonCall | None = None
        self._raw = _Raw.HOLD
        self._held = [prefix]
        self._mark = 0  # up to where the text at hand was held, said or dropped
        self._depth = 0
        self._base = 0  # the depth at which calls stand

    @property
    def ended(self) -> bool:
        """Whether the value is complete or wrong; `cut_off` then says that it went wrong inside an opened call."""
        return self._lexer.done or self._lexer.failed

    @property
    def failed(self) -> bool:
        """Whether the value is wrong."""
        return self._lexer.failed

    def feed(self, text: str, start: int, out: list[Event]) -> int:
        """Reads on from `start`; gives the index of the first character that is not the value's."""
        self._mark = start
        if self._call is not None:
            self._call.resume(start)
        tokens, end = self._lexer.feed(text, start)
        for token in tokens:
            self._take(token, text, out)
        if self._call is not None:
            self._call.pause(text, end, out)
        self._spend(text, end, out)
        return end

    def close(self, out: list[Event]) -> None:
        """Takes the end of the turn."""
        if self._call is not None and self._call.verdict is Verdict.CALL:
            self._call.abort(INCOMPLETE, out, incomplete=True)
        self._release(out)

    def _take(self, token: Token, text: str, out: list[Event]) -> None:
        depth, self._depth = self._depth, self._depth + depth_change(token)
        if isinstance(token, JsonError):
            self._break(token, text, out)
        elif self._call is not None:
            self._take_in_call(self._call, token, text, out)
        elif self._raw is _Raw.PASS:
            self._pass(token, text, out)
        elif isinstance(token, ArrayOpened) and depth == 0:
            self._base = 1
        elif depth == self._base and isinstance(token, ObjectOpened):
            self._begin_call(token, text, out)
        elif not self.called:
            self._refuse(token, text, out)

    def _begin_call(self, token: Token, text: str, out: list[Event]) -> None:
        self._call = JsonCall(self._numbers, self._known)
        if self.called:
            self._spend(text, token.end - 1, out)
            self._raw = _Raw.HOLD

    def _take_in_call(self, call: JsonCall, token: Token, text: str, out: list[Event]) -> None:
        call.take(token, text, out)
        if call.verdict is Verdict.NO_CALL:
            self._refuse(token, text, out)
            self._pass(token, text, out)
        elif call.verdict is Verdict.CALL and self._raw is _Raw.HOLD:
            self._spend(text, token.end, out)
            self._held.clear()
            self._raw, self.called = _Raw.DROP, True
        if call.complete:
            self._call = None

    def _refuse(self, token: Token, text: str, out: list[Event]) -> None:
        self._spend(text, token.end, out)
        self._release(out)
        self._call, self._raw = None, _Raw.PASS

    def _pass(self, token: Token, text: str, out: list[Event]) -> None:
        if self.called and self._depth == self._base:
            self._spend(text, token.end, out)
            self._raw = _Raw.DROP

    def _break(self, error: JsonError, text: str, out: list[Event]) -> None:
        self._spend(text, error.end, out)
        self._release(out)
        if self._call is not None and self._call.verdict is Verdict.CALL:
            self._call.pause(text, error.end, out)
            self._call.abort(f"the call is not JSON: {error.reason}", out)
            self.cut_off = True
        self._call = None

    def _spend(self, text: str, end: int, out: list[Event]) -> None:
        chunk, self._mark = text[self._mark : end], end
        if self._raw is _Raw.HOLD:
            self._held.append(chunk)
        elif self._raw is _Raw.PASS and chunk:
            out.append(Text(chunk))

    def _release(self, out: list[Event]) -> None:
        held = "".join(self._held)
        self._held.clear()
        if held:
            out.append(Text(held))
