"""Stops, however the text is cut."""

from hypothesis import given
from hypothesis import strategies as st

from decoder_service.text.stops import Stops, TurnStop

FENCE = TurnStop("```python", "\n```")
texts = st.text("ab`\npython", max_size=60)


def feed(stops: Stops, pieces: list[str]) -> tuple[str, bool]:
    released = ""
    for piece in pieces:
        text, ended = stops.feed(piece)
        released += text
        if ended:
            return released, True
    return released + stops.close(), False


@given(texts, st.lists(st.text("ab`", min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_stop_string_cuts_the_text_whatever_the_split(text: str, strings: list[str]) -> None:
    released, ended = feed(Stops(tuple(strings), ()), list(text))
    # The first stop to be complete is the first that a reader of single characters sees.
    ends = [end for end in range(1, len(text) + 1) if any(text[:end].endswith(string) for string in strings)]
    if not ends:
        assert (released, ended) == (text, False)
    else:
        longest = max((s for s in strings if text[: ends[0]].endswith(s)), key=len)
        assert (released, ended) == (text[: ends[0] - len(longest)], True)


@given(texts, st.integers(0, 60))
def test_a_turn_stop_keeps_its_text(text: str, cut: int) -> None:
    released, ended = feed(Stops((), (FENCE,)), [text[:cut], text[cut:]])
    armed = text.partition(FENCE.after)[2]
    assert ended == (FENCE.text in armed)
    assert text.startswith(released)


def test_text_that_may_begin_a_stop_is_held_back_until_it_is_known() -> None:
    stops = Stops(("<end>",), ())
    assert stops.feed("a <en") == ("a ", False)
    assert stops.feed("try") == ("<entry", False)
    assert stops.feed("<") == ("", False)
    assert stops.close() == "<"


def test_an_opening_fence_does_not_close() -> None:
    stops = Stops((), (FENCE,))
    assert stops.feed("Here:\n```python\nx = 1") == ("Here:\n```python\nx = 1", False)
    assert stops.feed("\n``") == ("\n``", False)
    assert stops.feed("`\n")[1]
