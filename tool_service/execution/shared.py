"""What the calls of one completion share."""

import asyncio
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tool_service.execution.events import Event
from tool_service.execution.journal import EffectJournal
from tool_service.execution.workers import WorkerPool
from tool_service.interface.session import SessionState

MAX_CALLS_PER_TURN = 64
MAX_RESULT_CHARS = 16_384


class Mode(enum.Enum):
    """When a call is launched."""

    SERIAL = "serial"
    PARALLEL = "parallel"
    ON_SEAL = "on_seal"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of one completion. `call_timeout`: seconds, on top of each tool's own."""

    max_calls_per_turn: int = MAX_CALLS_PER_TURN
    max_result_chars: int = MAX_RESULT_CHARS
    call_timeout: float = 3600.0


class WayOut(Protocol):
    """Where events go."""

    @property
    def is_full(self) -> bool:
        """Whether much waits to be sent."""
        ...

    async def room(self) -> None:
        """Waits while it is full."""
        ...


class NoLimit(WayOut):
    """Events that go nowhere, or wait for nobody."""

    @property
    def is_full(self) -> bool:
        """Never."""
        return False

    async def room(self) -> None:
        """At once."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The completion behind its calls. `slots` are each tool's places, shared with other completions.

    `way_out` is what calls that have much to say wait for.
    `stream_arguments`: somebody wants to see arguments while they are written; `stream_content`: what stands beside the
    calls. `single_call`: a turn has one at most. `traceparent`: of the span of a call that has been opened.
    """

    completion_id: str
    mode: Mode
    limits: Limits
    stream_arguments: bool
    stream_content: bool
    single_call: bool
    slots: Mapping[str, asyncio.Semaphore]
    journal: EffectJournal
    workers: WorkerPool
    approval_seconds: float
    emit: Callable[[Event], None]
    way_out: "WayOut"
    traceparent: Callable[[str], str | None]
    session: SessionState = field(default_factory=SessionState)
