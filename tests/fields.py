"""Paths of fields, as refusals name them."""

import re

from google.protobuf.descriptor import Descriptor

_STEP = re.compile(r"(\w+)(\[\d+\])?")


def has_field(message: Descriptor, path: str) -> bool:
    """Whether a message has a field `path`, such as `messages[2].calls[0]`: numbers where a field is repeated alone."""
    at: Descriptor | None = message
    for step in path.split("."):
        read = _STEP.fullmatch(step)
        field = at.fields_by_name.get(read[1]) if read and at else None
        if read is None or field is None or (read[2] and not field.is_repeated):
            return False
        at = field.message_type
    return True
