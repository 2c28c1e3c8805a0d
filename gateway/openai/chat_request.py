"""What `POST /v1/chat/completions` takes, and what it means.

A field is taken, or has one value that means what we do anyway, or is refused.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from gateway.failures import HttpFailure
from gateway.openai.body import (
    DEFAULT_MAX_TOKENS,
    MAX_ITEMS,
    MODES,
    SCHEMA_OF_ANY_OBJECT,
    HostedTool,
    MaxTokens,
    Metadata,
    ObjectFormat,
    Part,
    PlainFormat,
    Temperature,
    TopP,
    Vendor,
    arguments_of,
    function_of,
    require_choosable,
    sampling_of,
)
from gateway.request import MAX_TOOLS
from protos.conveyor.gateway.v1 import gateway_pb2 as pb


class TextPart(Part):
    """A piece of a message; there are no other kinds here."""

    type: Literal["text"]
    text: str


Content = str | list[TextPart]


class CalledFunction(Part):
    """What an assistant called."""

    name: str
    arguments: str


class ToolCall(Part):
    """A call of an assistant's message."""

    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: CalledFunction


class SystemMessage(Part):
    """`developer` is the newer name."""

    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(Part):
    """What the user said."""

    role: Literal["user"]
    content: Content
    name: str | None = None


class AssistantMessage(Part):
    """What the model said, as it was given."""

    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: list[ToolCall] | None = None
    name: str | None = None
    refusal: None = None
    audio: None = None
    annotations: list[Any] | None = Field(None, max_length=0)
    function_call: None = None
    reasoning_content: str | None = None  # we have said it; no model reads it again


class ToolMessage(Part):
    """What a call came to."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str
    name: str | None = None


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class DeclaredFunction(Part):
    """A function of the client."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Part):
    """A function that the client runs."""

    type: Literal["function"]
    function: DeclaredFunction


ToolParam = Annotated[FunctionTool | HostedTool, Field(discriminator="type")]


class NamedFunction(Part):
    """A function by its name."""

    name: str


class FunctionChoice(Part):
    """This function must be called."""

    type: Literal["function"]
    function: NamedFunction


class HostedChoice(Part):
    """This tool must be called."""

    type: Literal["conveyor"]
    name: str


Choice = Literal["none", "auto", "required"] | Annotated[FunctionChoice | HostedChoice, Field(discriminator="type")]


class NamedSchema(Part):
    """A JSON schema."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    name: str
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class SchemaFormat(Part):
    """An answer that follows a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[PlainFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


class StreamOptions(Part):
    """What a stream has beside text."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


Stop = Annotated[str, StringConstraints(min_length=1)]


class ChatRequest(Part):
    """The body."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=MAX_ITEMS)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Stop | list[Stop] | None = None
    tools: list[ToolParam] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: Choice | None = None
    response_format: ResponseFormat | None = None
    conveyor: Vendor = Vendor()
    # Taken where it means what we do.
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    parallel_tool_calls: bool | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    logit_bias: dict[str, float] | None = Field(None, max_length=0)
    modalities: list[Literal["text"]] | None = None
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    # Says nothing about the answer.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: Metadata | None = None

    @property
    def functions(self) -> list[DeclaredFunction]:
        """The client's own."""
        return [tool.function for tool in self.tools or () if isinstance(tool, FunctionTool)]

    @property
    def has_tools(self) -> bool:
        """Whether calls are read."""
        return bool(self.tools) and self.tool_choice != "none"

    def complete_request(self) -> pb.CompleteRequest:
        """The same for `Completions`. Raises `HttpFailure`."""
        require_choosable(self.tool_choice, has_tools=bool(self.tools))
        if self.stream_options and not self.stream:
            raise HttpFailure(400, "invalid_value", "stream_options: only with stream", param="stream_options")
        return pb.CompleteRequest(
            messages=list(_messages(self.messages)),
            tool_use=self._tool_use() if self.has_tools else None,
            sampling=sampling_of(self.temperature, self.top_p, self.seed, self.conveyor),
            limits=pb.Limits(
                max_tokens=self.max_completion_tokens or self.max_tokens or DEFAULT_MAX_TOKENS,
                max_turns=self.conveyor.max_turns,
                stop=[self.stop] if isinstance(self.stop, str) else self.stop or [],
            ),
            replay=self.conveyor.replay,
            response_json_schema=self._schema(),
        )

    def _tool_use(self) -> pb.ToolUse:
        return pb.ToolUse(
            format=self.conveyor.format,
            tools=[tool.name for tool in self.tools or () if isinstance(tool, HostedTool)],
            functions=[
                function_of(function.name, function.description, function.parameters) for function in self.functions
            ],
            mode=MODES[self.conveyor.mode],
            choice=_choice(self.tool_choice),
            stream_arguments=True,
            stream_content=True,
            single_call=self.parallel_tool_calls is False,
        )

    def _schema(self) -> str:
        match self.response_format:
            case ObjectFormat():
                return SCHEMA_OF_ANY_OBJECT
            case SchemaFormat(json_schema=named):
                return json.dumps(named.schema_)
        return ""


def _choice(choice: Choice | None) -> str:
    match choice:
        case FunctionChoice(function=function):
            return function.name
        case HostedChoice(name=name):
            return name
    return choice or "auto"


def _messages(messages: Sequence[Message]) -> Iterator[pb.Message]:
    """Messages of the system that begin a conversation become one."""
    first = next((at for at, said in enumerate(messages) if not isinstance(said, SystemMessage)), len(messages))
    if first:
        yield pb.Message(role="system", content="\n\n".join(_text(said.content) for said in messages[:first]))
    for said in messages[first:]:
        match said:
            case AssistantMessage():
                calls = [
                    pb.SaidCall(
                        call_id=call.id,
                        name=call.function.name,
                        arguments_json=arguments_of(call.function.arguments),
                    )
                    for call in said.tool_calls or ()
                ]
                if calls or _text(said.content):  # it may have said nothing
                    yield pb.Message(role="assistant", content=_text(said.content), calls=calls)
            case ToolMessage():
                yield pb.Message(role="tool", content=_text(said.content), call_id=said.tool_call_id)
            case _:
                yield pb.Message(role=said.role, content=_text(said.content))


def _text(content: Content | None) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content or ())
