"""`CompleteRequest` as JSON: the contract's fields, with short words for its enums.

Only what protobuf could not hold is refused here; what a completion makes of it is `gateway/request.py`'s to say.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.openai.body import MAX_ITEMS, MODES
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Float = Annotated[float, Field(ge=-3e38, le=3e38, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SaidCall(_Part):
    """A call of an earlier turn."""

    call_id: str
    name: str
    arguments_json: str = ""


class Message(_Part):
    """What somebody said."""

    role: str
    content: str = ""
    calls: list[SaidCall] = Field([], max_length=MAX_ITEMS)
    call_id: str = ""


class Function(_Part):
    """A function of the client."""

    name: str
    description: str = ""
    parameters_json_schema: str = ""


class ToolUse(_Part):
    """Tools that may be called."""

    format: str = ""
    tools: list[str] = Field([], max_length=MAX_ITEMS)
    mode: Literal["serial", "parallel", "on_seal", "partial"] = "partial"
    choice: str = ""
    stream_arguments: bool = False
    functions: list[Function] = Field([], max_length=MAX_ITEMS)
    stream_content: bool = False
    single_call: bool = False


class Sampling(_Part):
    """How tokens are chosen."""

    temperature: Float = 0.0
    top_p: Float = 0.0
    top_k: Int32 = 0
    seed: Int64 | None = None


class Limits(_Part):
    """When to stop."""

    max_tokens: Int32 = 0
    max_turns: Int32 = 0
    stop: list[str] = Field([], max_length=MAX_ITEMS)


class CompletionRequest(_Part):
    """A completion that is asked for."""

    messages: list[Message] = Field(max_length=MAX_ITEMS)
    tool_use: ToolUse | None = None
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    replay: list[str] = Field([], max_length=MAX_ITEMS)
    response_json_schema: str = ""

    def complete_request(self) -> pb.CompleteRequest:
        """As a message."""
        fields = self.model_dump(exclude_none=True)
        if self.tool_use is not None:
            fields["tool_use"]["mode"] = MODES[self.tool_use.mode]
        return pb.CompleteRequest(**fields)


class Word(_Part):
    """A person's word on a call that waits."""

    call_id: str
    approved: bool
    reason: str = ""
