import pytest

from tool_service.tools.plain_text import plain, plain_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, añ 日本 😀\n\ttext", "plain, añ 日本 😀\n\ttext"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07\x9b1mbold\x1bc", "red bold"),
        ("a\x00b\x07c\x7fd\x85e", "abcde"),
        ("\u202egnp.exe\u2066\u200e", "gnp.exe"),
        ("hid\u200bd\u00ade\ufeffn\U000e0041", "hidden"),
        ("\ue000\ufdd0\ud800", ""),
        ("می\u200cخواهم 👩\u200d🔬", "می\u200cخواهم 👩\u200d🔬"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
    ],
)
def test_only_what_is_seen_stays(text, expected):
    assert plain(text) == expected


def test_a_line_has_no_breaks():
    assert plain_line(" a\x1b[1m \n\tb\u2029 c ") == "a b c"
