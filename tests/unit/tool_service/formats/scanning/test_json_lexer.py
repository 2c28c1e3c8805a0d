import json
from typing import Any

import jiter
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tool_service.formats.turns import cuts, pieces_at, texts, values
from tool_service.formats.events import JsonValue
from tool_service.formats.scanning.json_lexer import MAX_DEPTH, MAX_DIGITS, JsonLexer, ValueBuilder


class Recorder:
    """A sink that writes down what it is told: the place, the token, its value."""

    last_counts = False

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def open_object(self) -> None:
        self.said.append(("{",))

    def close_object(self) -> None:
        self.said.append(("}",))

    def open_array(self) -> None:
        self.said.append(("[",))

    def close_array(self) -> None:
        self.said.append(("]",))

    def key(self, name: str) -> None:
        self.said.append(("key", name))

    def open_string(self) -> None:
        self.said.append(("string",))

    def grow_string(self, text: str) -> None:
        self.said.append(("grown", text))

    def seal_string(self, value: str) -> None:
        self.said.append(("sealed", value))

    def scalar(self, value: int | float | bool | None, characters: int) -> None:
        self.said.append(("scalar", value, characters))

    def spoil(self, reason: str) -> None:
        self.said.append(("spoiled", reason))


def lex(*pieces: str) -> tuple[list[tuple[Any, ...]], str, str]:
    """The tokens, a string's growth joined; why it failed; the text behind the value."""
    recorder = Recorder()
    lexer, rest = JsonLexer(recorder), ""
    for piece in pieces:
        rest += piece[lexer.feed(piece) :]
    said: list[tuple[Any, ...]] = []
    for token in recorder.said:
        if token[0] == "grown" and said and said[-1][0] == "grown":
            said[-1] = ("grown", said[-1][1] + token[1])
        else:
            said.append(token)
    return said, lexer.failure, rest


def error_of(text: str) -> str:
    """Why it can't be read or used."""
    said, failure, _ = lex(text)
    return failure or next((token[1] for token in said if token[0] == "spoiled"), "")


def value_of(text: str) -> JsonValue:
    """The value that is the whole text. Raises `ValueError` where there is none."""
    text, builder = text + " ", ValueBuilder()  # white space, because only a terminator seals a number
    lexer = JsonLexer(builder)
    end = lexer.feed(text)
    if not builder.complete or text[end:].strip():
        raise ValueError(lexer.failure or "incomplete, or followed by more text")
    return builder.value


def oracle(text: str) -> Any:
    return jiter.from_json(text.encode(), allow_inf_nan=False, catch_duplicate_keys=True)


def same(left: Any, right: Any) -> bool:
    return repr(left) == repr(right)  # tells 1 from 1.0 and True, and 0.0 from -0.0


@given(value=values, style=st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 1}, {"separators": (",", ":")}]))
@settings(max_examples=200, deadline=None)
def test_a_value_is_what_the_oracle_says(value: Any, style: dict[str, Any]) -> None:
    text = json.dumps(value, **style)
    assert same(value_of(text), oracle(text))


PIECES = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    '"b"',
    '"',
    "\\",
    "\\u",
    "d83d",
    "\\ude00",
    "1",
    "-",
    "0",
    ".",
    "e+5",
    " ",
]


@given(
    text=st.lists(st.sampled_from([*PIECES, "true", "false", "null", "nul", "NaN", "x", "\x7f", "\x01"])).map("".join)
)
@settings(max_examples=200, deadline=None)
def test_what_is_accepted_and_what_is_not_is_what_the_oracle_says(text: str) -> None:
    try:
        expected = oracle(text)
    except ValueError:
        with pytest.raises(ValueError):
            value_of(text)
    else:
        assert same(value_of(text), expected)


@given(value=values, ascii_only=st.booleans(), broken=st.integers(0, 300), rest=texts)
@settings(max_examples=50, deadline=None)
def test_tokens_do_not_depend_on_the_cut(value: Any, ascii_only: bool, broken: int, rest: str) -> None:
    text = json.dumps({"a": value}, ensure_ascii=ascii_only)
    text = text[:broken] + "?" * (broken < len(text)) + text[broken:] + rest
    whole = lex(text)
    for pieces in cuts(text):
        assert lex(*pieces) == whole


@given(value=values, places=st.lists(st.integers(0, 10_000), max_size=8))
@settings(max_examples=200, deadline=None)
def test_tokens_do_not_depend_on_random_cuts(value: Any, places: list[int]) -> None:
    text = json.dumps([value, value])
    assert lex(*pieces_at(text, places)) == lex(text)


