"""When what happened in a completion, as data for a picture."""

from typing import Any

from benchmarks.workloads.observed import Observed
from benchmarks.workloads.rounds import Samples
from gateway.ledger import TextDecoded, TurnDecoded, UnitFinished

SHOWN = ("codegen-cold", "codegen")
MODES = ("serial", "partial")


def timelines_of(samples: Samples) -> dict[str, Any]:
    """Of the first workload that is worth showing: in each of the modes the completion in the middle."""
    name = next((name for name in SHOWN if name in samples.rounds), None)
    if name is None:
        return {}
    by_mode = samples.rounds[name]
    return {"workload": name, **{mode: _drawn(_middle(by_mode[mode])) for mode in MODES if mode in by_mode}}


def _middle(rounds: list[list[Observed]]) -> Observed:
    ordered = sorted((each for completions in rounds for each in completions), key=lambda each: each.completion)
    return ordered[len(ordered) // 2]


def _drawn(observed: Observed) -> dict[str, Any]:
    """Seconds since the request: `decoded`, from the first token to the last of each turn; `units`, from and to."""
    turns: list[list[float]] = []
    units = []
    labels = iter(observed.labels)
    begun: float | None = None
    for event in observed.events:
        match event:
            case TextDecoded():
                begun = event.at if begun is None else begun
            case TurnDecoded():
                turns.append([begun if begun is not None else event.at, event.at])
                begun = None
            case UnitFinished():
                _, label = next(labels)
                units.append({"label": label, "from": event.at - event.busy, "to": event.at})
    return {"completion": observed.completion, "decoded": turns, "units": units}
