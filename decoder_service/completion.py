"""One completion over all of its turns: the engine's text goes to the tools and to the caller in the same moment, the
tools' results go back into the sequence.

    prompt ─▶ turn ─▶ (calls? results ─▶ new tokens) ─▶ turn ─▶ … ─▶ finished

Everything that the caller is to see passes through one outbox, stamped with the time since the request came.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from decoder_service import wire
from decoder_service.ahead import Ahead, Result
from decoder_service.engine.client import (
    EngineClient,
    EngineOverloadedError,
    GrammarRefusedError,
    SequenceFailedError,
    SequenceHandle,
)
from decoder_service.engine.messages import Decoded, TurnBegan, TurnEnded, TurnSpec
from decoder_service.outbox import Outbox
from decoder_service.request import Request
from decoder_service.text.answer import answer_grammar
from decoder_service.text.grammar_text import GrammarText
from decoder_service.text.stops import TurnStop
from decoder_service.text.template import ChatTemplate, Message, ToolText, UnfitConversationError, function_object
from decoder_service.tool_client import ToolStream
from decoder_service.tool_durations import OpenCalls, ToolDurations
from decoder_service.tool_feed import ToolFeeds
from decoder_service.turn_spans import TurnSpans, note_end, turn_spans
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.tool.v1 import tool_pb2, tool_pb2_grpc
from protos.rpc.errors import Reason, ServiceError, reject_field
from protos.rpc.tracing import OFF, Span, Tracer
from protos.rpc.translation import copy
from protos.schemas.reading import UnenforceableError

log = structlog.get_logger()

RETRY_SECONDS = 1.0
SOONEST_SECONDS = 0.05  # before open calls are thought of again
# That calls must still take for something to be prepared: a step that has begun keeps a result waiting.
WORTH_SECONDS = 0.05
ANSWER_TOKENS = 256  # left free for the answer when results are cut
CUT_SHARE = 0.8  # of what would fit by proportion, because texts differ in characters per token
CUT = "[cut to fit the model's context]"


@dataclass(frozen=True, slots=True)
class Decoder:
    """What every completion shares. `context`: most tokens of a completion; `model`: its name."""

    engine: EngineClient
    template: ChatTemplate
    tools: "tool_pb2_grpc.ToolServiceAsyncStub"
    feeds: ToolFeeds
    context: int
    model: str = ""
    tracer: Tracer = OFF
    durations: ToolDurations = field(default_factory=ToolDurations)


class Completion:
    """A running completion. `events` is its only verb; what it says goes through `outbox`."""

    def __init__(self, decoder: Decoder, request: Request, outbox: Outbox) -> None:
        self._decoder = decoder
        self._request = request
        self._began = time.monotonic()
        log.debug("began", monotonic=self._began)  # puts the events' times beside other clocks of this machine
        self._outbox = outbox
        self._usage = decoder_pb2.Usage()
        self._messages: list[Message] = []  # the conversation as the model reads it
        self._results: dict[str, Result] = {}
        self._is_clients_turn = False  # it has called one of its functions
        self._sequence: SequenceHandle | None = None
        self._tools: ToolStream | None = None
        one_by_one = request.tools is not None and request.tools.mode == tool_pb2.MODE_SERIAL
        self._calls = OpenCalls(decoder.durations, one_by_one)
        self._news = asyncio.Event()  # of the running calls

    async def events(self) -> AsyncGenerator[decoder_pb2.GenerateResponse, None]:
        """Runs the completion, and gives what goes by its own stream. Closing the iterator frees the sequence and stops
        the tools. Raises ServiceError."""
        work = asyncio.create_task(self._run())
        work.add_done_callback(lambda _: self._outbox.close())
        try:
            while (event := await self._outbox.get()) is not None:
                yield event
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def decide(self, decide: decoder_pb2.Decide) -> None:
        """Passes a person's word on a call on to the tools."""
        if self._tools is not None:
            await self._tools.decide(decide.call_id, decide.approved, decide.reason)

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            spans = stack.enter_context(turn_spans(self._decoder.tracer, self._decoder.model))
            if self._decoder.engine.is_full:  # nor are tools opened, nor long texts read, for who is refused
                raise _overloaded()
            started = await self._open_tools(stack)
            prompt, turn = await asyncio.to_thread(self._first, started)  # long texts take long to tokenise
            try:
                on_text = self._tools.text if self._tools else None
                self._sequence = self._decoder.engine.begin(prompt, self._request.sampling, turn, on_text)
                stack.callback(self._decoder.engine.release, self._sequence)
                await self._turns(self._sequence, started, spans)
            except GrammarRefusedError as error:
                field = "response_json_schema" if self._request.response_schema else ""
                told = f"the schema cannot be followed: {error}"
                raise ServiceError(Reason.INVALID_SCHEMA, told, field=field) from error
            except SequenceFailedError as error:
                raise ServiceError(Reason.INTERNAL, str(error)) from error
            except EngineOverloadedError:
                raise _overloaded() from None

    async def _open_tools(self, stack: AsyncExitStack) -> tool_pb2.Started:
        tools = self._request.tools
        if tools is None:
            return tool_pb2.Started()
        self._tools = await stack.enter_async_context(
            ToolStream(self._decoder.tools, self._decoder.feeds, self._on_tool_event, self._outbox.room)
        )
        return await self._tools.start(
            tool_pb2.Start(
                format=tools.format,
                tools=tools.names,
                mode=tool_pb2.Mode.Name(tools.mode),
                required_tool=tools.required,
                stream_arguments=tools.stream_arguments,
                stream_content=tools.stream_content,
                single_call=tools.single_call,
                functions=[copy(function, tool_pb2.Function) for function in tools.functions],
                caller=self._request.caller,
                said=[wire.said_calls(said.calls) for said in self._request.said],
            )
        )

    def _prompt(self, started: tool_pb2.Started) -> list[int]:
        listed = started.template_native and self._decoder.template.lists_tools
        functions = (
            [function_object(t.name, t.description, t.parameters_json_schema) for t in started.tools] if listed else []
        )
        self._messages = self._with_calls(started)
        try:
            prompt = self._decoder.template.prompt(self._messages, "" if listed else started.instructions, functions)
        except UnfitConversationError as error:
            reject_field(Reason.INVALID_MESSAGE, "messages", f"are refused by the model's chat template: {error}")
        if len(prompt) >= self._decoder.context:
            most = self._decoder.context - 1  # room for one token of an answer
            told = f"have {len(prompt)} tokens, tools included; the model takes at most {most}"
            reject_field(Reason.PROMPT_TOO_LONG, "messages", told)
        return prompt

    def _with_calls(self, started: tool_pb2.Started) -> list[Message]:
        """The conversation with the calls of earlier turns in it: as the format writes them, or as JSON where there are
        no tools and so no format."""
        messages = list(self._request.messages)
        written = started.said or [wire.plain_calls(said.calls) for said in self._request.said]
        for said, text in zip(self._request.said, written, strict=True):
            message = messages[said.place]
            messages[said.place] = replace(message, content="\n".join(filter(None, (message.content, text))))
        return messages

    def _first(self, started: tool_pb2.Started) -> tuple[list[int], TurnSpec]:
        return self._prompt(started), self._turn(0, self._request.max_tokens, started, self._grammar(started))

    def _grammar(self, started: tool_pb2.Started) -> GrammarText | None:
        if started.grammar:
            return GrammarText("lark", started.grammar)
        if self._request.response_schema:
            try:
                return answer_grammar(self._request.response_schema)
            except UnenforceableError as error:
                told = f"cannot be followed by a grammar: {error}"
                reject_field(Reason.INVALID_SCHEMA, "response_json_schema", told)
        return None

    def _turn(
        self, number: int, max_tokens: int, started: tool_pb2.Started, grammar: GrammarText | None = None
    ) -> TurnSpec:
        replay = self._request.replay[number] if number < len(self._request.replay) else None
        return TurnSpec(
            max_tokens=max_tokens,
            stop=self._request.stop,
            turn_stops=tuple(TurnStop(stop.after, stop.text) for stop in started.stops),
            replay=None if replay is None else tuple(self._decoder.template.encode(replay)),
            grammar=grammar,
        )

    async def _turns(self, sequence: SequenceHandle, started: tool_pb2.Started, spans: TurnSpans) -> None:
        left = self._request.max_tokens
        context = 0
        for number in range(self._request.max_turns):
            with spans.turn(number) as span:
                ended, last_tokens, context = await self._decode_turn(number, sequence, span)
            left -= ended.completion_tokens
            room = self._decoder.context - context
            goes_on = ended.reason != "length" and number + 1 < self._request.max_turns and left > 0
            ahead = self._ahead(last_tokens, room, left) if goes_on else None
            calls = await self._finish_calls(self._tools, sequence, ended.reason, ahead) if self._tools else 0
            self._say(turn_finished=decoder_pb2.TurnFinished(turn=number, call_count=calls))
            if not calls or ended.reason == "length":
                return self._finish(wire.FINISH_REASONS[ended.reason])
            if self._is_clients_turn:
                return self._finish(decoder_pb2.FINISH_REASON_CALLS)
            if number + 1 == self._request.max_turns:
                return self._finish(decoder_pb2.FINISH_REASON_TURNS)
            fresh, turn = await asyncio.to_thread(self._next, number + 1, left, started, last_tokens, room)
            if left < 1 or len(fresh) >= room:
                return self._finish(decoder_pb2.FINISH_REASON_LENGTH)
            self._results.clear()
            sequence.resume(fresh, turn)
        raise AssertionError("max_turns is at least 1")

    def _ahead(self, after: tuple[int, ...], room: int, left: int) -> Ahead:
        most = room - min(left, ANSWER_TOKENS)
        return Ahead(self._decoder.template, self._messages, after, most)

    async def _finish_calls(self, tools: ToolStream, sequence: SequenceHandle, reason: str, ahead: Ahead | None) -> int:
        """Waits for the turn's calls and says how many there were. Meanwhile the engine is told when to expect them and
        what is likely to follow."""
        telling = asyncio.create_task(self._tell_meanwhile(sequence, ahead))
        try:
            return await tools.end_turn(reason)
        finally:
            telling.cancel()

    async def _tell_meanwhile(self, sequence: SequenceHandle, ahead: Ahead | None) -> None:
        while True:
            self._news.clear()
            done_at = self._calls.done_at(now := time.monotonic())
            if done_at is not None:
                sequence.expect(done_at)
                if ahead and done_at - now > WORTH_SECONDS:
                    await self._prepare(sequence, ahead)
            await asyncio.sleep(SOONEST_SECONDS)
            seconds = None if done_at is None else max(0.0, done_at - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()

    async def _prepare(self, sequence: SequenceHandle, ahead: Ahead) -> None:
        likely = await asyncio.to_thread(ahead.learn, list(self._results.values()))
        if likely is not None:
            sequence.prepare(*likely)

    def _next(
        self, number: int, left: int, started: tool_pb2.Started, after: tuple[int, ...], room: int
    ) -> tuple[list[int], TurnSpec]:
        """The tokens of the results and the turn that reads them. Results too long for the context are cut to fit."""
        results = [ToolText(result.name, result.text or "") for result in self._results.values()]
        render = partial(self._decoder.template.continuation, self._messages, after=after)
        fresh = render(results=results)
        most = room - min(left, ANSWER_TOKENS)
        if len(fresh) > most:
            share = max(0.0, CUT_SHARE * most / len(fresh))
            fresh = render(results=[ToolText(r.name, f"{r.text[: int(len(r.text) * share)]}\n{CUT}") for r in results])
        return fresh, self._turn(number, left, started)

    async def _decode_turn(
        self, number: int, sequence: SequenceHandle, span: Span
    ) -> tuple[TurnEnded, tuple[int, ...], int]:
        """Passes a turn's text on. Gives how it ended, its last token, and the tokens the sequence has now."""
        usage = decoder_pb2.Usage()
        last: tuple[int, ...] = ()
        async for output in sequence.turn():
            match output:
                case TurnBegan():
                    usage.prompt_tokens, usage.cached_tokens = output.prompt_tokens, output.cached_tokens
                    span.event("batched", at=sequence.said_at)
                    self._say(sequence.said_at, turn_started=decoder_pb2.TurnStarted(turn=number))
                case Decoded():
                    if not last:
                        span.event("first_token", at=sequence.said_at)
                    last = output.tokens
                    delta = decoder_pb2.TextDelta(text=output.text, token_ids=output.tokens)
                    self._say(sequence.said_at, text_delta=delta)
                    if self._tools and output.text:
                        await self._tools.flush()
                case TurnEnded():
                    usage.completion_tokens = output.completion_tokens
                    self._add(usage)
                    reason = wire.FINISH_REASONS[output.reason]
                    decoded = decoder_pb2.TurnDecoded(turn=number, finish_reason=reason, usage=usage)
                    self._say(sequence.said_at, turn_decoded=decoded)
                    note_end(span, output.reason, usage)
                    return output, last, usage.prompt_tokens + usage.completion_tokens
        raise AssertionError("a turn ends with TurnEnded")

    def _on_tool_event(self, event: tool_pb2.ExecuteResponse) -> None:
        match event.WhichOneof("event"):
            case "call_opened" if not event.call_opened.parent_id:
                opened = event.call_opened
                tools = self._request.tools
                self._is_clients_turn |= tools is not None and any(opened.name == each.name for each in tools.functions)
                self._results[opened.call_id] = Result(opened.name)  # keeps the order of appearance
                self._calls.opened(opened.call_id, opened.name)
            case "call_started":
                self._calls.started(event.call_started.call_id, time.monotonic())
            case "call_output" if event.call_output.call_id in self._results:
                self._results[event.call_output.call_id].output.append(event.call_output.text)
            case "call_finished" if event.call_finished.call_id in self._results:  # of inner calls their parent tells
                finished = event.call_finished
                self._results[finished.call_id].text = wire.result_text(finished)
                self._calls.finished(finished.call_id, time.monotonic())
            case "turn_vetoed" if self._sequence:
                self._sequence.end_turn("veto")
            case "turn_filled":
                if self._sequence:
                    self._sequence.end_turn("stop")
                return
        self._news.set()
        self._say(**wire.from_tool_event(event))

    def _add(self, usage: decoder_pb2.Usage) -> None:
        self._usage.prompt_tokens += usage.prompt_tokens
        self._usage.cached_tokens += usage.cached_tokens
        self._usage.completion_tokens += usage.completion_tokens

    def _finish(self, reason: decoder_pb2.FinishReason) -> None:
        self._say(finished=decoder_pb2.Finished(finish_reason=reason, usage=self._usage))

    def _say(self, at: float | None = None, /, **event: object) -> None:
        """Tells the caller. `at`: when it happened, in seconds of the monotonic clock; now where that is not known."""
        response = decoder_pb2.GenerateResponse(**event)  # type: ignore[arg-type]
        happened = time.monotonic() if at is None else at
        response.at.FromNanoseconds(max(0, int((happened - self._began) * 1e9)))
        self._outbox.put(response)


def _overloaded() -> ServiceError:
    return ServiceError(Reason.OVERLOADED, "as many completions wait as may", retry_seconds=RETRY_SECONDS)
