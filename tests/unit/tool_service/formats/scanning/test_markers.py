import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tool_service.formats.scanning.markers import MAX_BLANKS, Found, Marker, MarkerScanner

PLAIN = Marker("</call>")
FOLLOWED = Marker("<call>", then=("{",))
SCANNER = MarkerScanner(PLAIN, FOLLOWED)


def test_finds_the_first_marker() -> None:
    assert SCANNER.find("a</call><call>{", 0) == Found(PLAIN, 1, 8)
    assert SCANNER.find("a</call><call> \n{", 2) == Found(FOLLOWED, 8, 16)


def test_a_marker_counts_only_before_what_must_follow_it() -> None:
    assert SCANNER.find("<call> x {", 0) is None


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("a<", 1),
        ("a<c", 1),
        ("a</cal", 1),
        ("<call>", 0),
        ("b<call> \n", 1),
        ("<call>x", 7),
        ("<<", 1),
        ("", 0),
        ("<x", 2),
    ],
)
def test_holds_back_what_may_become_a_marker(text: str, settled: int) -> None:
    assert SCANNER.settled(text, 0) == settled


def test_white_space_behind_a_marker_is_bounded() -> None:
    blanks = " " * MAX_BLANKS
    assert SCANNER.settled(f"<call>{blanks}", 0) == 0
    assert SCANNER.settled(f"<call>{blanks} ", 0) == len(blanks) + 7
    assert SCANNER.find(f"<call>{blanks} {{", 0) is None


@given(st.lists(st.sampled_from(["<", "call>", "</", "<call>", " ", "\n", "{", "x"])).map("".join), st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_no_marker_begins_in_settled_text(text: str, cut: int) -> None:
    head = text[:cut]
    if SCANNER.find(head, 0) is None:
        found = SCANNER.find(text, 0)
        assert found is None or found.start >= SCANNER.settled(head, 0)
