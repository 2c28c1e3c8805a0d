"""One completion, as its client sees it."""

import hashlib
from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from gateway.ledger import (
    CallFinished,
    CallStarted,
    Event,
    TextDecoded,
    TurnDecoded,
    TurnFinished,
    UnitFinished,
)
from gateway.message_json import seconds
from protos.conveyor.gateway.v1 import gateway_pb2 as pb


@dataclass(slots=True)
class Observed:
    """Events as the ledger takes them, and what the calls gave.

    `outcomes`: of each call, in the order of opening, its name, result or error, and digests of its artifacts.
    `waiting`: seconds, on the tool service's clock, that each call waited, but for calls that ran inner ones.
    """

    events: list[Event] = field(default_factory=list)
    outcomes: dict[str, list[str]] = field(default_factory=dict)
    waiting: dict[str, float] = field(default_factory=dict)
    _parents: set[str] = field(default_factory=set)
    labels: list[tuple[str, str]] = field(default_factory=list)  # of the units, in the order of `events`
    text: str = ""
    errors: list[str] = field(default_factory=list)
    vetoed: bool = False
    finished: pb.Finished = field(default_factory=pb.Finished)

    @property
    def completion(self) -> float:
        """Seconds from arrival to the last event, on the gateway's clock."""
        return seconds(self.finished.ledger.completion)

    @property
    def decode(self) -> float:
        """Seconds of decoding, prompts included."""
        return seconds(self.finished.ledger.decode)

    @property
    def tool(self) -> float:
        """Seconds that tools worked."""
        return seconds(self.finished.ledger.tool)

    @property
    def hidden(self) -> float:
        """Those of them that cost no waiting."""
        return seconds(self.finished.ledger.hidden)

    @property
    def ideal(self) -> float:
        """What the ledger says that it could have taken at best."""
        return seconds(self.finished.ledger.ideal)

    def add(self, response: pb.CompleteResponse) -> None:
        """Takes the next event."""
        at = seconds(response.at)
        match response.WhichOneof("event"):
            case "text_delta":
                self.text += response.text_delta.text
                self.events.append(TextDecoded(at, len(response.text_delta.text)))
            case "call_opened":
                opened = response.call_opened
                self.outcomes[opened.call_id] = [opened.name]
                if opened.parent_id:
                    self._parents.add(opened.parent_id)
            case "call_started":
                started = response.call_started
                self.events.append(CallStarted(at, started.call_id, tuple(started.after)))
            case "call_artifact":
                artifact = response.call_artifact
                self.outcomes[artifact.call_id].append(f"{artifact.name} {hashlib.sha256(artifact.data).hexdigest()}")
            case "unit_finished":
                unit = response.unit_finished
                self.events.append(UnitFinished(at, unit.call_id, unit.text_offset, seconds(unit.busy)))
                self.labels.append((unit.call_id, unit.label))
            case "call_finished":
                call = response.call_finished
                self.outcomes[call.call_id].append(call.result or f"{call.error.code} {call.error.message}")
                self.events.append(CallFinished(at, call.call_id, seconds(call.busy)))
                if call.call_id not in self._parents:
                    self.waiting[call.call_id] = seconds(call.waiting)
                if call.HasField("error"):
                    self.errors.append(f"{call.call_id}: {call.error.code} {call.error.message}")
            case "turn_vetoed":
                self.vetoed = True
            case "turn_decoded":
                self.events.append(TurnDecoded(at))
            case "turn_finished":
                self.events.append(TurnFinished(at))
            case "finished":
                self.finished = response.finished


async def observe(responses: AsyncIterable[pb.CompleteResponse]) -> Observed:
    """Reads a completion to its end."""
    observed = Observed()
    async for response in responses:
        observed.add(response)
    return observed
