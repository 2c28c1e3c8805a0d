"""A table can be read in one way only."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from tool_service.tools.sql.table import Room, Table, Verbatim, shown

TEXTS = st.one_of(st.sampled_from(["NULL", "null", "true", "x'00'", "", "1", "1.5", "inf", "nan"]), st.text())
VALUES = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.binary(), TEXTS)


@given(VALUES, VALUES)
def test_values_that_differ_look_different(one: object, other: object) -> None:
    same = type(one) is type(other) and repr(one) == repr(other)
    assert (shown(one) == shown(other)) == same


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=5))
def test_texts_can_be_read_as_csv(rows: list[list[str]]) -> None:
    table = Table(["a", "b"], 10, Room(1_000_000))
    text = table.head + table.feed(rows)
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [["a", "b"], *rows]


def test_a_value_in_its_own_spelling_is_quoted_only_where_it_must_be() -> None:
    assert [shown(Verbatim(text)) for text in ("2024-02-29", "{1,2}", "t")] == ["2024-02-29", '"{1,2}"', "t"]


def test_rows_and_bytes_are_counted_over_the_whole_call() -> None:
    room = Room(16)
    first = Table(["a"], 2, room)
    assert (
        first.head + first.feed([[1], [2], [3]]) == "a\n1\n2\n[there are more than these 2 rows; they are not shown]\n"
    )
    assert first.is_full
    second = Table(["a"], 2, room)
    assert second.feed([["b" * 10]]) == "[cut: the output of a call is limited to 16 bytes]\n"
    assert second.is_full
    assert second.close() == ""
    assert Table(["a"], 2, Room(100)).close() == "[no rows]\n"
