"""What the decoder counts."""

from collections.abc import Callable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from protos.conveyor.decoder.v1 import decoder_pb2


class Engine(Protocol):
    """What is asked of an engine; see `EngineClient`."""

    cache_usage: float

    def counts(self) -> Mapping[str, int]:
        """Sequences by state."""
        ...


class DecoderMetrics:
    """Counts events as they leave, and shows how `engine` stands."""

    def __init__(self, engine: Engine, registry: CollectorRegistry) -> None:
        self._tokens = Counter(
            "conveyor_decoder_tokens", "Tokens by kind: prompt, cached or decoded.", ["kind"], registry=registry
        )
        self._turns = Counter("conveyor_decoder_turns", "Turns by how they ended.", ["reason"], registry=registry)
        sequences = Gauge("conveyor_decoder_sequences", "Sequences by state.", ["state"], registry=registry)
        for state in engine.counts():
            sequences.labels(state).set_function(_count_of(engine, state))
        waiting = Gauge(
            "conveyor_requests_waiting", "Completions that wait for their first turn to be decoded.", registry=registry
        )
        waiting.set_function(_count_of(engine, "waiting"))
        usage = Gauge(
            "conveyor_kv_cache_usage_perc", "Share of the KV cache that sequences hold, from 0 to 1.", registry=registry
        )
        usage.set_function(lambda: engine.cache_usage)

    def observe(self, event: decoder_pb2.GenerateResponse) -> None:
        """Counts one event."""
        if event.WhichOneof("event") != "turn_decoded":
            return
        turn = event.turn_decoded
        reason = decoder_pb2.FinishReason.Name(turn.finish_reason).removeprefix("FINISH_REASON_").lower()
        self._turns.labels(reason).inc()
        self._tokens.labels("prompt").inc(turn.usage.prompt_tokens)
        self._tokens.labels("cached").inc(turn.usage.cached_tokens)
        self._tokens.labels("decoded").inc(turn.usage.completion_tokens)


def _count_of(engine: Engine, state: str) -> Callable[[], float]:
    return lambda: engine.counts()[state]
