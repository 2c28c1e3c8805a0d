"""What a completion leaves behind beside its events: metrics, a span, and one line of the log.

Whoever runs a completion shows its events to an `Observed` as they pass. Per event that costs a look at its kind, per
piece of text one observation of a histogram.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog

from gateway import wire
from gateway.ledger import Ledger, Timeline
from gateway.metrics import Metrics
from gateway.outcome import error_of
from gateway.request import Completion
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.rpc import context
from protos.rpc.errors import Reason
from protos.rpc.tracing import OPERATION, OURSELVES, PROVIDER, Kind, Span, Tracer, Value

CONTENT_CHARS = 4096  # of a prompt or an answer in the log
NO_TOOLS = "none"  # the mode of completions without tools

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Observer:
    """Observes the completions of a gateway. `log_content`: what was asked and answered goes into the log too."""

    metrics: Metrics
    tracer: Tracer
    log_content: bool = False

    @contextmanager
    def completion(self) -> Iterator["Observed"]:
        """Observes one, which the block runs, in the name of the running request; what it calls stands below its span.

        What the block raises is how the completion ended.
        """
        running = context.current()
        span = self._span(running)
        context.bind(replace(running, traceparent=span.traceparent))
        observed = Observed(self.metrics, span, running.request_id, self.log_content)
        try:
            yield observed
        except BaseException as error:
            reason = error_of(error).reason
            if observed.finished and reason is Reason.CANCELLED:
                observed.end()  # whoever leaves at the last event has had all of it
            else:
                observed.fail(reason)
            raise
        else:
            observed.end()

    def _span(self, running: context.RequestContext) -> Span:
        attributes: dict[str, Value] = {
            OPERATION: "invoke_agent",
            PROVIDER: OURSELVES,
            "gen_ai.agent.name": OURSELVES,
            "gen_ai.response.id": running.request_id,
        }
        return self.tracer.begin(f"invoke_agent {OURSELVES}", Kind.SERVER, attributes, running.traceparent)


class Observed:
    """One completion, from its request's arrival on."""

    def __init__(self, metrics: Metrics, span: Span, request_id: str, log_content: bool) -> None:
        self._arrived = time.monotonic()
        self._metrics = metrics
        self._span = span
        self._request_id = request_id
        self._timeline = Timeline()
        self._mode = NO_TOOLS
        self._tools: dict[str, str] = {}  # of each call
        self._first_text_at: float | None = None
        self._text_at: float | None = None  # the last of this turn
        self._answer: list[str] | None = [] if log_content else None
        self._room = CONTENT_CHARS  # in the answer
        self._facts: dict[str, Any] = {}  # for the log
        self.finished = False
        self._turn_count = 0
        self._call_count = 0

    def accept(self, completion: Completion) -> None:
        """The request is one that can be served."""
        use, sampling = completion.tool_use, completion.sampling
        if use is not None:
            self._mode = use.mode.name.lower()
            self._facts |= {"tools": list(use.tools), "functions": len(use.functions)}
        self._facts["mode"] = self._mode
        if self._answer is not None:
            self._facts["prompt"] = completion.messages[-1].content[:CONTENT_CHARS]
        self._span.note(
            {
                "conveyor.mode": self._mode,
                "gen_ai.request.max_tokens": completion.limits.max_tokens,
                "gen_ai.request.temperature": sampling.temperature,
                "gen_ai.request.top_p": sampling.top_p,
            }
        )

    def served_by(self, model: str) -> None:
        """The model that is asked, whatever a client calls it; empty where its name is not known."""
        if model:
            self._span.note({"gen_ai.request.model": model})

    def hear(self, response: decoder_pb2.GenerateResponse, kind: str) -> None:
        """An event of the kind `kind` that is not the last one."""
        event = wire.to_timeline(response, kind)
        if event is not None:
            self._timeline.add(event)
        match kind:
            case "text_delta" if response.text_delta.text:
                self._hear_text(response.text_delta.text)
            case "turn_started":
                self._text_at = None  # what lies between two turns is no latency between tokens
            case "call_opened":
                self._tools[response.call_opened.call_id] = response.call_opened.name
            case "turn_finished":
                self._turn_count += 1
                self._call_count += response.turn_finished.call_count

    def finish(self, finished: decoder_pb2.Finished) -> Ledger:
        """The completion has come to its end. Gives its ledger."""
        self.finished = True
        ledger = self._timeline.close(time.monotonic() - self._arrived)
        reason = decoder_pb2.FinishReason.Name(finished.finish_reason).removeprefix("FINISH_REASON_").lower()
        # Only calls that worked have a share, so each name is a tool's and none the model's invention.
        hidden = [
            (self._tools.get(call_id, "unknown"), share) for call_id, share in self._timeline.hidden_by_call.items()
        ]
        self._metrics.finished(reason, ledger, self._mode, hidden)
        usage = finished.usage
        self._span.note(
            {
                "gen_ai.usage.input_tokens": usage.prompt_tokens,
                "gen_ai.usage.output_tokens": usage.completion_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
                "gen_ai.response.finish_reasons": (reason,),
                "conveyor.tool_seconds": ledger.tool,
                "conveyor.hidden_seconds": ledger.hidden,
                **({} if ledger.attained is None else {"conveyor.attained": ledger.attained}),
            }
        )
        self._facts |= {
            "finish_reason": reason,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "tool_seconds": round(ledger.tool, 4),
            "hidden_seconds": round(ledger.hidden, 4),
            "attained": None if ledger.attained is None else round(ledger.attained, 3),
        }
        return ledger

    def end(self) -> None:
        """It is over, as it should be."""
        self._close("OK")
        self._log("completed")

    def fail(self, outcome: str) -> None:
        """It is over, for another reason."""
        self._span.fail(outcome)
        self._close(outcome)
        self._log("not_completed", reason=outcome)

    def _hear_text(self, text: str) -> None:
        now = time.monotonic()
        if self._text_at is not None:
            self._metrics.between_tokens(now - self._text_at)
        elif self._first_text_at is None:
            self._first_text_at = now
            self._metrics.first_token(now - self._arrived)
        self._text_at = now
        if self._answer is not None and self._room > 0:
            self._answer.append(text[: self._room])
            self._room -= len(text)

    def _close(self, outcome: str) -> None:
        self._metrics.ended(outcome)
        if self._first_text_at is not None:
            waited = self._first_text_at - self._arrived
            self._facts["first_token_seconds"] = round(waited, 4)
            self._span.note({"gen_ai.response.time_to_first_chunk": waited})
        self._span.note({"conveyor.turns": self._turn_count, "conveyor.calls": self._call_count})
        self._span.end()

    def _log(self, event: str, **facts: str) -> None:
        if self._answer is not None:
            self._facts["answer"] = "".join(self._answer)
        log.info(
            event,
            request_id=self._request_id,
            **facts,
            turns=self._turn_count,
            calls=self._call_count,
            latency_seconds=round(time.monotonic() - self._arrived, 4),
            **self._facts,
        )