def test_says_every_part_of_a_value() -> None:
    said, failure, rest = lex('{"a": ["x", 1]} rest')
    assert said[:5] == [("{",), ("key", "a"), ("[",), ("string",), ("grown", "x")]
    assert said[5:] == [("sealed", "x"), ("scalar", 1, 1), ("]",), ("}",)]
    assert (failure, rest) == ("", " rest")


def test_text_behind_the_value_is_not_read() -> None:
    lexer = JsonLexer(Recorder())
    assert lexer.feed('xx{"a":1}]]', 2) == 9
    assert lexer.done
    assert lexer.feed("more") == 0


def fed(recorder: Recorder, lexer: JsonLexer, text: str) -> list[tuple[Any, ...]]:
    recorder.said.clear()
    lexer.feed(text)
    return list(recorder.said)


def test_a_number_is_sealed_by_what_follows_it() -> None:
    recorder = Recorder()
    lexer = JsonLexer(recorder)
    assert fed(recorder, lexer, "[12") == [("[",)]
    assert fed(recorder, lexer, "3") == []
    assert fed(recorder, lexer, ",") == [("scalar", 123, 3)]


def test_a_string_grows_with_each_feed_by_whole_characters() -> None:
    recorder = Recorder()
    lexer = JsonLexer(recorder)
    said = [fed(recorder, lexer, piece)[-1:] for piece in ('"ab', "\\", "nc", "\\ud83d", "\\ude00!")]
    assert said == [[("grown", "ab")], [], [("grown", "\nc")], [], [("grown", "😀!")]]


def test_raw_line_breaks_and_tabs_in_a_string_are_accepted() -> None:
    assert value_of('"a\n\tb\r"') == "a\n\tb\r"


@pytest.mark.parametrize(
    "text",
    [
        "[1,]",
        '{"a":1,}',
        "{,}",
        "[,1]",
        '{"a" 1}',
        '{"a":1 "b":2}',
        "{a:1}",
        "{'a':1}",
        "[1 2]",
        "[01 ]",
        "[1. ]",
        "[.5 ]",
        "[+1 ]",
        "[1e ]",
        "[- ]",
        "[--1 ]",
        "[1-2 ]",
        "NaN",
        "[Infinity]",
        "[-Infinity]",
        "[1e999 ]",
        "[tru]",
        "[nulls]",
        "[True]",
        '{"a":1]',
        "[1}",
        "]",
        '["\\q"]',
        '["\\u12g4"]',
        '["\\u١٢٣٤"]',
        '["\\ud800"]',
        '["\\ud800\\n"]',
        '["\\ud800\\u0041"]',
        '["\\udc00"]',
        '["\ud800"]',
        '["\x00"]',
        '["\x1f"]',
        '{"a":1,"a":2}',
        '{"a":1,"\\u0061":2}',
        "// no\n1",
        "\ufeff{}",
        "\u00a0{}",
    ],
)
def test_is_strict(text: str) -> None:
    reason = error_of(text)
    assert reason
    for pieces in cuts(text):
        assert lex(*pieces) == lex(text)


def test_numbers_are_bounded() -> None:
    digits = "1" * MAX_DIGITS
    assert value_of(digits) == int(digits)
    assert value_of(f"0.{digits[1:]}") == float(f"0.{digits[1:]}")
    for number in (f"{digits}1", f"{digits}1.0", f"1e{digits}", "1" * 100_000):
        assert "digits" in error_of(f"[{number}]")
        assert lex(*f"[{number[:1020]}1,2]") == lex(f"[{number[:1020]}1,2]")


def test_nesting_is_bounded() -> None:
    assert error_of("[" * MAX_DEPTH + "]" * MAX_DEPTH) == ""
    assert "nested" in error_of("[" * (MAX_DEPTH + 1))
    assert "nested" in error_of('{"a":' * 100_000)


def test_what_is_spoiled_is_read_to_its_end() -> None:
    for text in ('{"a": NaN, "a": "\\ud800", "b": [1e999]}', "[" * 200 + "]" * 200):
        said, failure, rest = lex(text + "!")
        assert [token for token in said if token[0] == "spoiled"]
        assert (failure, rest) == ("", "!")


def test_nothing_is_said_after_an_error() -> None:
    recorder = Recorder()
    lexer = JsonLexer(recorder)
    assert lexer.feed("[}") == 1
    assert lexer.failed
    assert lexer.feed("[1]") == 0
    assert recorder.said == [("[",)]
