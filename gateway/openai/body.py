"""What the bodies of all our endpoints have alike."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from protos.conveyor.gateway.v1 import gateway_pb2 as pb

DEFAULT_FORMAT = "hermes"
DEFAULT_MAX_TOKENS = 4096
MODES = {
    "serial": pb.MODE_SERIAL,
    "parallel": pb.MODE_PARALLEL,
    "on_seal": pb.MODE_ON_SEAL,
    "partial": pb.MODE_PARTIAL,
}
SCHEMA_OF_ANY_OBJECT = '{"type": "object"}'
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
    max_turns: int = Field(0, ge=0)
    top_k: int = Field(0, ge=0)
    replay: list[str] = []


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
