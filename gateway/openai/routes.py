"""`/v1/chat/completions`, `/v1/responses` and `/v1/models`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import failures, field_names, handling
from gateway.completions import Completions
from gateway.event_stream import EventStream
from gateway.failures import HttpFailure
from gateway.openai.chat_answer import ChatAnswer, Gathered
from gateway.openai.chat_request import ChatRequest
from gateway.openai.responses_answer import ResponsesAnswer
from gateway.openai.responses_request import ResponsesRequest
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc import context
from protos.rpc.errors import ServiceError

STARTED = int(time.time())
REPEATED = (
    "parallel_tool_calls",
    "instructions",
    "metadata",
    "temperature",
    "top_p",
    "max_output_tokens",
    "text",
    "tools",
)

Events = AsyncGenerator[pb.CompleteResponse, None]
Result = TypeVar("Result")
log = structlog.get_logger()


class Answer(Protocol):
    """Says what happens in the words of one endpoint."""

    def begin(self) -> Iterator[Any]:
        """The first messages."""
        ...

    def events(self, response: pb.CompleteResponse, /) -> Iterator[Any]:
        """Those of an event."""
        ...

    def fail(self, failure: HttpFailure, /) -> Iterator[Any]:
        """Those of a completion that ends badly."""
        ...

    def end(self) -> Iterator[Any]:
        """Those that follow the last event."""
        ...

    def frame(self, message: Any, /) -> bytes:
        """A message as an event that a server sends."""
        ...


class OpenAi:
    """The routes. `model` gives the name of the model that is served; a body has at most `max_bytes`."""

    def __init__(self, completions: Completions, model: Callable[[], Awaitable[str]], max_bytes: int) -> None:
        self._completions = completions
        self._model = model
        self._max_bytes = max_bytes

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/v1/chat/completions", handling.telling(self.chat, field_names.CHAT), methods=["POST"]),
            Route("/v1/responses", handling.telling(self.responses, field_names.RESPONSES), methods=["POST"]),
            Route("/v1/models", handling.telling(self.models), methods=["GET"]),
        ]

    async def models(self, _request: Request) -> Response:
        """The one model that is served."""
        model = {"id": await self._model(), "object": "model", "created": STARTED, "owned_by": "conveyor"}
        return JSONResponse({"object": "list", "data": [model]})

    async def chat(self, request: Request) -> Response:
        """A chat completion, streamed or whole. Any name of a model means the one that is served."""
        asked = await handling.read(ChatRequest, request, self._max_bytes)
        answer = ChatAnswer(
            context.current().request_id,
            await self._model(),
            frozenset(function.name for function in asked.functions),
            reads_calls=asked.has_tools,
            with_usage=asked.stream_options is not None and asked.stream_options.include_usage,
        )
        events = self._completions.run(asked.complete_request())
        if asked.stream:
            return await _unless_gone(request, _stream(answer, events))
        gathered = Gathered()
        await _unless_gone(request, _tell(answer, events, gathered.add))
        return JSONResponse(gathered.answer(answer.usage))

    async def responses(self, request: Request) -> Response:
        """The same as a response."""
        asked = await handling.read(ResponsesRequest, request, self._max_bytes)
        answer = ResponsesAnswer(
            context.current().request_id,
            await self._model(),
            asked.functions,
            _repeated(asked),
            reads_calls=asked.has_tools,
        )
        events = self._completions.run(asked.complete_request())
        if asked.stream:
            return await _unless_gone(request, _stream(answer, events))
        await _unless_gone(request, _tell(answer, events, lambda _: None))
        return JSONResponse(answer.response)


def _repeated(asked: ResponsesRequest) -> dict[str, Any]:
    """What a response repeats of its request."""
    sent = asked.model_dump(mode="json", by_alias=True, exclude_none=True, include={*REPEATED, "tool_choice"})
    missing = {
        "tools": [],
        "metadata": {},
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "parallel_tool_calls": True,
    }
    return {**dict.fromkeys(REPEATED), **missing, **sent}


async def _said(answer: Answer, events: Events) -> AsyncGenerator[Any, None]:
    for message in answer.begin():
        yield message
    async with aclosing(events):
        async for event in events:
            for message in answer.events(event):
                yield message


async def _tell(answer: Answer, events: Events, told: Callable[[Any], None]) -> None:
    async with aclosing(_said(answer, events)) as said:
        async for message in said:
            told(message)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """What comes of the work, which is given up where the client leaves before."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        raise HttpFailure(499, "cancelled", "the client has left")
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _stream(answer: Answer, events: Events) -> Response:
    """An answer whose status is known when the first event is there: what is wrong with the request has its own."""
    try:
        first = await anext(events)
    except BaseException:
        await events.aclose()
        raise
    frames = _frames(answer, _resumed(first, events))
    return EventStream(frames)


async def _resumed(first: pb.CompleteResponse, events: Events) -> Events:
    async with aclosing(events):
        yield first
        async for event in events:
            yield event


async def _frames(answer: Answer, events: Events) -> AsyncGenerator[bytes, None]:
    """The messages as server-sent events. What goes wrong now is one of them."""
    try:
        async with aclosing(_said(answer, events)) as said:
            async for message in said:
                yield answer.frame(message)
        last = answer.end()
    except ServiceError as error:
        last = answer.fail(failures.of_service(error))
    except Exception:
        log.exception("stream failed")
        last = answer.fail(failures.unexpected())
    for message in last:
        yield answer.frame(message)
