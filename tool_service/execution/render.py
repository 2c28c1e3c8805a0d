"""What a tool gives, as text for the model."""

from typing import Any

import pydantic_core


def render(value: Any) -> str:
    """Text as it is, None as nothing, anything else as JSON."""
    if isinstance(value, str):
        return whole(value)
    return "" if value is None else pydantic_core.to_json(value, fallback=str).decode()


def whole(text: str) -> str:
    """Text without lone surrogates, which no message can carry."""
    return text.encode("utf-8", "replace").decode()


def cut(text: str, limit: int, room: int | None = None) -> str:
    """The first `room` characters, by default `limit`, with a line that says so if that is not all."""
    room = limit if room is None else room
    return text if len(text) <= room else f"{text[:room]}\n[cut at {limit} characters]"


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters; an ellipsis stands for what is left out."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def described(error: BaseException) -> str:
    """An exception's type and text, also where the exception has trouble telling it."""
    try:
        text = whole(str(error))
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
