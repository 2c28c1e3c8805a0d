"""What a conversation of `POST /v1/responses` is made of, and the messages that it means.

Items of earlier answers can be sent back as they came: calls of functions with their outputs, and calls that ran here.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.openai.body import Part, arguments_of
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


def conversation(items: Sequence[Item]) -> list[pb.Message]:
    """The items as messages."""
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
