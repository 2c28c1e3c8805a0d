"""Calls written as JSON objects, `{"name": …, "arguments": {…}}`, and their way into events.

    JsonLexer ─tokens─▶ JsonCallReader (one call or an array of them) ─▶ _CallSink (one call) ─▶ ArgumentsSink ─▶ Call

`arguments` may be called `parameters`, may come before the name (then it is kept and said once the name is sealed), may
be left out or null, and may be a string that holds the object as JSON. The call may stand in OpenAI's envelope,
`{"type": "function", "function": {…}}`. Other keys are read over. An object that is no call gives its text back
unchanged, from its first character on.
"""

from collections.abc import Callable
from enum import Enum, auto

from tool_service.formats.events import JsonValue
from tool_service.formats.scanning.json_lexer import MAX_DEPTH, TOO_DEEP, JsonLexer
from tool_service.formats.scanning.turn import INCOMPLETE, MAX_CHARACTERS, NOT_AN_OBJECT, Call, Turn

ARGUMENT_KEYS = frozenset({"arguments", "parameters"})
ENVELOPE = "function"
CALL_KEYS = ARGUMENT_KEYS | {"name", "id", "type", "call_id", "index", ENVELOPE}

MAX_HELD = 8 * MAX_CHARACTERS  # of arguments before a name, in which a character may be written as six

MAX_NAME = 256
AROUND = 3  # levels around the arguments: an array, an envelope, the call

GIVEN_TWICE = "the arguments are given twice"
NOT_JSON = "the call is not JSON: "


class ArgumentsSink:
    """Takes the tokens of one arguments object, from behind its `{` on, and calls `done` behind its `}`."""

    def __init__(self, call: Call, done: Callable[[], None]) -> None:
        self._call = call
        self._done = done
        self._name = ""
        self._depth = 0  # of an argument that is an object or array
        self._open: list[dict[str, JsonValue] | list[JsonValue]] = []  # the containers around the next part
        self._keys: list[str] = []

    @property
    def last_counts(self) -> bool:
        """Whether a key may come again: no argument's name, whose value may be with the tool by then."""
        return self._depth > 0 and self._call.last_counts

    def open_object(self) -> None:
        """An argument, or a part of one, is an object."""
        self._open_container({})

    def open_array(self) -> None:
        """An argument, or a part of one, is an array."""
        self._open_container([])

    def close_object(self) -> None:
        """An object ends: an argument's part, or the arguments."""
        if self._depth:
            self._close_container()
        else:
            self._done()

    def close_array(self) -> None:
        """An array ends."""
        self._close_container()

    def key(self, name: str) -> None:
        """An argument's name, or a key in an argument."""
        if not self._depth:
            self._name = name
        elif not self._call.failure:
            self._call.charge(len(name))
            self._keys.append(name)

    def open_string(self) -> None:
        """A string begins."""
        if not self._depth:
            self._call.open_string(self._name)

    def grow_string(self, text: str) -> None:
        """More of it."""
        if self._depth:
            self._call.charge(len(text))
        else:
            self._call.grow(text)

    def seal_string(self, value: str) -> None:
        """It is complete."""
        if self._depth:
            self._put(value)
        else:
            self._call.seal_string(value)

    def scalar(self, value: int | float | bool | None, characters: int) -> None:
        """A number, boolean or null."""
        if self._depth:
            self._call.charge(characters)
            self._put(value)
        else:
            self._call.seal_value(self._name, value, characters)

    def spoil(self, reason: str) -> None:
        """The call can't run."""
        self._call.malform(NOT_JSON + reason)

    def _open_container(self, container: dict[str, JsonValue] | list[JsonValue]) -> None:
        self._depth += 1
        if self._depth >= MAX_DEPTH:  # the arguments' object is the first level
            self.spoil(TOO_DEEP)
        self._call.charge(1)
        if not self._call.failure:
            self._open.append(container)

    def _close_container(self) -> None:
        self._depth -= 1
        if self._call.failure:
            self._open.clear()
        elif self._depth:
            self._put(self._open.pop())
        else:
            self._call.seal_value(self._name, self._open.pop(), 0)

    def _put(self, value: JsonValue) -> None:
        if self._call.failure:
            return
        container = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[self._keys.pop()] = value


