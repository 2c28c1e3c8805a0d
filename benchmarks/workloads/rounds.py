"""Who runs when: in each round every workload in every mode, the modes in an order that changes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from benchmarks.workloads.observed import Observed
from benchmarks.workloads.stack import Stack
from benchmarks.workloads.workload import Workload

Report = Callable[[str], None]  # is told what runs now


class WrongResultError(Exception):
    """A call failed, or gave something else in another mode; the message says which."""


@dataclass
class Samples:
    """What was observed, by workload and mode: a list of rounds, each of the completions that ran at once."""

    rounds: dict[str, dict[str, list[list[Observed]]]] = field(default_factory=dict)

    def add(self, name: str, mode: str, completions: list[Observed]) -> None:
        """Takes a round. Raises WrongResultError where a call gave something else than in the first one."""
        by_mode = self.rounds.setdefault(name, {})
        first = next(iter(by_mode.items()), None)
        if first is not None:
            for one, other in zip(first[1][0], completions, strict=True):
                _require_same(name, (first[0], one), (mode, other))
        by_mode.setdefault(mode, []).append(completions)


async def run_rounds(
    stack: Stack, workloads: Sequence[Workload], modes: Sequence[str], rounds: int, samples: Samples, report: Report
) -> None:
    """One completion at a time. Raises WrongResultError, grpc.aio.AioRpcError, Failure."""
    for settings, group in _by_settings(workloads):
        await stack.settle(settings)
        for workload in group:
            report(f"{workload.name}: warming up")
            await _once(stack, [workload], "partial")
        for number in range(rounds):
            for workload in group:
                for mode in turned(modes, number):
                    report(f"{workload.name}: {mode}, round {number + 1} of {rounds}")
                    samples.add(workload.name, mode, await _once(stack, [workload], mode))


async def run_at_once(
    stack: Stack,
    name: str,
    workloads: Sequence[Workload],
    modes: Sequence[str],
    rounds: int,
    samples: Samples,
    report: Report,
    at_once: int = 0,
) -> None:
    """So many of them together, or all, and then the next, under one name; those that ran alone before are warm.

    Raises like `run_rounds`.
    """
    await stack.settle({})
    size = at_once or len(workloads)
    for number in range(rounds):
        for mode in turned(modes, number):
            report(f"{name}: {mode}, round {number + 1} of {rounds}")
            completions: list[Observed] = []
            for begin in range(0, len(workloads), size):
                completions += await _once(stack, workloads[begin : begin + size], mode)
            samples.add(name, mode, completions)


def turned(modes: Sequence[str], number: int) -> list[str]:
    """The modes in the order of a round: each is first as often as any other, and follows each as often."""
    place = number % len(modes)
    ordered = [*modes[place:], *modes[:place]]
    return [ordered[0], *(reversed(ordered[1:]) if number // len(modes) % 2 else ordered[1:])]


async def complete(stack: Stack, workload: Workload, mode: str) -> Observed:
    """One completion, whose results are as they should be. Raises WrongResultError, grpc.aio.AioRpcError."""
    completion = await stack.complete(workload.request(mode))
    _require_right(workload, mode, completion)
    return completion


async def _once(stack: Stack, workloads: Sequence[Workload], mode: str) -> list[Observed]:
    await asyncio.to_thread(stack.world.reset)
    return await asyncio.gather(*(complete(stack, workload, mode) for workload in workloads))


def _require_right(workload: Workload, mode: str, completion: Observed) -> None:
    if bool(completion.errors) != workload.fails:
        raise WrongResultError(f"{workload.name} in {mode}: {completion.errors or 'no call failed'}")
    results = " ".join(part for outcome in completion.outcomes.values() for part in outcome)
    if missing := [text for text in workload.expects if text not in results]:
        raise WrongResultError(f"{workload.name} in {mode}: {missing} is not in {results}")
    if completion.text != "".join(workload.replay) and not completion.vetoed:
        raise WrongResultError(f"{workload.name} in {mode}: the model said {completion.text!r}")


def _by_settings(workloads: Sequence[Workload]) -> list[tuple[Mapping[tuple[str, str], str], list[Workload]]]:
    """Those that run with the same tool service side by side; the most usual settings first."""
    ordered = sorted(workloads, key=lambda workload: sorted(workload.settings.items()))
    return [(dict(key), list(group)) for key, group in groupby(ordered, lambda each: sorted(each.settings.items()))]


def _require_same(name: str, one: tuple[str, Observed], other: tuple[str, Observed]) -> None:
    (mode, first), (other_mode, second) = one, other
    for call_id in first.outcomes.keys() | second.outcomes.keys():
        was, now = first.outcomes.get(call_id), second.outcomes.get(call_id)
        if was != now:
            raise WrongResultError(f"{name}: {call_id} gave {was} in {mode}, and {now} in {other_mode}")
