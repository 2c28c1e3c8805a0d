"""Messages of one contract as those of another.

The contracts repeat each other on purpose, so that none imports another. Where two messages are alike in numbers, types
and names of their fields, `copy` reads the bytes of the one as the other; a test walks the descriptors and proves that
they are.
"""

from types import ModuleType
from typing import Any, TypeVar

from google.protobuf.message import Message

from protos.conveyor.tool.v1 import tool_pb2

Target = TypeVar("Target", bound=Message)

ALIKE = (
    *("call_opened", "arguments_delta", "call_started", "call_output"),
    *("call_artifact", "approval_awaited", "turn_vetoed", "content_delta"),
)


def copy(source: Message, target: type[Target]) -> Target:
    """`source` as a message of the type `target`, which must be alike."""
    return target.FromString(source.SerializeToString())


def tool_event(response: tool_pb2.ExecuteResponse, contract: ModuleType) -> dict[str, Message]:
    """An event of the tool service, as the one keyword argument that the events of `contract` take.

    `contract` is the module of the decoder's messages or the gateway's. Empty for an event that a completion has not,
    and for a kind that is not known here.
    """
    kind = response.WhichOneof("event")
    if kind is None:
        return {}
    event = getattr(response, kind)
    if kind in ALIKE:
        return {kind: copy(event, getattr(contract, event.DESCRIPTOR.name))}
    if kind == "unit_finished":
        return {kind: _unit(event, contract)}
    if kind == "call_finished":
        return {kind: _finished(event, contract)}
    return {}


def _unit(event: tool_pb2.UnitFinished, contract: Any) -> Message:
    unit = event.unit
    told: Message = contract.UnitFinished(
        call_id=event.call_id, label=unit.label, text_offset=unit.text_offset, busy=unit.busy
    )
    return told


def _finished(event: tool_pb2.CallFinished, contract: Any) -> Message:
    failed, handed_over = event.HasField("error"), event.HasField("handed_over")
    finished: Message = contract.CallFinished(
        call_id=event.call_id,
        arguments_json=event.arguments_json,
        busy=event.timing.busy,
        waiting=event.timing.waiting,
        error=copy(event.error, contract.ToolError) if failed else None,
        handed_over=contract.HandedOver() if handed_over else None,
        result=None if failed or handed_over else event.result,
    )
    return finished
