"""What the decoder counts."""

from collections.abc import Callable

from prometheus_client import Counter, Gauge

from protos.conveyor.decoder.v1 import decoder_pb2

TOKENS = Counter("conveyor_decoder_tokens", "Tokens by kind: prompt, cached or decoded.", ["kind"])
TURNS = Counter("conveyor_decoder_turns", "Turns by how they ended.", ["reason"])
SEQUENCES = Gauge("conveyor_decoder_sequences", "Sequences by state.", ["state"])


class DecoderMetrics:
    """Counts events as they leave. `counts` gives the engine's sequences by state."""

    def __init__(self, counts: Callable[[], dict[str, int]]) -> None:
        for state in counts():
            SEQUENCES.labels(state).set_function(_count_of(counts, state))

    def observe(self, event: decoder_pb2.GenerateResponse) -> None:
        """Counts one event."""
        if event.WhichOneof("event") != "turn_decoded":
            return
        turn = event.turn_decoded
        TURNS.labels(decoder_pb2.FinishReason.Name(turn.finish_reason).removeprefix("FINISH_REASON_").lower()).inc()
        TOKENS.labels("prompt").inc(turn.usage.prompt_tokens)
        TOKENS.labels("cached").inc(turn.usage.cached_tokens)
        TOKENS.labels("decoded").inc(turn.usage.completion_tokens)


def _count_of(counts: Callable[[], dict[str, int]], state: str) -> Callable[[], float]:
    return lambda: counts()[state]