class ArgumentsReader:
    """Reads the JSON text of one arguments object into a call. `null` stands for no arguments."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._lexer = JsonLexer(_First(self._begin, self._refuse))

    @property
    def complete(self) -> bool:
        """Whether the whole value was read."""
        return self._lexer.done

    @property
    def ended(self) -> bool:
        """Whether it reads no more: complete, or no JSON, and then the call is malformed."""
        return self._lexer.ended

    def feed(self, text: str, pos: int = 0) -> int:
        """Reads on from `pos`; gives the index of the first character that is not the object's."""
        pos = self._lexer.feed(text, pos)
        if self._lexer.failed:
            self._call.malform(NOT_JSON + self._lexer.failure)
        return pos

    def _begin(self) -> None:
        self._lexer.sink = ArgumentsSink(self._call, _nothing)

    def _refuse(self, is_null: bool) -> None:
        if not is_null:
            self._call.malform(NOT_AN_OBJECT)


def _nothing() -> None:
    """The lexer itself knows when the object is complete."""


class _Ignore:
    """A sink for values that don't matter; it knows when one is over."""

    last_counts = False

    def __init__(self) -> None:
        self.depth = 0

    def open_object(self) -> None:
        self.depth += 1

    def close_object(self) -> None:
        self.depth -= 1

    open_array = open_object
    close_array = close_object

    def key(self, name: str) -> None:
        pass

    def open_string(self) -> None:
        pass

    def grow_string(self, text: str) -> None:
        pass

    def seal_string(self, value: str) -> None:
        pass

    def scalar(self, value: int | float | bool | None, characters: int) -> None:
        pass

    def spoil(self, reason: str) -> None:
        pass


class _First(_Ignore):
    """Waits for a value's first token: an object begins, or something else stands there."""

    def __init__(self, begin: Callable[[], None], refuse: Callable[[bool], None]) -> None:
        super().__init__()
        self._begin, self._refuse = begin, refuse

    def open_object(self) -> None:
        if self.depth == 0:
            self._begin()
        self.depth += 1

    def open_array(self) -> None:
        self._other(is_null=False)
        self.depth += 1

    def open_string(self) -> None:
        self._other(is_null=False)

    def scalar(self, value: int | float | bool | None, characters: int) -> None:
        self._other(is_null=value is None)

    def _other(self, *, is_null: bool) -> None:
        if self.depth == 0:
            self._refuse(is_null)


