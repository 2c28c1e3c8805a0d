"""One completion from admission to ledger, whoever asks for it: gRPC today, HTTP as well.

admit ▶ bound by a deadline ▶ parse ▶ tools exist ▶ decode, recording events and passing them on ▶ ledger

What is counted, traced and logged of it is `observing`'s.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from dataclasses import replace

from gateway import wire
from gateway.approvals import Approvals
from gateway.archive.archive import Archive
from gateway.archive.recording import Recording
from gateway.bounded import Bounded
from gateway.decoder import Generation
from gateway.guard.limits import Limits
from gateway.listening import Ears
from gateway.models import ServedModel
from gateway.observing import Observed, Observer
from gateway.request import Completion, parse
from gateway.settings import GatewaySettings
from gateway.tools import Catalogue
from protos.conveyor.decoder.v1 import decoder_pb2_grpc
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.rpc import context
from protos.rpc.errors import Reason, ServiceError, reject

_RETRY_SECONDS = 1.0


class Completions:
    """Runs completions, at most `settings.max_active` at once."""

    def __init__(
        self,
        settings: GatewaySettings,
        decoder: "decoder_pb2_grpc.DecoderServiceAsyncStub",
        model: ServedModel,
        catalogue: Catalogue,
        observer: Observer,
        archive: Archive,
    ) -> None:
        self._settings = settings
        self._decoder = decoder
        self._model = model
        self.ears = Ears(decoder)
        self._catalogue = catalogue
        self._observer = observer
        self._archive = archive
        self._limits = Limits(settings.requests_per_minute, settings.max_active_per_key)
        self._active = 0
        self._draining = False
        self.approvals = Approvals()
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(
        self, request: gateway_pb2.CompleteRequest, on_recording: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[gateway_pb2.CompleteResponse, None]:
        """The events of one completion, `finished` last. Closing the generator stops all of the work behind it, and its
        deadline does, too, whoever takes the events.

        Runs in the request context that the caller has bound. `on_recording` is told when it is admitted and in the
        archive. Raises `ServiceError`.
        """
        seconds = self._seconds(context.current())
        context.bind(replace(context.current(), deadline=time.monotonic() + seconds))
        async with aclosing(Bounded(self._run(request, on_recording), seconds).run()) as responses:
            async for response in responses:
                yield response

    async def _run(
        self, request: gateway_pb2.CompleteRequest, on_recording: Callable[[], None]
    ) -> AsyncGenerator[gateway_pb2.CompleteResponse, None]:
        with self._observer.completion() as observed, self._admitted():
            completion = parse(request, self._settings.max_prompt_chars)
            if completion.tool_use is not None:
                await self._catalogue.require(completion.tool_use)
            observed.accept(completion)
            if self._observer.tracer.keeps:
                observed.served_by(await self._model.name_if_told())
            with self._archive.recording(request) as recording:
                on_recording()
                async with aclosing(self._decode(completion, observed, recording)) as responses:
                    async for response in responses:
                        recording.add(response)
                        yield response

    async def drain(self, grace_seconds: float) -> None:
        """Refuses new completions and gives the running ones `grace_seconds`."""
        self._draining = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), grace_seconds)

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._draining:
            reject(Reason.DRAINING, "The gateway is shutting down; try again in a moment.")
        if self._active >= self._settings.max_active:
            raise ServiceError(
                Reason.OVERLOADED,
                f"{self._active} completions run, as many as may; try again in {_RETRY_SECONDS:.0f} s.",
                retry_seconds=_RETRY_SECONDS,
            )
        with self._within_limits(context.current().caller):
            self._count(+1)
            try:
                yield
            finally:
                self._count(-1)

    @contextmanager
    def _within_limits(self, caller: str) -> Iterator[None]:
        refusal = self._limits.enter(caller, time.monotonic())
        if refusal is not None:
            seconds = _RETRY_SECONDS if refusal.retry_seconds is None else refusal.retry_seconds
            message = f"{refusal.reason}; try again in {math.ceil(seconds)} s."
            raise ServiceError(Reason.OVERLOADED, message, retry_seconds=seconds)
        try:
            yield
        finally:
            self._limits.leave(caller)

    def _count(self, change: int) -> None:
        self._active += change
        self._observer.metrics.running.set(self._active)
        if self._active:
            self._idle.clear()
        else:
            self._idle.set()

    def _seconds(self, running: context.RequestContext) -> float:
        asked = running.remaining_seconds()
        seconds = self._settings.default_deadline_seconds if asked is None else asked
        return min(seconds, self._settings.max_deadline_seconds)

    async def _decode(
        self, completion: Completion, observed: Observed, recording: Recording
    ) -> AsyncGenerator[gateway_pb2.CompleteResponse, None]:
        finished = False
        generation = Generation(self._decoder, self.ears, wire.to_start(completion, context.current().caller))
        recording.on_cancel(generation.cancel)
        async with AsyncExitStack() as stack:
            approvals = stack.enter_context(self.approvals.of(context.current().request_id, generation.decide))
            responses = await stack.enter_async_context(aclosing(generation.events()))
            # Read to the end of the stream: leaving at `finished` would cancel a call that has only its status to send.
            async for response in responses:
                kind = response.WhichOneof("event")
                approvals.observe(response)
                if kind == "finished":
                    finished = True
                    ledger = observed.finish(response.finished)
                    yield wire.to_finished(response.finished, context.current().request_id, ledger)
                elif kind is not None:
                    observed.hear(response, kind)
                    yield wire.copy(response, gateway_pb2.CompleteResponse)
        if not finished:
            reject(Reason.DECODER_UNAVAILABLE, "The decoder's stream ended before the completion did; try again.")
