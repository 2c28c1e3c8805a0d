"""Decoders side by side: `python -m benchmarks.decode --batch 1,4,8,16,32`.

Ours and its peers decode the same prompts with the same number of threads, one after the other, round by round: tokens
a second, milliseconds of a step, time to the first token, prompt tokens a second, time to load, peak memory. Medians
are compared; where the model is the default one, these ratios of our tokens a second must hold:

    transformers    `generate`, bf16, a static batch       2.0 at 1 sequence, 1.3 at 8, 16 and 32
    vllm            its build for CPUs, bf16               1.5 at 1, 1.0 at 4, 8, 16 and 32
    llama.cpp       the same model's 4-bit weights         1.2 at 1 and 4

`make peers` makes the environments of the peers in `.peers`. The exit code is 1 if a bound is not held or a decoder
failed, 2 if something asked for is not there. The run is recorded in `benchmarks/results`.
"""

import argparse
import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from tokenizers import Tokenizer

from benchmarks import record
from benchmarks.decoding import report
from benchmarks.decoding.decoders import (
    ENVIRONMENTS,
    OURS,
    PEERS,
    Model,
    NotMadeError,
    Setup,
    Start,
    find_model,
    made,
    start_ours,
    start_peer,
)
from benchmarks.decoding.figures import bounds, decoder_figures
from benchmarks.decoding.process import DecoderProcess
from benchmarks.decoding.rounds import Process, PromptSource, Work, measure
from decoder_service.models.catalogue import DEFAULT
from decoder_service.models.errors import ModelNotFoundError


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints tables, records the run; gives the exit code."""
    options = _options(arguments)
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwinds: the programs are ended
    try:
        model = find_model(options.model, options.gguf)
        starts = _starts(options, model)
    except (NotMadeError, ModelNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return _run(options, model, starts, console)


def _run(options: argparse.Namespace, model: Model, starts: dict[str, Start], console: Console) -> int:
    work = Work(options.batch, options.prompt, options.tokens, options.prefill)
    machine = record.machine()
    prompts = PromptSource(Tokenizer.from_file(str(Path(model.directory) / "tokenizer.json")), options.seed)
    with console.status("") as status:
        samples = measure(
            {name: _starter(name, start) for name, start in starts.items()},
            work,
            options.rounds,
            prompts,
            status.update,
        )
    found = bounds(model.name, {name: decoder_figures(each) for name, each in samples.items()})
    report.show(console, samples, work, found)
    settings = {"model": model.name, "threads": options.threads, "rounds": options.rounds, "seed": options.seed}
    content = settings | report.as_json(samples, work, found)
    name = f"decode-{Path(model.name).name}"
    console.print(f"recorded in {record.write(name, machine, content, options.json)}", highlight=False, soft_wrap=True)
    return int(not all(bound.holds for bound in found) or any(each.failure for each in samples.values()))


def _starts(options: argparse.Namespace, model: Model) -> dict[str, Start]:
    setup = Setup(options.threads, max(options.batch), options.dtype, options.quantization)
    peers = made(options.environments) if options.peers is None else options.peers
    starts = {OURS: start_ours(model, setup)}
    for name in peers:
        starts[name] = start_peer(name, model, options.environments, setup)
    return starts


def _starter(name: str, start: Start) -> Callable[[], Process]:
    return functools.partial(DecoderProcess, name, start.command, start.environment)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--batch", metavar="N,...", type=_sizes, default=(1, 4, 8, 16, 32), help="sequences; default: 1,4,8,16,32")
    add("--model", default=DEFAULT, help=f"catalogue name or directory; default: {DEFAULT}")
    add("--gguf", metavar="FILE", type=Path, help="its 4-bit weights for llama.cpp; default: the catalogue's")
    add("--dtype", default="auto", help="of our weights, as the decoder's setting; default: auto")
    add("--quantization", default="auto", help="of our weights, likewise; default: auto")
    add("--peers", metavar="NAME,...", type=_peers, help="default: those that `make peers` has made; '': none")
    add("--environments", metavar="FOLDER", type=Path, default=ENVIRONMENTS, help="default: .peers")
    add("--threads", metavar="N", type=_count, default=len(os.sched_getaffinity(0)), help="default: all cores")
    add("--rounds", metavar="N", type=_count, default=5, help="default: 5")
    add("--prompt", metavar="N", type=_count, default=64, help="tokens of a prompt; default: 64")
    add("--tokens", metavar="N", type=_count, default=64, help="tokens to decode; default: 64")
    add("--prefill", metavar="N", type=_count, default=512, help="tokens of the long prompt; default: 512")
    add("--seed", type=int, default=0, help="of the prompts; default: 0")
    add("--json", metavar="FILE", type=Path, help="where to record the run; default: in benchmarks/results")
    options = parser.parse_args(arguments)
    if options.tokens < 2:
        parser.error("--tokens must be 2 or more: a rate needs a step after the first token")
    return options


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({_count(part) for part in text.split(",")}))


def _count(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def _peers(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in PEERS]:
        raise argparse.ArgumentTypeError(f"no peer {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return list(dict.fromkeys(names))


if __name__ == "__main__":
    sys.exit(main())
