"""`/v1/chat/completions`, `/v1/responses` and `/v1/models`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

import structlog
from pydantic import ValidationError
from sse_starlette import EventSourceResponse
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.completions import Completions
from gateway.openai import failures
from gateway.openai.body import Part
from gateway.openai.chat_answer import ChatAnswer, Gathered
from gateway.openai.chat_request import ChatRequest
from gateway.openai.failures import HttpFailure
from gateway.openai.responses_answer import ResponsesAnswer
from gateway.openai.responses_request import ResponsesRequest
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc import context
from protos.rpc.errors import ServiceError

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PING_SECONDS = 15  # while tools run, so that nothing between us and the client thinks that the stream is dead
STARTED = int(time.time())
REPEATED = ("instructions", "metadata", "temperature", "top_p", "max_output_tokens", "text", "tools")

Events = AsyncGenerator[pb.CompleteResponse, None]
Body = TypeVar("Body", bound=Part)
Result = TypeVar("Result")
Handler = Callable[[Request], Awaitable[Response]]
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

    def frame(self, message: Any, /) -> dict[str, str]:
        """A message as an event that a server sends."""
        ...


class OpenAi:
    """The routes. `model` gives the name of the model that is served; a body has at most `max_bytes`."""

    def __init__(self, completions: Completions, model: Callable[[], Awaitable[str]], max_bytes: int) -> None:
        self._completions = completions
        self._model = model
        self._max_bytes = max_bytes
        self._known = [
            Route("/v1/chat/completions", _telling(self.chat), methods=["POST"]),
            Route("/v1/responses", _telling(self.responses), methods=["POST"]),
            Route("/v1/models", _telling(self.models), methods=["GET"]),
        ]

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [*self._known, Route("/v1/{path:path}", _telling(self.nothing), methods=[*METHODS])]

    async def nothing(self, request: Request) -> Response:
        """What there is not."""
        path = request.url.path
        allowed = {method for route in self._known if route.path == path for method in route.methods or ()}
        if allowed:
            wanted = ", ".join(sorted(allowed - {"HEAD"}))
            raise HttpFailure(405, "method_not_allowed", f"{path} takes {wanted}, and not {request.method}")
        known = ", ".join(route.path for route in self._known)
        raise HttpFailure(404, "unknown_url", f"there is no {path[:100]}; there are: {known}")

    async def models(self, _request: Request) -> Response:
        """The one model that is served."""
        model = {"id": await self._model(), "object": "model", "created": STARTED, "owned_by": "conveyor"}
        return JSONResponse({"object": "list", "data": [model]})

    async def chat(self, request: Request) -> Response:
        """A chat completion, streamed or whole. Any name of a model means the one that is served."""
        running = _bind(request)
        asked = _read(ChatRequest, await self._body(request))
        answer = ChatAnswer(
            running.request_id,
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
        return JSONResponse(gathered.answer(answer.usage), headers=_headers())

    async def responses(self, request: Request) -> Response:
        """The same as a response."""
        running = _bind(request)
        asked = _read(ResponsesRequest, await self._body(request))
        answer = ResponsesAnswer(
            running.request_id, await self._model(), asked.functions, _repeated(asked), reads_calls=asked.has_tools
        )
        events = self._completions.run(asked.complete_request())
        if asked.stream:
            return await _unless_gone(request, _stream(answer, events))
        await _unless_gone(request, _tell(answer, events, lambda _: None))
        return JSONResponse(answer.response, headers=_headers())

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._max_bytes:
                raise HttpFailure(
                    413, "too_large", f"the body has more than {self._max_bytes} bytes, as many as may be"
                )
        return bytes(body)


def _read(kind: type[Body], body: bytes) -> Body:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise failures.of_validation(error, body) from error


def _repeated(asked: ResponsesRequest) -> dict[str, Any]:
    """What a response repeats of its request."""
    sent = asked.model_dump(mode="json", by_alias=True, exclude_none=True, include={*REPEATED, "tool_choice"})
    missing = {"tools": [], "metadata": {}, "text": {"format": {"type": "text"}}, "tool_choice": "auto"}
    return {**dict.fromkeys(REPEATED), **missing, **sent, "parallel_tool_calls": True}


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
    return EventSourceResponse(frames, ping=PING_SECONDS, sep="\n", headers=_headers())


async def _resumed(first: pb.CompleteResponse, events: Events) -> Events:
    async with aclosing(events):
        yield first
        async for event in events:
            yield event


async def _frames(answer: Answer, events: Events) -> AsyncGenerator[dict[str, str], None]:
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


def _bind(request: Request) -> context.RequestContext:
    running = context.from_headers(request.headers)
    context.bind(running)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**running.logged())
    return running


def _headers() -> dict[str, str]:
    return {context.REQUEST_ID: context.current().request_id}


def _telling(handler: Handler) -> Handler:
    """Answers with what went wrong."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except HttpFailure as failure:
            return failure.response()
        except ClientDisconnect:
            return HttpFailure(499, "cancelled", "the client has left").response()
        except ServiceError as error:
            log.info("refused", method=request.url.path, reason=str(error.reason), message=error.message)
            return failures.of_service(error).response()
        except Exception:
            log.exception("failed", method=request.url.path)
            return failures.unexpected().response()

    return handle
