"""What a workload is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from protos.conveyor.gateway.v1 import gateway_pb2 as pb

Origin = Literal["paper", "ours"]

MODES: Mapping[str, pb.Mode] = {
    "serial": pb.MODE_SERIAL,
    "parallel": pb.MODE_PARALLEL,
    "on_seal": pb.MODE_ON_SEAL,
    "partial": pb.MODE_PARTIAL,
}


@dataclass(frozen=True, slots=True)
class Workload:
    """One completion: what is asked, and what the model says in each turn.

    `title` is for people, `expects` is to be found in the results, `real` says what in it is real and what is not.
    `settings` are of the tool service, for workloads that need others than the rest. A workload whose tools
    `cannot_gain` must be as fast in `partial` as in `serial`; in one that `fails`, a call does, and in all others none
    may.
    """

    name: str
    title: str
    origin: Origin
    call_format: str
    tools: tuple[str, ...]
    system: str
    question: str
    replay: tuple[str, ...]
    expects: tuple[str, ...]
    real: str
    settings: Mapping[tuple[str, str], str] = field(default_factory=dict)
    cannot_gain: bool = False
    fails: bool = False

    def request(self, mode: str) -> pb.CompleteRequest:
        """The request in a mode."""
        return pb.CompleteRequest(
            messages=[pb.Message(role="system", content=self.system), pb.Message(role="user", content=self.question)],
            tool_use=pb.ToolUse(format=self.call_format, tools=self.tools, mode=MODES[mode]),
            limits=pb.Limits(max_tokens=2048, max_turns=len(self.replay)),
            replay=self.replay,
        )


def called(tool: str, **arguments: object) -> str:
    """A call as `hermes` writes it, the arguments in their order."""
    return f"<tool_call>\n{json.dumps({'name': tool, 'arguments': arguments})}\n</tool_call>"
