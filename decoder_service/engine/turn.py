"""One running turn: what it has decoded, and when it ends."""

from dataclasses import dataclass, field

from decoder_service.engine.messages import TurnSpec
from decoder_service.engine.sampler import Row, Sampler
from decoder_service.text.detokenizer import Detokenizer
from decoder_service.text.grammar import Grammar
from decoder_service.text.stops import Stops


@dataclass(slots=True)
class Turn:
    """State of a turn between steps. `take` is its only verb for tokens. `compiled`: the grammar of its `spec`."""

    spec: TurnSpec
    detokenizer: Detokenizer
    end_tokens: frozenset[int]
    compiled: Grammar | None = None
    stops: Stops = field(init=False)
    decoded: int = 0
    began: bool = False

    def __post_init__(self) -> None:
        self.stops = Stops(self.spec.stop, self.spec.turn_stops)

    @property
    def grammar(self) -> Grammar | None:
        """What the turn's choices follow; a replay chooses nothing."""
        return self.compiled if self.chooses else None

    @property
    def chooses(self) -> bool:
        """Whether its tokens are chosen, not replayed. What is replayed takes the time that decoding it takes."""
        return self.spec.replay is None

    def plausible(self, draft: tuple[int, ...]) -> tuple[int, ...]:
        """As many of these tokens as the turn could choose and go on."""
        if not self.chooses:
            return ()
        end = next((place for place, token in enumerate(draft) if token in self.end_tokens), len(draft))
        draft = draft[:end]
        return draft[: self.grammar.follow(draft)] if self.grammar and draft else draft

    def next_token(self, row: Row, sampler: Sampler) -> int:
        """The replayed token, or the chosen one. Raises InvalidGrammarError."""
        replay = self.spec.replay
        if replay is None:
            return sampler.choose(row, self.grammar)
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
