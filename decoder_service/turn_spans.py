"""The spans of a completion's turns: `chat`, from the turn's wait for the batch to its last token.

Calls stand below the turn that wrote them and may outlast it. Their spans are the tool service's, which knows a turn's
span by its number (`turn_span_id`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from protos.conveyor.decoder.v1 import decoder_pb2
from protos.rpc import context
from protos.rpc.tracing import OFF, OPERATION, OURSELVES, PROVIDER, Kind, Span, Tracer, Value, turn_span_id


@dataclass(frozen=True, slots=True)
class TurnSpans:
    """Begins them for one completion by the model `model`, below the span that `parent` names."""

    tracer: Tracer
    model: str
    parent: str | None

    def turn(self, number: int) -> Span:
        """The span of a turn, counted from 0."""
        if self.parent is None:
            return Span()
        attributes: dict[str, Value] = {
            OPERATION: "chat",
            PROVIDER: OURSELVES,
            "gen_ai.request.model": self.model,
            "gen_ai.response.model": self.model,
            "conveyor.turn": number,
        }
        span_id = turn_span_id(self.parent, number)
        return self.tracer.begin(f"chat {self.model}", Kind.INTERNAL, attributes, self.parent, span_id=span_id)


@contextmanager
def turn_spans(tracer: Tracer, model: str) -> Iterator[TurnSpans]:
    """For the running request, which the block completes. A request that is part of no trace yet has a span of its own
    above its turns, and what the block calls is told of it."""
    running = context.current()
    if not tracer.keeps:
        yield TurnSpans(OFF, model, None)
    elif running.traceparent is not None:
        yield TurnSpans(tracer, model, running.traceparent)
    else:
        with tracer.begin("generate", Kind.SERVER, {}, None) as span:
            context.bind(replace(running, traceparent=span.traceparent))
            yield TurnSpans(tracer, model, span.traceparent)


def note_end(span: Span, reason: str, usage: decoder_pb2.Usage) -> None:
    """Why a turn ended, and its tokens."""
    span.note(
        {
            "gen_ai.response.finish_reasons": (reason,),
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
        }
    )
