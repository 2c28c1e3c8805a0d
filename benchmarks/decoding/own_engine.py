"""What benchmarks that step our own engine share: their options, when a run measured something else, its record."""

import argparse
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

from rich.console import Console

from benchmarks import record
from benchmarks.decoding.embedded import Embedded, embedded_engine
from decoder_service.engine.messages import Failed, Output
from decoder_service.models.catalogue import DEFAULT
from decoder_service.models.errors import ModelNotFoundError

Given = ParamSpec("Given")


class WrongMeasurementError(Exception):
    """The engine did something else than what was to be measured."""


def telling_errors(main: Callable[Given, int]) -> Callable[Given, int]:
    """Has a program say in a line what kept it from measuring, and give the exit code 2."""

    @functools.wraps(main)
    def told(*arguments: Given.args, **options: Given.kwargs) -> int:
        try:
            return main(*arguments, **options)
        except (ModelNotFoundError, WrongMeasurementError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return told


def refuse_failures(outputs: list[Output]) -> list[Output]:
    """These outputs. Raises WrongMeasurementError where a sequence failed."""
    for output in outputs:
        if isinstance(output, Failed):
            raise WrongMeasurementError(output.message)
    return outputs


def parser_of(name: str, doc: str | None, rounds: int = 10) -> argparse.ArgumentParser:
    """The options of `benchmarks.<name>`: what the engine runs, how often, where it is recorded."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=(doc or "").split("\n")[0])
    add = parser.add_argument
    add("--model", default=DEFAULT, help=f"catalogue name or directory; default: {DEFAULT}")
    add("--dtype", default="auto", help="of the weights, as the decoder's setting; default: auto")
    add("--quantization", default="auto", help="of the weights, likewise; default: auto")
    add("--threads", metavar="N", type=int, default=len(os.sched_getaffinity(0)), help="default: %(default)s")
    add("--rounds", metavar="N", type=int, default=rounds, help=f"default: {rounds}")
    add("--seed", type=int, default=0, help="of the random prompts; default: 0")
    add("--json", metavar="FILE", type=Path, help="where to record the run; default: in benchmarks/results")
    return parser


def parsed(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options as they were given; ends the program where they make no sense."""
    options = parser.parse_args(arguments)
    if min(options.rounds, options.threads) < 1:
        parser.error("--rounds and --threads must be 1 or more")
    return options


def engine_of(options: argparse.Namespace, sequences: int, speculation: str = "off") -> Embedded:
    """The engine that is asked for, for so many sequences. Raises ModelNotFoundError."""
    return embedded_engine(options.model, options.dtype, options.quantization, options.threads, sequences, speculation)


def record_run(
    name: str, options: argparse.Namespace, machine: dict[str, Any], weights: str, figures: dict[str, Any], to: Console
) -> None:
    """Writes what was measured, and says where."""
    settings = {key: getattr(options, key) for key in ("model", "threads", "rounds")} | {"weights": weights}
    path = record.write(f"{name}-{Path(options.model).name}", machine, settings | figures, options.json)
    to.print(f"recorded in {path}", highlight=False, soft_wrap=True)
