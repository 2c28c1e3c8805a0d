"""Events of a completion as the events of OpenAI's responses, and the response that they add up to.

    response.created, response.in_progress
    for each item: response.output_item.added, its own events, response.output_item.done
    response.completed, response.incomplete or response.failed

Items: the model's thoughts, its words, calls of functions of the client, code that ran here (`code_interpreter_call`),
and other calls that ran here, in the shape of MCP calls (`mcp_call`).
"""

import base64
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.event_stream import event
from gateway.failures import HttpFailure, as_json
from gateway.openai.arguments import ArgumentsText
from gateway.openai.ledger import ledger_of
from gateway.openai.responses_items import PYTHON
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

SERVER = "conveyor"  # the label of what ran here
Told = dict[str, Any]


@dataclass
class _Item:
    """An item of the answer, and what its events say of it."""

    place: int
    content: Told
    text: ArgumentsText = field(default_factory=ArgumentsText)


class ResponsesAnswer:
    """One completion's events. `about` are the fields of the request that an answer repeats."""

    def __init__(
        self, request_id: str, model: str, functions: frozenset[str], about: Told, *, reads_calls: bool
    ) -> None:
        self._request_id = request_id
        self._functions = functions
        self._reads_calls = reads_calls
        self._number = 0
        self._items: list[_Item] = []
        self._calls: dict[str, _Item] = {}
        self._said: _Item | None = None  # the open item of words, or thoughts
        self._is_cut = False  # the last turn that was decoded
        self._response: Told = {
            "id": f"resp_{request_id}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": [],
            "usage": None,
            **about,
        }

    @property
    def response(self) -> Told:
        """The response as it is now."""
        return self._response | {"output": [item.content for item in self._items]}

    def begin(self) -> Iterator[Told]:
        """The first events."""
        yield self._event("response.created", response=self.response)
        yield self._event("response.in_progress", response=self.response)

    def events(self, response: pb.CompleteResponse) -> Iterator[Told]:
        """Those of an event of ours."""
        match response.WhichOneof("event"):
            case "text_delta" if not self._reads_calls and response.text_delta.text:
                yield from self._say(response.text_delta.text, "message")
            case "content_delta" if response.content_delta.text:
                kind = "reasoning" if response.content_delta.reasoning else "message"
                yield from self._say(response.content_delta.text, kind)
            case "call_opened" if not response.call_opened.parent_id:
                yield from self._open(response.call_opened)
            case "arguments_delta" if response.arguments_delta.call_id in self._calls:
                yield from self._grow(response.arguments_delta)
            case "call_started" if response.call_started.call_id in self._calls:
                yield from self._start(self._calls[response.call_started.call_id])
            case "call_output" if response.call_output.call_id in self._calls:
                self._print(self._calls[response.call_output.call_id], response.call_output.text)
            case "call_artifact" if response.call_artifact.call_id in self._calls:
                self._draw(self._calls[response.call_artifact.call_id], response.call_artifact)
            case "call_finished" if response.call_finished.call_id in self._calls:
                yield from self._finish_call(response.call_finished)
            case "turn_decoded":
                self._is_cut = response.turn_decoded.finish_reason == pb.FINISH_REASON_LENGTH
            case "turn_finished":  # what the tool service reads of a turn may come after its last token
                yield from self._end_words()
            case "finished":
                yield from self._finish(response.finished)

    def fail(self, failure: HttpFailure) -> Iterator[Told]:
        """The event of a completion that ends badly."""
        error = {"code": "server_error", "message": f"{failure.message} ({failure.code})"}
        self._response |= {"status": "failed", "error": error}
        yield self._event("response.failed", response=self.response)

    def end(self) -> Iterator[Told]:
        """Nothing more."""
        return iter(())

    @staticmethod
    def frame(said: Told) -> bytes:
        """An event as one that a server sends."""
        return event(as_json(said), kind=said["type"])

    def _say(self, text: str, kind: str) -> Iterator[Told]:
        if self._said is None or self._said.content["type"] != kind:
            yield from self._end_words()
            if kind == "message" and not text.strip():
                return  # between two calls
            yield from self._begin_words(kind)
        assert self._said is not None
        part = self._said.content["content"][0]
        part["text"] += text
        if kind == "message":
            yield self._of("response.output_text.delta", self._said, content_index=0, delta=text, logprobs=[])
        else:
            yield self._of("response.reasoning_text.delta", self._said, content_index=0, delta=text)

    def _begin_words(self, kind: str) -> Iterator[Told]:
        if kind == "message":
            part: Told = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            content: Told = {"role": "assistant", "status": "in_progress", "content": []}
        else:
            part, content = {"type": "reasoning_text", "text": ""}, {"summary": [], "content": []}
        self._said = yield from self._add("msg" if kind == "message" else "rs", kind, content)
        self._said.content["content"] = [part]
        yield self._of("response.content_part.added", self._said, content_index=0, part=dict(part))

    def _end_words(self) -> Iterator[Told]:
        item, self._said = self._said, None
        if item is None:
            return
        [part] = item.content["content"]
        if item.content["type"] == "message":
            item.content["status"] = "incomplete" if self._is_cut else "completed"
            yield self._of("response.output_text.done", item, content_index=0, text=part["text"], logprobs=[])
        else:
            yield self._of("response.reasoning_text.done", item, content_index=0, text=part["text"])
        yield self._of("response.content_part.done", item, content_index=0, part=part)
        yield self._done(item)

    def _open(self, opened: pb.CallOpened) -> Iterator[Told]:
        yield from self._end_words()
        if opened.name in self._functions:
            call_id = f"call_{self._request_id}_{len(self._items)}"
            content: Told = {"call_id": call_id, "name": opened.name, "arguments": ""}
            item = yield from self._add("fc", "function_call", {**content, "status": "in_progress"})
        elif opened.name == PYTHON:
            content = {"code": "", "container_id": self._request_id, "outputs": [], "status": "in_progress"}
            item = yield from self._add("ci", "code_interpreter_call", content)
            yield self._of("response.code_interpreter_call.in_progress", item)
        else:
            content = {"name": opened.name, "arguments": "", "server_label": SERVER, "status": "in_progress"}
            item = yield from self._add("mcp", "mcp_call", {**content, "output": None, "error": None})
            yield self._of("response.mcp_call.in_progress", item)
        self._calls[opened.call_id] = item

    def _grow(self, delta: pb.ArgumentsDelta) -> Iterator[Told]:
        item = self._calls[delta.call_id]
        text = item.text.feed(delta)
        match item.content["type"]:
            case "function_call":
                item.content["arguments"] += text
                yield self._of("response.function_call_arguments.delta", item, delta=text)
            case "mcp_call":
                item.content["arguments"] += text
                yield self._of("response.mcp_call_arguments.delta", item, delta=text)
            case "code_interpreter_call" if delta.argument == "code" and delta.text:
                item.content["code"] += delta.text
                yield self._of("response.code_interpreter_call_code.delta", item, delta=delta.text)

    def _start(self, item: _Item) -> Iterator[Told]:
        if item.content["type"] == "code_interpreter_call":
            item.content["status"] = "interpreting"
            yield self._of("response.code_interpreter_call.interpreting", item)

    def _print(self, item: _Item, text: str) -> None:
        if item.content["type"] != "code_interpreter_call":
            return
        outputs = item.content["outputs"]
        if not outputs or outputs[-1]["type"] != "logs":
            outputs.append({"type": "logs", "logs": ""})
        outputs[-1]["logs"] += text

    def _draw(self, item: _Item, artifact: pb.CallArtifact) -> None:
        if item.content["type"] == "code_interpreter_call" and artifact.media_type.startswith("image/"):
            data = base64.b64encode(artifact.data).decode()
            item.content["outputs"].append({"type": "image", "url": f"data:{artifact.media_type};base64,{data}"})

    def _finish_call(self, finished: pb.CallFinished) -> Iterator[Told]:
        item = self._calls[finished.call_id]
        failed = finished.HasField("error")
        match item.content["type"]:
            case "function_call":
                if failed:  # it is not whole, and stays as it was written
                    arguments = item.content["arguments"]
                    yield self._of("response.function_call_arguments.done", item, arguments=arguments)
                else:
                    yield from self._end_arguments(item, "response.function_call_arguments")
                item.content["status"] = "incomplete" if failed else "completed"
            case "code_interpreter_call":
                if failed:
                    self._print(item, finished.error.message)
                yield self._of("response.code_interpreter_call_code.done", item, code=item.content["code"])
                item.content["status"] = "failed" if failed else "completed"
                yield self._of("response.code_interpreter_call.completed", item)
            case "mcp_call":
                yield from self._end_arguments(item, "response.mcp_call_arguments")
                item.content |= {"error": finished.error.message} if failed else {"output": finished.result}
                item.content["status"] = "failed" if failed else "completed"
                yield self._of(f"response.mcp_call.{item.content['status']}", item)
        yield self._done(item)

    def _end_arguments(self, item: _Item, kind: str) -> Iterator[Told]:
        rest = item.text.close()
        item.content["arguments"] += rest
        yield self._of(f"{kind}.delta", item, delta=rest)
        yield self._of(f"{kind}.done", item, arguments=item.content["arguments"])

    def _finish(self, finished: pb.Finished) -> Iterator[Told]:
        yield from self._end_words()
        cut = finished.finish_reason in (pb.FINISH_REASON_LENGTH, pb.FINISH_REASON_TURNS)
        usage = finished.usage
        self._response |= {
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "completed_at": None if cut else int(time.time()),
            "usage": {
                "input_tokens": usage.prompt_tokens,
                "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
                "output_tokens": usage.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            },
            "conveyor": {"ledger": ledger_of(finished.ledger)},
        }
        yield self._event(f"response.{self._response['status']}", response=self.response)

    def _add(self, prefix: str, kind: str, content: Told) -> Generator[Told, None, _Item]:
        """A new item, and the event that says so."""
        item_id = f"{prefix}_{self._request_id}_{len(self._items)}"
        item = _Item(len(self._items), {"id": item_id, "type": kind, **content})
        self._items.append(item)
        yield self._event("response.output_item.added", output_index=item.place, item=dict(item.content))
        return item

    def _done(self, item: _Item) -> Told:
        return self._event("response.output_item.done", output_index=item.place, item=item.content)

    def _of(self, kind: str, item: _Item, **fields: Any) -> Told:
        return self._event(kind, item_id=item.content["id"], output_index=item.place, **fields)

    def _event(self, kind: str, **fields: Any) -> Told:
        event = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return event
