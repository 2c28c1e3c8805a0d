"""What a tool hands over that is no text: a picture, a file."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Artifact:
    """Bytes for the client. A tool yields it; the model reads only that it is there.

    `name` is unique within its call and has no path in it; `media_type` is an IANA media type such as `image/png`.
    """

    name: str
    media_type: str
    data: bytes
