"""Ways of showing a completion while it runs: two panes on a terminal, plain lines elsewhere, JSON for programs."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import IO, Protocol, Self

import rich.live
from rich.console import Console

from gateway.cli.artifacts import Keep, handed_over, only_named
from gateway.cli.live import Call, Live, Phase, Unit
from gateway.cli.panes import panes
from gateway.cli.sanitise import gist, one_line
from gateway.message_json import seconds, to_data
from protos.conveyor.gateway.v1.gateway_pb2 import FINISH_REASON_VETO, CompleteResponse

_FRAME_SECONDS = 0.1
_SHOWN_LINES = 2  # left free below the panes: the cursor's line, and one above


class Show(Protocol):
    """Shows one completion: entered before its first event, told each event after `live` has taken it."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    def event(self, live: Live, response: CompleteResponse) -> None:
        """Shows what has changed."""
        ...


async def follow(events: AsyncGenerator[CompleteResponse, None], show: Show, keep: Keep = only_named) -> Live:
    """Shows a completion to its end and returns all that is known of it. `keep` is given the artifacts."""
    live = Live(keep)
    async with show, aclosing(events) as stream:
        async for response in stream:
            live.apply(response)
            show.event(live, response)
    return live


class Silent:
    """Shows nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def event(self, live: Live, response: CompleteResponse) -> None:
        """Nothing."""


class JsonLines(Silent):
    """One JSON object per event, on a line of its own."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output

    def event(self, live: Live, response: CompleteResponse) -> None:
        """Prints the event."""
        kind = response.WhichOneof("event")
        if kind is not None:
            line = {"event": kind, "at_seconds": seconds(response.at), **to_data(getattr(response, kind))}
            print(json.dumps(line), file=self._output, flush=True)


class Lines(Silent):
    """The text as it comes on `text`, and a line on `notes` for each thing that happens to a call."""

    def __init__(self, text: IO[str], notes: IO[str]) -> None:
        self._text = text
        self._notes = notes
        self._turn = 0
        self._printed = 0  # characters of the running turn
        self._noted: dict[str, int] = {}  # characters of output, by call
        self._in_line = False

    async def __aexit__(self, *_: object) -> None:
        self._end_line()

    def event(self, live: Live, response: CompleteResponse) -> None:
        """Prints what is new."""
        self._print_text(live)
        kind = response.WhichOneof("event")
        if kind == "turn_vetoed":
            self._note(
                live.calls[response.turn_vetoed.call_id], f"stopped the turn: {gist(response.turn_vetoed.reason)}"
            )
        elif kind in ("call_opened", "call_started", "call_output", "call_finished"):
            self._print_call(live.calls[getattr(response, kind).call_id], kind)
        elif kind == "call_artifact":
            call = live.calls[response.call_artifact.call_id]
            self._note(call, handed_over(call.artifacts[-1]))
        elif kind == "approval_awaited":
            awaited = response.approval_awaited
            asked = f"waits {seconds(awaited.timeout):g} s to be allowed: {one_line(awaited.arguments_json)}"
            self._note(live.calls[awaited.call_id], asked)

    def _print_text(self, live: Live) -> None:
        for turn in live.turns[self._turn :]:
            if turn is not live.turns[self._turn]:
                self._turn, self._printed = self._turn + 1, 0
                self._end_line()
            self._write(turn.text.shown[self._printed :])
            self._printed = len(turn.text.shown)

    def _print_call(self, call: Call, kind: str) -> None:
        if kind == "call_opened":
            self._note(call, "opened")
        elif kind == "call_started":
            self._note(call, "started")
        else:
            self._print_output(call)
        if call.outcome is not None:
            self._note(call, _ending(call))

    def _print_output(self, call: Call) -> None:
        """Prints the complete lines of new output; after the call's end, all of it."""
        new = call.output.shown[self._noted.get(call.id, 0) :]
        complete = new if call.outcome is not None else new[: new.rfind("\n") + 1]
        self._noted[call.id] = self._noted.get(call.id, 0) + len(complete)
        for line in complete.splitlines():
            self._note(call, f"| {line}")

    def _note(self, call: Call, what: str) -> None:
        if self._notes is self._text:
            self._end_line()
        print(f"[{call.label}] {what}", file=self._notes, flush=True)

    def _end_line(self) -> None:
        if self._in_line:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._text.write(text)
            self._text.flush()
            self._in_line = not text.endswith("\n")