class EncodedArguments:
    """Reads a string that holds the arguments object as JSON. A blank string and `null` stand for no arguments."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader = ArgumentsReader(call)
        self._blank = True

    def feed(self, text: str) -> None:
        """Takes more of the string."""
        end = 0 if self._reader.ended else self._reader.feed(text)
        self._blank = self._blank and text.isspace()
        if self._reader.ended and text[end:].strip(" \t\r\n"):
            self._call.malform("the arguments' object is followed by more text")

    def close(self) -> None:
        """Takes the end of the string."""
        if not self._blank and not self._reader.ended:
            self._call.malform("the arguments' object is not complete")


class Verdict(Enum):
    """What an object turned out to be."""

    UNDECIDED = auto()
    CALL = auto()
    NO_CALL = auto()


class _CallSink(_Ignore):
    """Takes the tokens of one call object, from behind its `{` on. `known`: see `JsonCallReader`."""

    def __init__(self, turn: Turn, known: frozenset[str] | None, owner: "JsonCallReader") -> None:
        super().__init__()
        self.call = Call(turn)
        self.verdict = Verdict.UNDECIDED
        self._known = known
        self._owner = owner
        self._level = 0  # the depth at which the call's keys stand
        self._name = ""
        self._name_size = 0
        self._key = ""
        self._arguments_seen = False
        self._encoded: EncodedArguments | None = None

    def open_object(self) -> None:
        if self.depth == self._level and self._key in ARGUMENT_KEYS:
            self._key = ""
            self._owner.read_arguments(ArgumentsSink(self.call, self._end_arguments))
            return
        if self.depth == self._level and self._key == "name":
            self._refuse()
        if self.depth == 0 and self._key == ENVELOPE and not self._name and not self._arguments_seen:
            self._level = 1
        self.depth += 1

    def open_array(self) -> None:
        self._other()
        self.depth += 1

    close_array = _Ignore.close_object

    def close_object(self) -> None:
        self.depth -= 1
        if self.depth < self._level:
            self._level = self.depth
        if self.depth < 0:
            self._end()

    def key(self, name: str) -> None:
        self._key = name if self.depth == self._level else ""
        if self._key in ARGUMENT_KEYS:
            self._take_arguments_key()
        elif self._known is not None and self.verdict is Verdict.UNDECIDED and self._key and name not in CALL_KEYS:
            self._refuse()

    def open_string(self) -> None:
        if self._key in ARGUMENT_KEYS:
            self._encoded = EncodedArguments(self.call)

    def grow_string(self, text: str) -> None:
        if self._encoded is not None:
            self._encoded.feed(text)
        elif self._key == "name":
            self._name_size += len(text)
            if self._name_size > MAX_NAME:
                self._refuse()

    def seal_string(self, value: str) -> None:
        if self._encoded is not None:
            self._encoded.close()
            self._encoded = None
        elif self._key == "name" and self.depth == self._level:
            self._take_name(value)
        self._key = ""

    def scalar(self, value: int | float | bool | None, characters: int) -> None:
        if value is not None or self._key not in ARGUMENT_KEYS:
            self._other()

    def spoil(self, reason: str) -> None:
        if self._key == "name":
            self._refuse()
        self.call.malform(NOT_JSON + reason)

    def _end_arguments(self) -> None:
        self._owner.end_arguments(self)

    def _other(self) -> None:
        """A value that is no object and no string."""
        if self.depth != self._level:
            return
        if self._key == "name":
            self._refuse()
        elif self._key in ARGUMENT_KEYS:
            self.call.malform(NOT_AN_OBJECT)
        self._key = ""

    def _take_arguments_key(self) -> None:
        if self._arguments_seen:
            self._key = ""
            self.call.malform(GIVEN_TWICE)
        self._arguments_seen = True
        if self._name and self.verdict is Verdict.UNDECIDED:
            self._open()

    def _take_name(self, name: str) -> None:
        self._name = name
        if not name:
            self._refuse()
        elif self.verdict is not Verdict.UNDECIDED:
            return
        elif self._known is None or name in self._known or self._arguments_seen:
            self._open()

    def _open(self) -> None:
        self.verdict = Verdict.CALL
        self._owner.accept()
        self.call.open(self._name)

    def _refuse(self) -> None:
        if self.verdict is Verdict.UNDECIDED:
            self.verdict = Verdict.NO_CALL
            self._owner.refuse()

    def _end(self) -> None:
        self._refuse()
        self.call.seal()
        self._owner.end_call()


class _Raw(Enum):
    """What becomes of the value's text."""

    HOLD = auto()  # kept until it is known whether it is a call
    PASS = auto()  # no call: said as text
    DROP = auto()  # a call, and what stands between calls


