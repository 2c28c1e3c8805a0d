"""What goes into the engine and what comes out of it."""

from dataclasses import dataclass

from decoder_service.text.grammar_text import GrammarText
from decoder_service.text.stops import TurnStop


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen; temperature 0 is greedy, top_p 1 and top_k 0 keep all tokens, no seed is a random one."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class TurnSpec:
    """How one turn is decoded.

    `max_tokens` decoded at most; the turn never runs past the model's context either. `replay`: tokens to take instead
    of choosing, followed by the end of the turn. A turn with a `grammar` ends when its sentence is complete.
    """

    max_tokens: int
    stop: tuple[str, ...] = ()
    turn_stops: tuple[TurnStop, ...] = ()
    replay: tuple[int, ...] | None = None
    grammar: GrammarText | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """Adds a sequence and queues its first turn."""

    id: int
    prompt: tuple[int, ...]
    sampling: Sampling
    turn: TurnSpec


@dataclass(frozen=True, slots=True)
class Prepare:
    """What is likely to follow a parked sequence, from the `start`-th token after it on; the last word counts.

    It is computed where a step has room. A wrong guess costs that much work and changes nothing else.
    """

    id: int
    start: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Resume:
    """Appends tokens to a parked sequence, in the place of all that was prepared, and queues its next turn."""

    id: int
    tokens: tuple[int, ...]
    turn: TurnSpec


@dataclass(frozen=True, slots=True)
class Expect:
    """When a parked sequence is expected to resume, in seconds of the monotonic clock. The last word counts."""

    id: int
    returns_at: float


@dataclass(frozen=True, slots=True)
class EndTurn:
    """Ends the running turn after the token that was decoded last, for `reason`. Nothing happens if it has ended."""

    id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Forgets a sequence, whatever it is doing, and frees all it holds."""

    id: int


Command = Begin | Prepare | Resume | Expect | EndTurn | Release


@dataclass(frozen=True, slots=True)
class TurnBegan:
    """The turn's first tokens enter the batch: `prompt_tokens` in all, `cached_tokens` of them already in the cache.

    These are the sequence's own from its turns before and what was prepared since, or another's whose prompt began the
    same.
    """

    id: int
    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """New tokens of a sequence and the text they complete."""

    id: int
    tokens: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The sequence is parked. `reason`: "stop", "length" or "veto"."""

    id: int
    reason: str
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The sequence is gone because the engine could not go on with it."""

    id: int
    message: str


@dataclass(frozen=True, slots=True)
class GrammarRefused:
    """The sequence is gone because the grammar of its turn cannot be compiled; the message says why."""

    id: int
    message: str


Output = TurnBegan | Decoded | TurnEnded | Failed | GrammarRefused


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to say after a step. `counts`: the engine's sequences by state; `at`: when the step had ended, in
    seconds of the monotonic clock, which all processes of a machine share; `cache_usage`: the share of the cache that
    sequences hold."""

    outputs: list[Output]
    counts: dict[str, int]
    at: float
    cache_usage: float = 0.0
