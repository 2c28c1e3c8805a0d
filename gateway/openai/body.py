"""What the bodies of all our endpoints have alike."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.failures import HttpFailure
from gateway.request import MAX_TOKENS, MAX_TURNS, Mode
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

DEFAULT_FORMAT = "hermes"
DEFAULT_MAX_TOKENS = 4096
MODES = {mode.name.lower(): mode.value for mode in Mode}
SCHEMA_OF_ANY_OBJECT = '{"type": "object"}'
MAX_ITEMS = 4096  # of lists: each that is wrong costs time to tell
MaxTokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]
Metadata = dict[str, str]


class Part(BaseModel):
    """A piece of a body: what it does not name is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Vendor(Part):
    """What only we have. `replay`: what the model is to say, a text for each turn."""

    mode: Literal["serial", "parallel", "on_seal", "partial"] = "partial"
    format: str = DEFAULT_FORMAT
    max_turns: int = Field(0, ge=0, le=MAX_TURNS)
    top_k: int = Field(0, ge=0, lt=2**31)
    replay: list[str] = Field([], max_length=MAX_TURNS)


class HostedTool(Part):
    """A tool of the tool service, which runs while the model writes its call."""

    type: Literal["conveyor"]
    name: str


class PlainFormat(Part):
    """Free text."""

    type: Literal["text"]


class ObjectFormat(Part):
    """Any JSON object."""

    type: Literal["json_object"]


def sampling_of(temperature: float | None, top_p: float | None, seed: int | None, vendor: Vendor) -> pb.Sampling:
    """How tokens are chosen, with OpenAI's defaults."""
    heat = 1.0 if temperature is None else temperature
    return pb.Sampling(temperature=heat, top_p=top_p or 0.0, top_k=vendor.top_k, seed=seed)


def function_of(name: str, description: str | None, parameters: Mapping[str, Any] | None) -> pb.Function:
    """A function of the client."""
    schema = "" if parameters is None else json.dumps(parameters)
    return pb.Function(name=name, description=description or "", parameters_json_schema=schema)


def arguments_of(text: str) -> str:
    """Arguments of an earlier call as a JSON object, also where the model wrote none."""
    try:
        is_object = isinstance(json.loads(text or "{}"), dict)
    except (ValueError, RecursionError):
        is_object = False
    return (text or "{}") if is_object else json.dumps({"malformed": text}, ensure_ascii=False)


def require_choosable(choice: object, *, has_tools: bool) -> None:
    """Raises `HttpFailure` where a call is asked for and there is nothing to call."""
    if not has_tools and choice not in (None, "auto", "none"):
        raise HttpFailure(400, "invalid_value", "tool_choice: there are no tools to choose from", param="tool_choice")
