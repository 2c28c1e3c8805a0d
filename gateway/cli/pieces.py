"""Cuts text into pieces of about the size of a model's tokens, without a tokenizer.

A piece is one of:

    an escape of JSON (`\\n`, `\\u00e9`)
    up to 8 letters, up to 3 digits, or up to 4 other marks, with the space before them
    up to 8 spaces and tabs that the next piece does not take
    line ends, up to 8 of them

Over prose and code that makes 3 to 4 characters a piece, about as byte-pair encodings do. It is a rule and not a
model's: what it is for is a steady rate, and pieces as short as the text of a decoding step.
"""

import re

_PIECE = re.compile(
    r"""
      \\(?:u[0-9A-Fa-f]{4}|\S)
    | [ ]?[^\W\d_]{1,8}
    | [ ]?\d{1,3}
    | [ ]?(?:(?!\\)[^\w\s]|_){1,4}
    | [\r\n]{1,8}
    | [^\S\r\n]{1,8}(?=[ ]\S) | [^\S\r\n]{1,8}
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def pieces(text: str) -> list[str]:
    """The pieces of `text`; joined, they are the text."""
    return _PIECE.findall(text)
