"""A conversation as the tokens of a model's own chat template.

Between turns only what is new is rendered: the template is asked for the conversation with a placeholder in the
assistant's place, and what it writes after the placeholder is the text that follows the assistant's turn, whatever the
template. Templates without a tool role get the results as a user's message.

While results are on their way the text around them is known already: it is found with a mark in the place of each.

Text of users and tools is never read as control tokens: where it spells one, a zero-width space breaks the spelling.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from decoder_service.text.growing import GrowingTokens
from decoder_service.text.model_text import ModelText

_PLACEHOLDER = "CONVEYOR-ASSISTANT-TURN"
_MARK = 'CONVEYOR-RESULT-{}"'  # the quote shows whether results are written as JSON
_PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a conversation; `role` is "system", "user", "assistant" or "tool". `name`: the tool's."""

    role: str
    content: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ToolText:
    """What a tool answered, for the model to read."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Around:
    """What is written around results: `before` each of them, and how their own text is `written`."""

    before: tuple[str, ...]
    written: Callable[[str], str]


class UnfitConversationError(Exception):
    """The template cannot write the conversation; the message says why."""


class ChatTemplate:
    """The chat template of one model."""

    def __init__(self, text: ModelText) -> None:
        self._backend = text.tokenizer
        self._named_tokens: Mapping[str, Any] = text.named_tokens
        self._template = text.template or _PLAIN_TEMPLATE
        self._control = text.control_tokens
        self._control_ids = frozenset(id_ for id_ in map(self._backend.token_to_id, self._control) if id_ is not None)
        self._longest = max(map(len, self._control), default=0)
        self.lists_tools = "tools" in self._template
        self._has_tool_role = "tool" in self._template

    def prompt(self, messages: Sequence[Message], instructions: str, tools: Sequence[Mapping[str, Any]]) -> list[int]:
        """Tokens of a conversation up to the assistant's answer.

        `instructions` join the system message; `tools` are OpenAI function objects for templates that list tools.
        """
        return self._encode(self._conversation(_instructed(messages, instructions), tools))

    def continuation(self, messages: Sequence[Message], results: Sequence[ToolText], after: Sequence[int]) -> list[int]:
        """Tokens between an assistant's turn that ended with the tokens `after` and its answer to `results`."""
        tokens = self._encode(self._after_turn(messages, results))
        return tokens[_said_already(tokens, after) :]

    def around(self, messages: Sequence[Message], names: Sequence[str]) -> Around:
        """What `continuation` writes around the results of these tools. Short of some where results are rewritten."""
        marks = [_MARK.format(number) for number in range(len(names))]
        rest = self._after_turn(messages, [ToolText(name, mark) for name, mark in zip(names, marks, strict=True)])
        written = str if all(mark in rest for mark in marks) else _as_json
        before = []
        for mark in marks:
            text, found, rest = rest.partition(written(mark))
            if not found:
                break
            before.append(text)
        return Around(tuple(before), written)

    def growing(self, text: str, after: Sequence[int]) -> GrowingTokens:
        """The tokens of a continuation that begins with `text`."""
        encode = partial(self._backend.encode, add_special_tokens=False)
        return GrowingTokens(encode, self._control_ids, text, _said_already(self._encode(text), after))

    def inert_beginning(self, text: str) -> tuple[str, int]:
        """What `inert` makes of text that goes on, as far as that does not matter, and of how many characters."""
        end = len(text)
        for place in range(max(0, end - self._longest), end):
            if any(token.startswith(text[place:]) for token in self._control):
                return self.inert(text[:place]), place
        return self.inert(text), end

    def inert(self, text: str) -> str:
        """Text of others, with no control token in it."""
        for token in self._control:
            text = text.replace(token, f"{token[0]}\u200b{token[1:]}")
        return text

    def encode(self, text: str) -> list[int]:
        """Tokens of plain text."""
        return self._encode(self.inert(text))

    def _after_turn(self, messages: Sequence[Message], results: Sequence[ToolText]) -> str:
        turn = Message("assistant", _PLACEHOLDER)
        answers = [Message("tool", result.text, result.name) for result in results]
        return self._conversation([*messages, turn, *answers], ()).rpartition(_PLACEHOLDER)[2]

    def _conversation(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> str:
        if self._has_tool_role:
            with suppress(TemplateError):
                return self._render(list(self._said(messages, True)), tools)
        try:
            return self._render(list(self._said(messages, False)), tools)
        except TemplateError as error:
            raise UnfitConversationError(str(error)) from error

    def _said(self, messages: Sequence[Message], tool_role: bool) -> Iterator[dict[str, str]]:
        """The messages as templates take them: what tools answered to one turn as one message of the user's where there
        is no role for them."""
        for from_tools, group in groupby(messages, lambda message: message.role == "tool"):
            if from_tools and not tool_role:
                text = "\n\n".join(f"Result of {answer.name}:\n{answer.content}" for answer in group)
                yield self._message("user", text)
            elif from_tools:
                yield from ({**self._message("tool", answer.content), "name": answer.name} for answer in group)
            else:
                yield from (self._message(said.role, said.content) for said in group)

    def _render(self, messages: list[dict[str, str]], tools: Sequence[Mapping[str, Any]]) -> str:
        rendered: Any = render_jinja_template(  # what it gives is not what its annotation says
            [messages],
            tools=[dict(tool) for tool in tools] or None,
            chat_template=self._template,
            add_generation_prompt=True,
            **self._named_tokens,
        )
        return str(rendered[0][0])

    def _encode(self, text: str) -> list[int]:
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def _message(self, role: str, content: str) -> dict[str, str]:
        return {"role": role, "content": self.inert(content)}


def _said_already(tokens: Sequence[int], after: Sequence[int]) -> int:
    """How many of these tokens the turn has ended with: the one that ends turns, or none."""
    return int(bool(tokens and after and tokens[0] == after[-1]))


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _instructed(messages: Sequence[Message], instructions: str) -> list[Message]:
    if not instructions:
        return list(messages)
    if messages[0].role == "system":
        return [Message("system", f"{messages[0].content}\n\n{instructions}"), *messages[1:]]
    return [Message("system", instructions), *messages]


def function_object(name: str, description: str, parameters: str) -> dict[str, Any]:
    """A tool as OpenAI's function object; `parameters` is a JSON schema as text."""
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": json.loads(parameters)},
    }
