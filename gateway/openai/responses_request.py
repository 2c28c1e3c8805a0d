"""What `POST /v1/responses` takes, and what it means.

Items of earlier answers can be sent back as they came: calls of functions with their outputs, and calls that ran here.
"""

import json
from collections.abc import Sequence
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
    arguments_of,
    function_of,
    require_choosable,
    sampling_of,
)
from gateway.request import MAX_TOOLS
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

PYTHON = "python"  # the tool that OpenAI calls a code interpreter
Status = Literal["in_progress", "completed", "incomplete"]


class InputText(Part):
    """Text for the model."""

    type: Literal["input_text"]
    text: str


class OutputText(Part):
    """Text of the model, as it was given."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class MessageItem(Part):
    """What somebody said."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Annotated[InputText | OutputText, Field(discriminator="type")]]
    id: str | None = None
    status: Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None

    @property
    def text(self) -> str:
        """All of it."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class FunctionCallItem(Part):
    """A call of a function of the client."""

    type: Literal["function_call"]
    call_id: str = Field(min_length=1)
    name: str
    arguments: str
    id: str | None = None
    status: Status | None = None


class FunctionOutputItem(Part):
    """What it came to."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | list[InputText]
    id: str | None = None
    status: Status | None = None

    @property
    def text(self) -> str:
        """All of it."""
        return self.output if isinstance(self.output, str) else "".join(part.text for part in self.output)


class Logs(Part):
    """What code printed."""

    type: Literal["logs"]
    logs: str


class Image(Part):
    """A figure; the model reads only that it is there."""

    type: Literal["image"]
    url: str


class CodeItem(Part):
    """Code that ran here."""

    type: Literal["code_interpreter_call"]
    id: str
    code: str | None = None
    container_id: str = ""
    outputs: list[Annotated[Logs | Image, Field(discriminator="type")]] | None = None
    status: str | None = None

    @property
    def printed(self) -> str:
        """Its output."""
        return "".join(part.logs for part in self.outputs or () if isinstance(part, Logs))


class HostedItem(Part):
    """Another call that ran here, in the shape of MCP calls."""

    type: Literal["mcp_call"]
    id: str
    name: str
    arguments: str
    server_label: str = ""
    output: str | None = None
    error: str | None = None
    status: str | None = None
    approval_request_id: None = None


class ReasoningItem(Part):
    """What the model thought; no model reads it again."""

    type: Literal["reasoning"]
    id: str
    summary: list[Any] | None = None
    content: list[Any] | None = None
    encrypted_content: None = None
    status: Status | None = None


Item = MessageItem | FunctionCallItem | FunctionOutputItem | CodeItem | HostedItem | ReasoningItem


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
            said = _conversation(self.input)
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


class _Turns:
    """Items as messages. Words and calls that follow one another are one turn's, for as long as one of its calls is
    still to be answered, or none has been."""

    def __init__(self) -> None:
        self._said: list[pb.Message] = []
        self._turn: pb.Message | None = None
        self._answers: list[pb.Message] = []
        self._open: set[str] = set()

    def words(self, role: str, text: str) -> None:
        """A message."""
        if role != "assistant":
            self._end()
            self._said.append(pb.Message(role=role, content=text))
        elif text:
            turn = self._going_on()
            turn.content = "\n".join(filter(None, (turn.content, text)))

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """A call, which is to be answered."""
        self._going_on().calls.add(call_id=call_id, name=name, arguments_json=arguments_of(arguments))
        self._open.add(call_id)

    def answer(self, call_id: str, text: str) -> None:
        """What it came to."""
        self._open.discard(call_id)
        self._answers.append(pb.Message(role="tool", call_id=call_id, content=text))

    def messages(self) -> list[pb.Message]:
        """All of them."""
        self._end()
        return self._said

    def _going_on(self) -> pb.Message:
        if self._answers and not self._open:
            self._end()
        if self._turn is None:
            self._turn = pb.Message(role="assistant")
        return self._turn

    def _end(self) -> None:
        self._said += [*([self._turn] if self._turn is not None else []), *self._answers]
        self._turn, self._answers, self._open = None, [], set()


def _conversation(items: Sequence[Item]) -> list[pb.Message]:
    turns = _Turns()
    for item in items:
        match item:
            case MessageItem():
                turns.words("system" if item.role == "developer" else item.role, item.text)
            case FunctionCallItem():
                turns.call(item.call_id, item.name, item.arguments)
            case FunctionOutputItem():
                turns.answer(item.call_id, item.text)
            case CodeItem():
                turns.call(item.id, PYTHON, json.dumps({"code": item.code or ""}))
                turns.answer(item.id, item.printed)
            case HostedItem():
                turns.call(item.id, item.name, item.arguments)
                turns.answer(item.id, item.output or item.error or "")
    return turns.messages()
