import json
from typing import Any

import jiter
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tool_service.formats.turns import cuts, pieces_at, texts, values
from tool_service.formats.json_lexer import (
    MAX_DEPTH,
    MAX_NUMBER_CHARACTERS,
    ArrayOpened,
    JsonError,
    JsonLexer,
    KeySealed,
    ObjectClosed,
    ObjectOpened,
    ScalarSealed,
    StringGrown,
    StringOpened,
    StringSealed,
    ValueBuilder,
)


def lex(*pieces: str, max_characters: int = 1 << 20) -> tuple[list[tuple[Any, ...]], str]:
    """The tokens without their places, a string's growth joined, and the text behind the value."""
    lexer = JsonLexer(max_characters)
    said: list[tuple[Any, ...]] = []
    rest = ""
    for piece in pieces:
        tokens, end = lexer.feed(piece)
        for token in tokens:
            match token, said[-1] if said else None:
                case StringGrown(text=text), (kind, before) if kind is StringGrown:
                    said[-1] = (StringGrown, before + text)
                case StringGrown(text=text), _:
                    said.append((StringGrown, text))
                case KeySealed(name=value) | StringSealed(value=value) | ScalarSealed(value=value), _:
                    said.append((type(token), value))
                case JsonError(reason=reason), _:
                    said.append((JsonError, reason))
                case _:
                    said.append((type(token),))
        rest += piece[end:]
    return said, rest


def error_of(text: str) -> str:
    tokens, _ = JsonLexer().feed(text)
    return tokens[-1].reason if tokens and isinstance(tokens[-1], JsonError) else ""


def value_of(text: str) -> Any:
    """The value that is the whole text. Raises `ValueError` where there is none."""
    text, builder = text + " ", ValueBuilder()  # white space, because only a terminator seals a number
    tokens, end = JsonLexer().feed(text)
    for token in tokens:
        if isinstance(token, JsonError):
            raise ValueError(token.reason)
        builder.take(token)
    if not builder.complete or text[end:].strip():
        raise ValueError("incomplete, or followed by more text")
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
    tokens, end = JsonLexer().feed('{"a": ["x", 1]} rest')
    assert tokens[:5] == [ObjectOpened(1), KeySealed(4, "a"), ArrayOpened(7), StringOpened(8), StringGrown(9, "x")]
    assert tokens[5:7] == [StringSealed(10, "x"), ScalarSealed(13, 1)]
    assert tokens[-1] == ObjectClosed(15)
    assert end == 15


def test_text_behind_the_value_is_not_read() -> None:
    lexer = JsonLexer()
    assert lexer.feed('xx{"a":1}]]', 2)[1] == 9
    assert lexer.done
    assert lexer.feed("more") == ([], 0)


def test_a_number_is_sealed_by_what_follows_it() -> None:
    lexer = JsonLexer()
    assert lexer.feed("[12")[0] == [ArrayOpened(1)]
    assert lexer.feed("3")[0] == []
    assert lexer.feed(",")[0] == [ScalarSealed(0, 123)]


def test_a_string_grows_with_each_feed_by_whole_characters() -> None:
    lexer = JsonLexer()
    said = [
        [t.text for t in lexer.feed(piece)[0] if isinstance(t, StringGrown)] for piece in ('"ab', "\\", "nc", "\\ud83d")
    ]
    assert said == [["ab"], [], ["\nc"], []]
    assert [t.text for t in lexer.feed("\\ude00!")[0] if isinstance(t, StringGrown)] == ["😀!"]


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
    digits = "1" * MAX_NUMBER_CHARACTERS
    assert value_of(digits) == int(digits)
    assert "number" in error_of(f"[{digits}1]")
    assert lex(*f"[{digits}11,2]") == lex(f"[{digits}11,2]")


def test_nesting_is_bounded() -> None:
    assert error_of("[" * MAX_DEPTH + "]" * MAX_DEPTH) == ""
    assert "nested" in error_of("[" * (MAX_DEPTH + 1))
    assert "nested" in error_of('{"a":' * 100_000)


def test_the_value_is_bounded() -> None:
    assert lex('"12345678"', max_characters=10)[0][-1] == (StringSealed, "12345678")
    for pieces in cuts('"123456789"'):
        assert lex(*pieces, max_characters=10)[0] == [
            (StringOpened,),
            (StringGrown, "123456789"),
            (JsonError, "longer than 10 characters"),
        ]
    for text in ('"1234567\\n"', '"12345678"7', "[123456789 ]", '{"123456":1}'):
        for pieces in cuts(text):
            assert lex(*pieces, max_characters=9) == lex(text, max_characters=9)


def test_nothing_is_said_after_an_error() -> None:
    lexer = JsonLexer()
    assert lexer.feed("[}")[1] == 1
    assert lexer.failed
    assert lexer.feed("[1]") == ([], 0)
