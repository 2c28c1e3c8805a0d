"""A completion's timeline on a terminal: a lane for each turn's decoding, and one for each of its calls.

turn 1      ━━━━━━━━━━━━━━━━━━━━━━━                1.24 s
python          ▒▒▒····▒▒▒▒▒▒▒▒▒▒▒███              0.80 s, 0.61 hidden
turn 2                               ━━━━━━━       0.31 s
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

from gateway.archive.lanes import Block, Call, Lanes, Turn
from gateway.cli.sanitise import one_line

_NAME_WIDTH, _TOLD_WIDTH, _LEAST_TRACK = 14, 22, 16
_MOST_CALLS = 30
_LEAST_SHOWN_SECONDS = 0.005
_ROUNDING = 1e-6  # of a column: what begins where another ends is drawn so
_DECODED, _WAITED, _HIDDEN, _EXPOSED, _EMPTY = "━", "·", "▒", "█", " "
_STYLES = {_DECODED: "cyan", _WAITED: "dim", _HIDDEN: "green", _EXPOSED: "yellow"}
_LEGEND = ((_DECODED, "decoding"), (_HIDDEN, "work hidden behind it"), (_EXPOSED, "work waited for"), (_WAITED, "idle"))


def timeline(lanes: Lanes, width: int) -> Iterator[Text]:
    """Its lines, `width` columns wide; none where nothing happened."""
    if not lanes.turns or lanes.end <= 0:
        return
    scale = _Scale(lanes.end, max(_LEAST_TRACK, width - _NAME_WIDTH - _TOLD_WIDTH - 2))
    room = min(_TOLD_WIDTH, width - _NAME_WIDTH - scale.columns - 2)
    calls = list(lanes.calls.values())
    for number, turn in enumerate(lanes.turns):
        yield _lane(f"turn {number + 1}", scale.turn(turn), f"{(turn.end or lanes.end) - turn.begin:.2f} s")
        for call in calls[:_MOST_CALLS]:
            if call.turn == number:
                yield _lane(one_line(call.name, _NAME_WIDTH), scale.call(call), _told(call, room))
    if len(calls) > _MOST_CALLS:
        yield Text(f"… and {len(calls) - _MOST_CALLS} more calls", style="dim")
    yield _axis(scale)
    yield from _legend(width)


def _legend(width: int) -> Iterator[Text]:
    """What the glyphs mean, on one line or two."""
    told = [Text.assemble((glyph, _STYLES[glyph]), (f" {meaning}", "dim")) for glyph, meaning in _LEGEND]
    line = Text("  ").join(told)
    yield from [line] if len(line) <= width else [Text("  ").join(told[:2]), Text("  ").join(told[2:])]


def _told(call: Call, room: int) -> str:
    if call.error:
        return one_line(call.error, max(1, room))
    busy = f"{call.busy:.2f} s"
    hidden = f", {call.hidden:.2f} hidden" if call.hidden >= _LEAST_SHOWN_SECONDS else ""
    return f"{busy}{hidden}" if len(busy) + len(hidden) <= room else busy


def _lane(name: str, track: Sequence[str], told: str) -> Text:
    drawn = Text.assemble(*(("".join(same), _STYLES.get(glyph, "")) for glyph, same in groupby(track)))
    return Text.assemble((f"{name:<{_NAME_WIDTH}} ", "bold"), drawn, (f" {told}", "dim"), no_wrap=True)


def _axis(scale: "_Scale") -> Text:
    last = f"{scale.end:.2f} s"
    middle = f"{scale.end / 2:.2f}"
    left = f"{'0':<{scale.columns // 2}}"
    if len(left) + len(middle) + len(last) >= scale.columns:
        middle = ""  # it would touch the end
    return Text(f"{'':{_NAME_WIDTH}} {left}{middle}{last:>{scale.columns - len(left) - len(middle)}}", style="dim")


@dataclass(frozen=True, slots=True)
class _Scale:
    """`end` seconds on so many columns."""

    end: float
    columns: int

    def turn(self, turn: Turn) -> list[str]:
        """The track of a turn."""
        return self._drawn([(turn.begin, self.end if turn.end is None else turn.end, _DECODED)])

    def call(self, call: Call) -> list[str]:
        """The track of a call: from its beginning to its end, and its work on top of that."""
        begin = call.begin if call.started is None else call.started
        spans = [(begin, self.end if call.end is None else call.end, _WAITED)]
        return self._drawn([*spans, *(span for block in call.blocks for span in _spans(block))])

    def _drawn(self, spans: Sequence[tuple[float, float, str]]) -> list[str]:
        """Later spans lie on earlier ones; each has a column at least."""
        track = [_EMPTY] * self.columns
        for begin, end, glyph in spans:
            first = min(self.columns - 1, int(begin / self.end * self.columns + _ROUNDING))
            behind = max(first + 1, round(end / self.end * self.columns))
            for column in range(first, min(self.columns, behind)):
                track[column] = glyph
        return track


def _spans(block: Block) -> Iterator[tuple[float, float, str]]:
    hidden_until = block.begin + block.hidden
    if block.hidden > 0:
        yield block.begin, hidden_until, _HIDDEN
    if block.end - hidden_until >= _LEAST_SHOWN_SECONDS or block.hidden <= 0:
        yield hidden_until, block.end, _EXPOSED
