"""Two panes on a terminal, the text of a completion and its calls."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from gateway.cli.live import Call, Live, Phase, Unit
from gateway.cli.sanitise import one_line

_OUTPUT_LINES = 4
_FRAME_LINES = 2
_FRAME_COLUMNS = 4
_ECHO_COLUMNS = 2  # left free beside the panes: a terminal's `^C` there must not begin a new line
_LINE_WIDTH = 200
_QUESTION_CHARS = 2_000
_CALLS_SHARE = 0.4
_CALLS_SHARE_WITH_UNITS = 0.6
_STYLES = {
    Phase.OPENED: "yellow",
    Phase.RUNNING: "cyan",
    Phase.AWAITING: "yellow",
    Phase.FINISHED: "green",
    Phase.FAILED: "red",
}


def panes(
    live: Live, now: float, height: int | None = None, title: str = "text", *, units: bool = False
) -> RenderableType:
    """The text and the calls, with their `units`. With a `height` in lines each pane shows only its end."""
    calls = [part for call in live.calls.values() for part in _call_view(call, now, units)]
    share = _CALLS_SHARE_WITH_UNITS if units else _CALLS_SHARE
    return _Panes(Group(*_text_view(live, height)), Group(*calls), title, height, share)


def _text_view(live: Live, height: int | None) -> Iterator[RenderableType]:
    limit = 0 if height is None else height * _LINE_WIDTH  # [-0:] is all
    for number, turn in enumerate(live.turns):
        if number:
            yield Rule(style="dim")
        yield Text(turn.text.shown[-limit:])


def _call_view(call: Call, now: float, units: bool) -> Iterator[RenderableType]:
    yield Text.assemble(
        (call.label, "bold"),
        " ",
        (f"{call.phase} {call.error_code()}".strip(), _STYLES[call.phase]),
        (f" {call.elapsed(now):.{1 if call.outcome is None else 2}f} s", "dim"),
        " left" if call.phase is Phase.AWAITING else "",
        no_wrap=True,
    )
    if call.phase is Phase.AWAITING:
        yield Text(f"  {call.to_allow[:_QUESTION_CHARS]}", overflow="fold")
        yield Text(f"  {call.question}".rstrip(), style="bold yellow")
        return
    yield from map(_unit_view, call.units if units else ())
    for kept in call.artifacts:
        yield Text(f"  {kept}", overflow="fold")  # all of a path is needed
    for line in call.last_words().rstrip().split("\n")[-_OUTPUT_LINES:]:
        yield Text(f"  {line[:_LINE_WIDTH]}", style="dim", no_wrap=True, overflow="ellipsis")


def _unit_view(unit: Unit) -> RenderableType:
    style = "green" if unit.how_hidden() == "hidden" else "yellow"
    text = f"  at {unit.text_at:5.2f} +{unit.busy:.2f} s "
    return Text.assemble(
        text, (unit.how_hidden(), style), f" · {one_line(unit.label)}", no_wrap=True, overflow="ellipsis"
    )


@dataclass(frozen=True, slots=True)
class _Panes:
    """Two panes side by side, as high as the higher one needs but within `height`; then they show their ends."""

    text: RenderableType
    calls: RenderableType
    title: str
    height: int | None
    calls_share: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - _ECHO_COLUMNS
        calls_width = int(room * self.calls_share)
        widths = (room - calls_width, calls_width)
        sides = [
            console.render_lines(side, options.update(width=max(1, width - _FRAME_COLUMNS), height=None), pad=False)
            for side, width in zip((self.text, self.calls), widths, strict=True)
        ]
        needed = max(1, *map(len, sides))
        height = needed if self.height is None else min(needed, max(1, self.height - _FRAME_LINES))
        panes = Table.grid()
        panes.add_row(
            *(
                Panel(
                    _Drawn(lines[-height:]),
                    title=Text(title),
                    title_align="left",
                    width=width,
                    height=height + _FRAME_LINES,
                )
                for lines, title, width in zip(sides, (self.title, "calls"), widths, strict=True)
            )
        )
        yield panes


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Lines that are drawn already."""

    lines: list[list[Segment]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines:
            yield from line
            yield Segment.line()
