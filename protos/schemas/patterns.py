"""A JSON schema's `pattern`, in the dialect that llguidance compiles: that of Rust's crate `regex`.

A schema's pattern is one of ECMAScript that is searched for. The one made of it matches whole strings, and only those
that every common dialect matches: `\\d`, `\\w` and `\\s` are ASCII, their opposites leave out what any dialect knows by
them, and the dot leaves out every line's end. Look-around, word boundaries, references to groups, and anchors anywhere
but at the ends of an alternative are not regular here: they are refused.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"\\u\{(?P<braced>[0-9a-fA-F]{1,6})\}|\\u(?P<four>[0-9a-fA-F]{4})|\\x(?P<two>[0-9a-fA-F]{2})"
    r"|\\(?P<property>[pP]\{[\w=]+\})|\\(?P<escape>.)|\(\?(?P<group>:|<(?![=!])\w+>)|(?P<quantifier>\{\d+(?:,\d*)?\})|(?P<other>.)",
    re.DOTALL,
)
_SPACE = r"\t\n\x0b\x0c\r "
_ENDS = r"\n\r\x{2028}\x{2029}"
_CLASSES = {
    "d": "[0-9]",
    "w": "[0-9A-Za-z_]",
    "s": f"[{_SPACE}]",
    "D": r"[^\p{Nd}]",
    "W": r"[^\p{Alphabetic}\p{M}\p{N}\p{Pc}]",
    "S": r"[^\s\x1c-\x1f\x{feff}]",
}
_CONTROLS = {"n": r"\n", "r": r"\r", "t": r"\t", "v": r"\x0b", "f": r"\x0c", "0": r"\x00"}
_ANY = "(?s:.*)"


def whole_pattern(pattern: str) -> str:
    """What matches the strings in which `pattern` is found. Raises `ValueError` that says what cannot be followed."""
    return "|".join(map(_whole, _alternatives(list(_translated(pattern)))))


def _alternatives(tokens: list[str]) -> Iterator[list[str]]:
    """The alternatives, of a pattern that is one group those of the group."""
    while _is_one_group(tokens):
        tokens = tokens[1:-1]
    part: list[str] = []
    depth = 0
    for token in tokens:
        depth += (token == "(?:") - (token == ")")
        if token == "|" and not depth:
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _is_one_group(tokens: list[str]) -> bool:
    if tokens[:1] != ["(?:"]:
        return False
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token == "(?:") - (token == ")")
        if not depth:
            return index == len(tokens) - 1
    return False


def _whole(tokens: list[str]) -> str:
    begins, ends = tokens[:1] == ["^"], tokens[-1:] == ["$"]
    inner = tokens[begins : len(tokens) - ends]
    if "^" in inner or "$" in inner:
        raise ValueError("its ^ or $ stands inside")
    return f"{'' if begins else _ANY}{''.join(inner)}{'' if ends else _ANY}"


def _translated(pattern: str) -> Iterator[str]:
    """The pattern's tokens in the other dialect; groups all begin with `(?:`, and a class is one token."""
    inside: list[str] = []  # an open class
    for match in _TOKEN.finditer(pattern):
        if not inside:
            token = _token(match)
            if token == "[":
                inside.append("[")
            else:
                yield token
        elif match["other"] == "]":
            if inside in (["["], ["[", "^"]):
                raise ValueError("it has an empty class of characters")
            yield "".join([*inside, "]"])
            inside = []
        else:
            inside.append(_member(match, first=inside == ["["]))
    if inside:
        raise ValueError("a class of characters has no end")


def _token(match: re.Match[str]) -> str:
    if match["group"]:
        return "(?:"
    if match["other"] == "(":
        if match.string[match.end() : match.end() + 1] == "?":
            raise ValueError("it looks around or sets flags")
        return "(?:"
    if match["other"] == ".":
        return f"[^{_ENDS}]"
    if match["other"] == "{":
        return r"\{"
    return match["quantifier"] or _character(match)


def _member(match: re.Match[str], *, first: bool) -> str:
    """A part of a class."""
    written = match[0]
    if first and written == "^":
        return "^"
    if match["group"] or match["quantifier"]:
        return re.sub(r"([^\w,])", r"\\\1", written)
    return f"\\{written}" if written in tuple("[&~^(){}") else _character(match, in_class=True)


def _character(match: re.Match[str], *, in_class: bool = False) -> str:
    if digits := match["braced"] or match["four"] or match["two"]:
        return rf"\x{{{digits}}}"
    if match["property"]:
        return rf"\{match['property']}"
    escaped = match["escape"]
    if escaped is None:
        return str(match["other"])
    if escaped in _CLASSES:
        return _CLASSES[escaped]
    if escaped in _CONTROLS:
        return _CONTROLS[escaped]
    if escaped == "b" and in_class:
        return r"\x08"
    if escaped.isalnum():
        raise ValueError(f"it has a \\{escaped}")
    return f"\\{escaped}" if escaped.isascii() and escaped not in "<>_/" else escaped
