"""`conveyor demo`: what overlapping tools with decoding saves, measured on this machine in this minute.

Each prompt is first answered freely, but for one whose text is given: a small model seldom writes a program with much
to do. The text is then replayed in both modes, so that both say the same and run the same calls, while the real forward
passes run for each token.
"""

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gateway.cli.ask import tool_use
from gateway.cli.client import complete
from gateway.cli.demo_prompts import PROMPTS, DemoPrompt
from gateway.cli.failure import Failure, Peer, show_failure
from gateway.cli.live import Live, has_tool_work, ledger_line, share
from gateway.cli.models import make_ready
from gateway.cli.options import DebugOption, Mode
from gateway.cli.plan import Plan
from gateway.cli.processes import Services, free_addresses
from gateway.cli.run import plain_console, run, say
from gateway.cli.show import follow, show_on
from gateway.cli.up import ConfigOption, ModelOption, VerboseOption, progress, services_of
from gateway.message_json import seconds
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

_COMPARED = (Mode.SERIAL, Mode.PARTIAL)
_LISTENING = (
    ("gateway", "address"),
    ("gateway", "http-address"),
    ("decoder", "address"),
    ("decoder", "metrics-address"),
    ("tools", "address"),
    ("tools", "metrics-address"),
)
_TIMEOUT_SECONDS = 300.0
_UNSTEADY = 0.05
_CAPTION = (
    "Both modes replay the same text, which the model wrote in this very run unless it is given: they say the same and "
    "run the same calls, and the model's real forward passes run for each token. "
    "Serial runs a turn's calls after it, partial runs them while the model writes them."
)
_GIVEN = (
    "{}: this text is given, and not the model's own, for small models seldom write programs with much to do; "
    "the forward passes for it, its tools and their work are real"
)

Medians = dict[str, float | None]


@dataclass(slots=True)
class Comparison:
    """One prompt: the free answer where its text is not given, its replays by mode, and what went wrong if something
    did."""

    prompt: DemoPrompt
    free: Live | None = None
    replays: dict[Mode, list[Live]] = field(default_factory=lambda: {mode: [] for mode in _COMPARED})
    failure: Failure | None = None

    def medians(self) -> Medians:
        """Medians over the trials; None where there are no figures. `saved` and `attained` are shares."""
        serial, partial = (_median(self.replays[mode], lambda run: _ledger(run, "completion")) for mode in _COMPARED)
        return {
            "serial_seconds": serial,
            "partial_seconds": partial,
            "saved": None if serial is None or partial is None else 1 - partial / serial,
            "hidden_seconds": _median(self.replays[Mode.PARTIAL], lambda run: _ledger(run, "hidden")),
            "attained": _median(self.replays[Mode.PARTIAL], _attained),
        }

    def unsteadiness(self) -> float:
        """How far apart the time for a token was in the two modes, as a share: what other work on the machine did."""
        serial, partial = (_median(self.replays[mode], _token_seconds) for mode in _COMPARED)
        return abs(serial - partial) / serial if serial and partial is not None else 0.0

    def to_json(self) -> dict[str, Any]:
        """Everything as data."""
        return {
            "prompt": self.prompt.name,
            **self.medians(),
            "given": list(self.prompt.given),
            "error": None if self.failure is None else self.failure.cause,
            "free": None if self.free is None else self.free.to_json(),
            **{str(mode): [live.to_json() for live in lives] for mode, lives in self.replays.items()},
        }