class JsonCallReader(_Ignore):
    """Reads one JSON value, a call object or an array of them.

    `prefix` is the text before the value that belongs to it if it is a call, and is said as text if it is not. Without
    `known`, any name opens a call. With it an object must look like a call: no foreign key may come before the call is
    opened, and a name that is not known opens it only together with arguments. An array is one of calls if its first
    item is a call; of the others, an object that is no call is said as text.
    """

    def __init__(self, turn: Turn, prefix: str = "", known: frozenset[str] | None = None) -> None:
        super().__init__()
        self.called = False
        self.cut_off = False
        self._turn, self._known = turn, known
        self._lexer = JsonLexer(self, MAX_DEPTH + AROUND)
        self._sink: _CallSink | None = None
        self._raw = _Raw.HOLD
        self._held = [prefix]
        self._size = 0  # of what is held
        self._text = ""
        self._mark = 0  # up to where the text at hand was held, said or dropped
        self._base = 0  # the depth at which calls stand

    @property
    def ended(self) -> bool:
        """Whether the value is complete or wrong; `cut_off` then says that it went wrong inside an opened call."""
        return self._lexer.ended

    @property
    def failed(self) -> bool:
        """Whether the value is wrong."""
        return self._lexer.failed

    def feed(self, text: str, start: int) -> int:
        """Reads on from `start`; gives the index of the first character that is not the value's."""
        self._text, self._mark = text, start
        end = self._lexer.feed(text, start)
        if self._raw is not _Raw.DROP:
            self._spend(end)
        if self._size > MAX_HELD:
            self.refuse()
        if self._lexer.failed:
            self._break()
        elif self._lexer.done and not self.called:
            self._release()
        return end

    def close(self) -> None:
        """Takes the end of the turn."""
        if self._sink is not None:
            self._sink.call.malform(INCOMPLETE, incomplete=True)
        self._release()

    def open_object(self) -> None:
        """At the base a call may begin; elsewhere it is a part of something else."""
        if self.depth == self._base and self._raw is not _Raw.PASS:
            if self.called:
                self._mark, self._raw = self._lexer.position - 1, _Raw.HOLD
            self._sink = _CallSink(self._turn, self._known, self)
            self._lexer.sink = self._sink
        else:
            self._refuse_value()
            self.depth += 1

    def open_array(self) -> None:
        """The array of calls, or something else."""
        if self.depth == 0 and self._raw is _Raw.HOLD:
            self._base = 1
        else:
            self._refuse_value()
        self.depth += 1

    def open_string(self) -> None:
        """No call."""
        self._refuse_value()

    def scalar(self, value: int | float | bool | None, characters: int) -> None:
        """No call."""
        self._refuse_value()

    def accept(self) -> None:
        """The object at hand is a call."""
        self._held.clear()
        self._size = 0
        self._raw, self.called = _Raw.DROP, True

    def refuse(self) -> None:
        """The object at hand is no call."""
        self._spend(self._lexer.position)
        self._release()
        self._raw = _Raw.PASS

    def read_arguments(self, sink: ArgumentsSink) -> None:
        """The call's arguments object begins."""
        self._lexer.sink = sink

    def end_arguments(self, sink: _CallSink) -> None:
        """It is over."""
        self._lexer.sink = sink

    def end_call(self) -> None:
        """The object at hand is complete."""
        if self.called and self._raw is _Raw.PASS:
            self._spend(self._lexer.position)
            self._raw = _Raw.DROP
        self._sink = None
        self._lexer.sink = self

    def _refuse_value(self) -> None:
        if self._raw is _Raw.HOLD:
            self.refuse()

    def _break(self) -> None:
        self._release()
        if self._sink is not None and self._sink.verdict is Verdict.CALL:
            self._sink.call.malform(NOT_JSON + self._lexer.failure)
            self.cut_off = True
        self._sink = None

    def _spend(self, end: int) -> None:
        chunk, self._mark = self._text[self._mark : end], end
        if self._raw is _Raw.HOLD:
            self._held.append(chunk)
            self._size += len(chunk)
        elif self._raw is _Raw.PASS:
            self._turn.say(chunk)

    def _release(self) -> None:
        self._turn.say("".join(self._held))
        self._held.clear()
        self._size = 0
