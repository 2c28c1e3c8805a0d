"""What one step adds to a sequence: a token, or several where drafts were right or a grammar forces some.

A draft is right when it is the token that is chosen in its place: the likeliest, or the one drawn by the sequence's own
random numbers, from the model's logits after the tokens before it. So the tokens are those that would be chosen without
drafts, one a step, for any sampling and grammar; a forced token is what choosing would give there, and draws nothing.
"""

from collections.abc import Sequence as Several
from dataclasses import dataclass, field

from decoder_service.engine.sampler import Row, Sampler
from decoder_service.engine.turn import Turn

MOST_FORCED = 64  # in one step, so that a grammar of one long sentence keeps nobody waiting


@dataclass(slots=True)
class Extension:
    """The new tokens: `chosen` from rows, each but the last a draft that was right, then `forced` ones.

    `text`: what they complete. `ended`: why the turn ends with them; None: it goes on.
    """

    chosen: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    text: str = ""
    ended: str | None = None


def extend(turn: Turn, sampler: Sampler, rows: Several[Row], drafts: Several[int], room: int, force: bool) -> Extension:
    """Takes the turn's next tokens, `room` at most. `rows` are after the last token and after each of the drafts.

    The first row must be sound. `force`: take forced tokens, too. Raises InvalidGrammarError.
    """
    extension = Extension()
    for place, row in enumerate(rows):
        if not row.sound:
            break  # the draft before it was right, so that it is run again, and fails by itself
        token = turn.next_token(row, sampler)
        extension.chosen.append(token)
        _take(turn, token, extension, room - place - 1)
        if extension.ended is not None or place == len(drafts) or token != drafts[place]:
            break
    if force and turn.grammar is not None:
        _force(turn, extension, room - len(extension.chosen))
    return extension


def _force(turn: Turn, extension: Extension, room: int) -> None:
    while extension.ended is None and turn.grammar is not None and len(extension.forced) < MOST_FORCED:
        token = turn.grammar.forced()
        if token is None:
            return
        extension.forced.append(token)
        _take(turn, token, extension, room - len(extension.forced))


def _take(turn: Turn, token: int, extension: Extension, left: int) -> None:
    text, ended = turn.take(token)
    if ended is None and left <= 0:
        text, ended = text + turn.stops.close(), "length"
    extension.text += text
    extension.ended = ended