def demo(
    output: Annotated[
        str, typer.Option("--json", metavar="FILE", help="where the figures go; - is standard output")
    ] = "demo.json",
    trials: Annotated[
        int, typer.Option(min=1, metavar="COUNT", help="how often each text is replayed in each mode")
    ] = 1,
    model: ModelOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare two ways of running tools.

    Starts the services, has the model answer three prompts, and replays each answer, and one text that is given, with
    tools that run after the turn and with tools that run while the model writes.
    """
    flags = dict(zip(_LISTENING, free_addresses(len(_LISTENING)), strict=True))
    plan = Plan({**flags, **({("decoder", "model"): model} if model else {})}, str(config or "")).unguarded()
    services = services_of(plan, "demo", verbose=verbose)
    peer = Peer("gateway", flags["gateway", "address"], "--gateway")
    console = plain_console(stderr=output == "-")
    run(_demo(services, plan.value("decoder", "model"), peer, trials, output, console), debug=debug)


async def _demo(services: Services, model: str | None, peer: Peer, trials: int, output: str, console: Console) -> int:
    if status := await make_ready(model):
        return status
    console.print(f"logs: {services.logs}", soft_wrap=True)
    async with services:
        with progress(console, verbose=services.echoes) as report:
            await services.wait_healthy(report)
        comparisons = await compare(peer, trials, console)
    console.print(results_table(comparisons))
    for line in (*given_texts(comparisons), *caveats(comparisons)):
        say(console, line)
    _write(output, {"trials": trials, "prompts": [comparison.to_json() for comparison in comparisons]}, console)
    return int(any(comparison.failure is not None for comparison in comparisons))


async def compare(peer: Peer, trials: int, console: Console) -> list[Comparison]:
    """Runs every prompt freely and then in both modes; a prompt that fails does not keep the others from running."""
    comparisons = [Comparison(prompt) for prompt in PROMPTS]
    for comparison in comparisons:
        try:
            await _compare_one(comparison, peer, trials, console)
        except Failure as failure:
            comparison.failure = failure
            show_failure(failure, console)
    return comparisons


async def _compare_one(comparison: Comparison, peer: Peer, trials: int, console: Console) -> None:
    prompt = comparison.prompt
    texts = list(prompt.given) or await _written(comparison, peer, console)
    for trial in range(trials):
        for mode in _COMPARED:
            number = f" · trial {trial + 1}" if trials > 1 else ""
            given = " · given text" if prompt.given else ""
            title = f"{prompt.name} · {mode}{number}{given}"
            comparison.replays[mode].append(await _complete(peer, request_of(prompt, mode, texts), title, console))


async def _written(comparison: Comparison, peer: Peer, console: Console) -> list[str]:
    """What the model writes in each turn when nothing is given."""
    title = f"{comparison.prompt.name} · the model writes freely"
    comparison.free = await _complete(peer, request_of(comparison.prompt, Mode.PARTIAL), title, console)
    return [turn.text.raw for turn in comparison.free.turns]


def request_of(prompt: DemoPrompt, mode: Mode, replay: list[str] | None = None) -> pb.CompleteRequest:
    """The request for a prompt, greedy, so that the demo says the same tomorrow."""
    return pb.CompleteRequest(
        messages=[pb.Message(role=role, content=content) for role, content in prompt.messages],
        tool_use=tool_use(prompt.tools, prompt.call_format, mode, prompt.choice),
        limits=pb.Limits(max_tokens=prompt.max_tokens, max_turns=prompt.max_turns),
        replay=replay or [],
    )


async def _complete(peer: Peer, request: pb.CompleteRequest, title: str, console: Console) -> Live:
    console.print(Rule(Text(title), align="left", style="dim"))
    live = await follow(complete(peer, request, _TIMEOUT_SECONDS), show_on(console, title))
    if live.finished is not None:
        serial = request.tool_use.mode == pb.MODE_SERIAL
        say(console, Text(ledger_line(live.finished, serial=serial), style="bold"))
    return live


def results_table(comparisons: list[Comparison]) -> Table:
    """The figures for people."""
    table = Table(title="Completion latency", caption=_CAPTION, caption_justify="left")
    table.add_column("prompt")
    for heading in ("serial", "partial", "saved", "hidden", "of ideal"):
        table.add_column(heading, justify="right")
    for comparison in comparisons:
        medians = comparison.medians()
        times = [_seconds(medians[name]) for name in ("serial_seconds", "partial_seconds")]
        cells = [*times, _share(medians["saved"]), _seconds(medians["hidden_seconds"]), _share(medians["attained"])]
        table.add_row(
            Text(comparison.prompt.name), *(["failed", *cells[1:]] if comparison.failure is not None else cells)
        )
    return table


def given_texts(comparisons: list[Comparison]) -> list[str]:
    """Which prompts were not answered by the model itself, a line for each."""
    return [_GIVEN.format(comparison.prompt.name) for comparison in comparisons if comparison.prompt.given]


def caveats(comparisons: list[Comparison]) -> list[str]:
    """What a reader of the figures has to know, a line for each."""
    return [
        f"{comparison.prompt.name}: a token took {comparison.unsteadiness():.0%} more or less in one mode than in the "
        "other; something else keeps this machine busy, so trust `hidden` more than `saved`, or try --trials 3"
        for comparison in comparisons
        if comparison.unsteadiness() > _UNSTEADY
    ]


def _write(output: str, data: dict[str, Any], console: Console) -> None:
    text = json.dumps(data, indent=2) + "\n"
    if output == "-":
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, "utf-8")
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror}", "Choose another file with --json.") from error
    console.print(f"figures, texts and calls: {output}", soft_wrap=True)


def _median(runs: list[Live], figure: Callable[[Live], float | None]) -> float | None:
    figures = [value for value in map(figure, runs) if value is not None]
    return statistics.median(figures) if figures else None


def _ledger(live: Live, name: str) -> float | None:
    return None if live.finished is None else seconds(getattr(live.finished.ledger, name))


def _token_seconds(live: Live) -> float | None:
    if live.finished is None or not live.finished.usage.completion_tokens:
        return None
    return seconds(live.finished.ledger.decode) / live.finished.usage.completion_tokens


def _attained(live: Live) -> float | None:
    if live.finished is None or not has_tool_work(live.finished.ledger):
        return None
    return live.finished.ledger.attained if live.finished.ledger.HasField("attained") else None


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _share(value: float | None) -> str:
    return "–" if value is None else share(value)