class UnitLines(Lines):
    """A line for each thing that happens to a call, its units included, and one when its text is complete."""

    def __init__(self, notes: IO[str]) -> None:
        super().__init__(notes, notes)

    def event(self, live: Live, response: CompleteResponse) -> None:
        """Prints what is new."""
        super().event(live, response)
        kind = response.WhichOneof("event")
        if kind == "unit_finished" and (call := live.calls.get(response.unit_finished.call_id)) is not None:
            self._note(call, _unit(call.units[-1]))
        elif kind == "turn_decoded":
            how = "stopped" if response.turn_decoded.finish_reason == FINISH_REASON_VETO else "complete"
            count = response.turn_decoded.usage.completion_tokens
            print(f"text {how} after {live.at:.2f} s, {count} tokens", file=self._notes, flush=True)

    def _print_text(self, live: Live) -> None:
        """The text is known already."""


class Panes(Silent):
    """Two panes on a terminal, drawn anew ten times a second; the last drawing, of everything, stays."""

    def __init__(self, console: Console, title: str = "text", *, units: bool = False) -> None:
        self._console = console
        self._title = title
        self._units = units
        self._live = Live()
        self._received = time.monotonic()
        self._screen = rich.live.Live(console=console, auto_refresh=False)

    async def __aenter__(self) -> Self:
        self._screen.start()
        self._drawing = asyncio.ensure_future(self._draw_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._drawing.cancel()
        with suppress(asyncio.CancelledError):
            await self._drawing
        self._screen.update(panes(self._live, self._live.at, title=self._title, units=self._units))
        self._screen.stop()  # draws it, the part above the terminal included

    def event(self, live: Live, response: CompleteResponse) -> None:
        """Remembers the state for the next drawing."""
        self._live, self._received = live, time.monotonic()

    async def _draw_on(self) -> None:
        while True:
            now = self._live.at + time.monotonic() - self._received
            height = max(5, self._console.height - _SHOWN_LINES)
            self._screen.update(panes(self._live, now, height, self._title, units=self._units), refresh=True)
            await asyncio.sleep(_FRAME_SECONDS)


def is_live(console: Console) -> bool:
    """Whether things may be drawn over on `console`."""
    return console.is_terminal and not console.is_dumb_terminal


def show_on(console: Console, title: str, *, notes: IO[str] | None = None) -> Show:
    """Panes where `console` is a terminal that can be drawn on, else lines; `notes` defaults to the console's file."""
    if is_live(console):
        return Panes(console, title)
    return Lines(console.file, notes or console.file)


def show_units_on(console: Console, title: str) -> Show:
    """The same for one call whose text is known: with its units, and in lines without the text."""
    return Panes(console, title, units=True) if is_live(console) else UnitLines(console.file)


def _unit(unit: Unit) -> str:
    label = one_line(unit.label, 60)
    return f"unit · text at {unit.text_at:.2f} s · worked {unit.busy:.2f} s · {unit.how_hidden()} · {label}"


def _ending(call: Call) -> str:
    busy = seconds(call.outcome.busy) if call.outcome is not None else 0.0
    if call.phase is Phase.FAILED:
        return f"failed after {busy:.2f} s: {call.error_code()}: {gist(call.last_words())}"
    words = one_line(call.last_words(), 100)
    return f"finished in {busy:.2f} s" + (f": {words}" if words else "")
