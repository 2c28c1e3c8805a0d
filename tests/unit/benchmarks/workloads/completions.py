"""Completions as a client would have seen them."""

from collections.abc import Sequence
from itertools import accumulate

from benchmarks.workloads.observed import Observed
from gateway.ledger import CallFinished, CallStarted, TextDecoded, TurnDecoded, TurnFinished, UnitFinished
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

TEXT = 10  # characters, one each tenth of a second


def completion(
    finished: float,
    units: Sequence[tuple[int, float]],
    *,
    started: float = 0.1,
    result: str = "done",
    vetoed: bool = False,
) -> Observed:
    """One call whose units are enabled by so many characters and take so long, one after the other; the turn is decoded
    after 1 s."""
    ends = list(accumulate((busy for _, busy in units), initial=started))
    observed = Observed(vetoed=vetoed, outcomes={"call_1": ["wait", result]})
    observed.events = [
        *(TextDecoded((place + 1) / 10, 1) for place in range(TEXT)),
        CallStarted(started, "call_1", ()),
        *(UnitFinished(end, "call_1", offset, busy) for end, (offset, busy) in zip(ends[1:], units, strict=True)),
        CallFinished(ends[-1], "call_1", sum(busy for _, busy in units)),
        TurnDecoded(1.0),
        TurnFinished(finished),
    ]
    observed.labels = [("call_1", f"unit {number}") for number, _ in enumerate(units)]
    ledger = pb.Ledger()
    for name, value in (
        ("completion", finished),
        ("decode", 1.0),
        ("tool", sum(busy for _, busy in units)),
        ("ideal", finished),
    ):
        getattr(ledger, name).FromNanoseconds(round(value * 1e9))
    observed.finished = pb.Finished(ledger=ledger)
    return observed
