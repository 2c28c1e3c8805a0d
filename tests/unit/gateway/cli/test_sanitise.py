import pytest

from gateway.cli.sanitise import Sanitiser, gist, one_line, printable

CASES = {
    "colour": ("a\x1b[31mred\x1b[0m b", "ared b"),
    "cursor": ("x\x1b[2J\x1b[1;1Hy", "xy"),
    "title": ("x\x1b]0;pwned\x07y", "xy"),
    "link": ("\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\", "click"),
    "device control": ("a\x1bP1$r0m\x1b\\b", "ab"),
    "eight-bit controls": ("a\x9b31mb\x9d0;t\x9cc", "abc"),
    "two-character escapes": ("a\x1bcb\x1b(0c", "abc"),
    "string without an end": ("a\x1b]0;title\nnext", "a0;title\nnext"),
    "controls": ("a\x00\x07\x08\r\x0b\x7f\x85b", "ab"),
    "direction": ("a\u202eb\u2066c\u200fd\u061ce", "abcde"),
    "unseen": ("a\u00adb\u200bc\u2060d\u2064e\ufefff\U000e0001g\U000e007fh", "abcdefgh"),
    "joiners": ("\U0001f469\u200d\U0001f4bb \u0646\u200c\u0645", "\U0001f469\u200d\U0001f4bb \u0646\u200c\u0645"),
    "separators": ("a\u2028b\u2029c", "abc"),
    "kept": ("tab\there\nnext – ünï 🙂 [bold]x[/bold]", "tab\there\nnext – ünï 🙂 [bold]x[/bold]"),
    "lone escape": ("a\x1b", "a"),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_nothing_that_a_terminal_acts_on_is_left(text, expected):
    assert printable(text) == expected


def fed(*pieces: str) -> str:
    sanitiser = Sanitiser()
    return "".join([*map(sanitiser.feed, pieces), sanitiser.close()])


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_how_the_text_is_cut_makes_no_difference(text, expected):
    assert fed(*text) == expected
    for cut in range(len(text) + 1):
        assert fed(text[:cut], text[cut:]) == expected


def test_a_sequence_that_never_ends_holds_back_little():
    sanitiser = Sanitiser()
    shown = sanitiser.feed("\x1b]" + "x" * 300)
    assert "x" * 300 in shown


def test_the_gist_of_a_traceback_is_its_last_line():
    assert gist("Traceback:\n  File\nNameError: \x1b[1mnp\n\n") == "NameError: np"
    assert gist("") == ""


def test_one_line_is_one_line():
    assert one_line("a\n b\t\x1b[1mc") == "a b c"
    assert one_line("x" * 200, 10) == "x" * 9 + "…"
