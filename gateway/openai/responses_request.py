"""What `POST /v1/responses` takes, and what it means."""

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

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
    function_of,
    require_choosable,
    sampling_of,
)
from gateway.openai.responses_items import PYTHON, Item, conversation
from gateway.request import MAX_TOOLS
from protos.conveyor.gateway.v1 import gateway_pb2 as pb


class FunctionTool(Part):
    """A function that the client runs."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class CodeInterpreter(Part):
    """The tool `python`."""

    type: Literal["code_interpreter"]
    container: dict[str, str] | str = "auto"


class McpTool(Part):
    """Tools of an MCP server that the tool service knows by this label."""

    type: Literal["mcp"]
    server_label: str = Field(min_length=1)
    allowed_tools: list[str] = Field(min_length=1)
    require_approval: Literal["never"] | None = None
    server_description: str | None = None


ToolParam = Annotated[FunctionTool | HostedTool | CodeInterpreter | McpTool, Field(discriminator="type")]


class NamedChoice(Part):
    """This function, or tool, must be called."""

    type: Literal["function", "conveyor"]
    name: str


class CodeChoice(Part):
    """Code must be run."""

    type: Literal["code_interpreter"]


Choice = Literal["none", "auto", "required"] | Annotated[NamedChoice | CodeChoice, Field(discriminator="type")]


class SchemaFormat(Part):
    """An answer that follows a schema."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    type: Literal["json_schema"]
    name: str
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextConfig(Part):
    """How the answer is written."""

    format: Annotated[PlainFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Literal["medium"] | None = None


class Reasoning(Part):
    """Only what changes nothing."""

    effort: None = None
    summary: None = None


class ResponsesRequest(Part):
    """The body."""

    model: str
    input: str | Annotated[list[Item], Field(max_length=MAX_ITEMS)] = Field(min_length=1)
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    tools: list[ToolParam] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: Choice | None = None
    text: TextConfig | None = None
    conveyor: Vendor = Vendor()
    # Taken where it means what we do.
    parallel_tool_calls: bool | None = None
    store: Literal[False] | None = None
    background: Literal[False] | None = None
    truncation: Literal["disabled"] | None = None
    service_tier: Literal["auto", "default"] | None = None
    top_logprobs: Literal[0] | None = None
    reasoning: Reasoning | None = None
    include: list[Literal["code_interpreter_call.outputs"]] | None = None
    previous_response_id: None = None
    # Says nothing about the answer.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: Metadata | None = None

    @property
    def functions(self) -> frozenset[str]:
        """Names of the client's own."""
        return frozenset(tool.name for tool in self.tools or () if isinstance(tool, FunctionTool))

    @property
    def has_tools(self) -> bool:
        """Whether calls are read."""
        return bool(self.tools) and self.tool_choice != "none"

    def complete_request(self) -> pb.CompleteRequest:
        """The same for `Completions`. Raises `HttpFailure`."""
        require_choosable(self.tool_choice, has_tools=bool(self.tools))
        return pb.CompleteRequest(
            messages=self._messages(),
            tool_use=self._tool_use() if self.has_tools else None,
            sampling=sampling_of(self.temperature, self.top_p, None, self.conveyor),
            limits=pb.Limits(
                max_tokens=self.max_output_tokens or DEFAULT_MAX_TOKENS, max_turns=self.conveyor.max_turns
            ),
            replay=self.conveyor.replay,
            response_json_schema=self._schema(),
        )

    def _messages(self) -> list[pb.Message]:
        if isinstance(self.input, str):
            said = [pb.Message(role="user", content=self.input)]
        else:
            said = conversation(self.input)
        system = [self.instructions] if self.instructions else []
        while said and said[0].role == "system":
            system.append(said.pop(0).content)
        return [pb.Message(role="system", content="\n\n".join(system)), *said] if system else said

    def _tool_use(self) -> pb.ToolUse:
        tools = self.tools or []
        return pb.ToolUse(
            format=self.conveyor.format,
            tools=[name for tool in tools for name in _hosted(tool)],
            functions=[
                function_of(tool.name, tool.description, tool.parameters)
                for tool in tools
                if isinstance(tool, FunctionTool)
            ],
            mode=MODES[self.conveyor.mode],
            choice=_choice(self.tool_choice),
            stream_arguments=True,
            stream_content=True,
            single_call=self.parallel_tool_calls is False,
        )

    def _schema(self) -> str:
        match self.text.format if self.text else None:
            case ObjectFormat():
                return SCHEMA_OF_ANY_OBJECT
            case SchemaFormat(schema_=schema):
                return json.dumps(schema)
        return ""


def _hosted(tool: ToolParam) -> list[str]:
    match tool:
        case HostedTool(name=name):
            return [name]
        case CodeInterpreter():
            return [PYTHON]
        case McpTool(server_label=label, allowed_tools=names):
            return [f"{label}_{name}" for name in names]
    return []


def _choice(choice: Choice | None) -> str:
    match choice:
        case NamedChoice(name=name):
            return name
        case CodeChoice():
            return PYTHON
    return choice or "auto"
