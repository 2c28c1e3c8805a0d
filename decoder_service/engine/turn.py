"""One running turn: what it has decoded, and when it ends."""

from collections.abc import Callable
from dataclasses import dataclass, field

from decoder_service.engine.messages import TurnSpec
from decoder_service.text.detokenizer import Detokenizer
from decoder_service.text.grammar import Grammar
from decoder_service.text.stops import Stops


@dataclass(slots=True)
class Turn:
    """State of a turn between steps. `take` is its only verb for tokens."""

    spec: TurnSpec
    detokenizer: Detokenizer
    end_tokens: frozenset[int]
    stops: Stops = field(init=False)
    decoded: int = 0
    began: bool = False

    def __post_init__(self) -> None:
        self.stops = Stops(self.spec.stop, self.spec.turn_stops)

    @property
    def grammar(self) -> Grammar | None:
        """What the turn's choices follow; a replay chooses nothing."""
        return self.spec.grammar if self.spec.replay is None else None

    def next_token(self, choose: Callable[[], int]) -> int:
        """The replayed token, or the one that `choose` gives."""
        replay = self.spec.replay
        if replay is None:
            return choose()
        return replay[self.decoded] if self.decoded < len(replay) else min(self.end_tokens)

    def take(self, token: int) -> tuple[str, str | None]:
        """Takes the next token. Gives the text to release and, when the turn ends here, why."""
        self.decoded += 1
        if token in self.end_tokens:
            return self.stops.close(), "stop"
        text, stopped = self.stops.feed(self.detokenizer.feed(token))
        if self.grammar is not None and self.grammar.accept(token):
            stopped = True
        if stopped:
            return text + self.stops.close(), "stop"
        if self.decoded >= self.spec.max_tokens:
            return text + self.stops.close(), "length"
        return text, None
