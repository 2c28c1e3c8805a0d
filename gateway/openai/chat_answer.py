"""Events of a completion as OpenAI's chunks, and chunks as one answer."""

import time
from collections.abc import Iterator
from typing import Any

from gateway.event_stream import event
from gateway.failures import HttpFailure, as_json
from gateway.openai.arguments import ArgumentsText
from gateway.openai.ledger import ledger_of
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

_REASONS = {
    pb.FINISH_REASON_STOP: "stop",
    pb.FINISH_REASON_LENGTH: "length",
    pb.FINISH_REASON_TURNS: "length",  # turns have run out
    pb.FINISH_REASON_CALLS: "tool_calls",
}


class ChatAnswer:
    """One completion's chunks. `functions` are the client's; with `reads_calls`, what stands beside calls is its
    content, and else all text is; `with_usage`: the client wants a chunk of it at the end."""

    def __init__(
        self,
        request_id: str,
        model: str,
        functions: frozenset[str],
        *,
        reads_calls: bool,
        with_usage: bool = False,
    ) -> None:
        self.id = f"chatcmpl-{request_id}"
        self._request_id = request_id
        self._created = int(time.time())
        self._model = model
        self._functions = functions
        self._reads_calls = reads_calls
        self._with_usage = with_usage
        self._calls: dict[str, tuple[int, ArgumentsText]] = {}  # the client's: where in the answer, and its text so far
        self._hosted: dict[str, dict[str, Any]] = {}
        self._vendor: dict[str, Any] = {}
        self.usage: dict[str, Any] = {}

    def begin(self) -> Iterator[dict[str, Any]]:
        """The first chunk."""
        yield self._chunk({"role": "assistant", "content": ""})

    def events(self, response: pb.CompleteResponse) -> Iterator[dict[str, Any]]:
        """Those of an event."""
        match response.WhichOneof("event"):
            case "text_delta" if not self._reads_calls and response.text_delta.text:
                yield self._chunk({"content": response.text_delta.text})
            case "content_delta" if response.content_delta.text:
                field = "reasoning_content" if response.content_delta.reasoning else "content"
                yield self._chunk({field: response.content_delta.text})
            case "call_opened" if not response.call_opened.parent_id:
                yield from self._opened(response.call_opened)
            case "arguments_delta" if response.arguments_delta.call_id in self._calls:
                yield self._grown(response.arguments_delta)
            case "call_finished":
                yield from self._finished_call(response.call_finished)
            case "finished":
                yield self._end(response.finished)

    def fail(self, failure: HttpFailure) -> Iterator[dict[str, Any]]:
        """What is said of a completion that ends badly."""
        yield failure.content

    def end(self) -> Iterator[dict[str, Any] | None]:
        """What follows the last chunk of a completion that ended well; None ends the stream."""
        if self._with_usage:
            yield {**self._chunk({}), "choices": [], "usage": self.usage, **self._vendor}
        yield None

    @staticmethod
    def frame(chunk: dict[str, Any] | None) -> bytes:
        """A chunk as an event that a server sends."""
        return event("[DONE]" if chunk is None else as_json(chunk))

    def _opened(self, opened: pb.CallOpened) -> Iterator[dict[str, Any]]:
        if opened.name not in self._functions:
            self._hosted[opened.call_id] = {"id": opened.call_id, "name": opened.name}
            return
        place = len(self._calls)
        self._calls[opened.call_id] = (place, ArgumentsText())
        identity = {"id": f"call_{self._request_id}_{place}", "type": "function"}
        yield self._chunk(
            {"tool_calls": [{"index": place, **identity, "function": {"name": opened.name, "arguments": ""}}]}
        )

    def _grown(self, delta: pb.ArgumentsDelta) -> dict[str, Any]:
        place, text = self._calls[delta.call_id]
        return self._arguments(place, text.feed(delta))

    def _finished_call(self, finished: pb.CallFinished) -> Iterator[dict[str, Any]]:
        if finished.call_id in self._calls:  # one that is not whole stays as it was written
            place, text = self._calls[finished.call_id]
            if finished.HasField("handed_over"):
                yield self._arguments(place, text.close())
        elif finished.call_id in self._hosted:
            failed = finished.HasField("error")
            outcome = {"error": finished.error.message} if failed else {"result": finished.result}
            self._hosted[finished.call_id] |= {"arguments": finished.arguments_json, **outcome}

    def _arguments(self, place: int, text: str) -> dict[str, Any]:
        return self._chunk({"tool_calls": [{"index": place, "function": {"arguments": text}}]})

    def _end(self, finished: pb.Finished) -> dict[str, Any]:
        self.usage = _usage(finished.usage)
        chunk = self._chunk({}, _REASONS[finished.finish_reason])
        self._vendor = {"conveyor": {"ledger": ledger_of(finished.ledger), "calls": list(self._hosted.values())}}
        return chunk | self._vendor

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
            **({"usage": None} if self._with_usage else {}),
        }


class Gathered:
    """The chunks of a completion, as one answer."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._last: dict[str, Any] = {}

    def add(self, chunk: dict[str, Any]) -> None:
        """Takes the next chunk."""
        delta = chunk["choices"][0]["delta"]
        self._content.append(delta.get("content", ""))
        self._reasoning.append(delta.get("reasoning_content", ""))
        for part in delta.get("tool_calls", ()):
            if part["index"] == len(self._calls):
                self._calls.append({"id": part["id"], "type": part["type"], "function": dict(part["function"])})
            else:
                self._calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
        self._last = chunk

    def answer(self, usage: dict[str, Any]) -> dict[str, Any]:
        """All of it."""
        content = "".join(self._content)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content or (None if self._calls else ""),
            "refusal": None,
        }
        if self._calls:
            message["tool_calls"] = self._calls
        if reasoning := "".join(self._reasoning):
            message["reasoning_content"] = reasoning
        reason = self._last["choices"][0]["finish_reason"]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return self._last | {"object": "chat.completion", "choices": [choice], "usage": usage}


def _usage(usage: pb.Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
