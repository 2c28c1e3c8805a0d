import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import live
from gateway.cli.pieces import pieces

SOURCE = Path(live.__file__).read_text("utf-8")


@given(st.text())
def test_the_pieces_are_the_text(text):
    assert "".join(pieces(text)) == text
    assert "" not in pieces(text)


@given(st.text(alphabet="ab1 \n\t\\{\"'_é中\U0001f600"))
def test_no_piece_is_longer_than_a_word_and_its_space(text):
    assert max(map(len, pieces(text)), default=0) <= 9


def test_words_have_the_space_before_them():
    assert pieces("for i in range(10000):") == ["for", " i", " in", " range", "(", "100", "00", "):"]


def test_escapes_of_json_stay_whole():
    assert pieces(json.dumps("a\n\u00e9b")) == ['"', "a", "\\n", "\\u00e9", "b", '"']


def test_a_lines_indentation_and_its_first_word_are_two():
    assert pieces("x:\n    return") == ["x", ":", "\n", "   ", " return"]


@pytest.mark.parametrize("text", [SOURCE, json.dumps(SOURCE)])
def test_a_piece_of_code_is_as_long_as_a_token(text):
    assert 3 <= len(text) / len(pieces(text)) <= 4
