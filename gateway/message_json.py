"""Protobuf messages as plain data, the way the project writes JSON: seconds are floats, enum values short words."""

import base64
from typing import Any

from google.protobuf import duration_pb2
from google.protobuf.message import Message


def to_data(message: Message) -> dict[str, Any]:
    """Every field but absent ones. A duration `x` becomes `x_seconds`, `MODE_ON_SEAL` `on_seal`, bytes base64."""
    return dict(_entry(message, field) for field in message.DESCRIPTOR.fields if _is_present(message, field))


def seconds(duration: duration_pb2.Duration) -> float:
    """A duration in seconds, to the microsecond."""
    return round(duration.seconds + duration.nanos / 1e9, 6)


def word(message: Message, field_name: str) -> str:
    """An enum field as a short word: `finish_reason` as `stop`."""
    field = message.DESCRIPTOR.fields_by_name[field_name]
    return _word(field, getattr(message, field_name))


def _is_present(message: Message, field: Any) -> bool:
    return not field.has_presence or message.HasField(field.name)


def _entry(message: Message, field: Any) -> tuple[str, Any]:
    value = getattr(message, field.name)
    if isinstance(value, duration_pb2.Duration):
        return f"{field.name}_seconds", seconds(value)
    if field.is_repeated:
        return field.name, [_plain(field, item) for item in value]
    return field.name, _plain(field, value)


def _plain(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return _word(field, value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return to_data(value) if isinstance(value, Message) else value


def _word(field: Any, number: int) -> str:
    values = field.enum_type.values_by_number
    prefix = values[0].name.removesuffix("UNSPECIFIED")
    return str(values[number].name).removeprefix(prefix).lower() if number in values else str(number)
