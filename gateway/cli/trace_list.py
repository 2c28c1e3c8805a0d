"""Completions as a list on a terminal: a line for each, or two where a line would have no room for the prompt.

An id is never cut: it is what one copies.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from gateway.cli.sanitise import one_line

_HEADS = ("id", "begun", "state", "mode", "seconds")
_STYLES = {"running": "cyan", "finished": "green", "failed": "red"}
_GAP, _INDENT = "  ", "    "
_LEAST_PROMPT = 16
_DAY = "%Y-%m-%d"


def listing(completions: Iterable[Mapping[str, Any]], width: int | None) -> Iterator[Text]:
    """Its lines, `width` columns wide but for longer ids; without a width, as long as they are."""
    completions = list(completions)
    rows = [_facts(each) for each in completions]
    prompts = [one_line(each["prompt"], 200) for each in completions]
    widths = [max(map(len, column)) for column in zip(_HEADS, *rows, strict=True)]
    room = None if width is None else width - sum(widths) - len(widths) * len(_GAP)
    if room is None or room >= _LEAST_PROMPT:
        yield _cut(_line(_HEADS, widths).append(f"{_GAP}prompt"), width)
        for facts, prompt in zip(rows, prompts, strict=True):
            yield _cut(_line(facts, widths).append(f"{_GAP}{prompt}"), width)
        return
    for facts, prompt in zip(rows, prompts, strict=True):
        yield from _narrow(facts, prompt, width or 0)


def _facts(completion: Mapping[str, Any]) -> tuple[str, ...]:
    seconds = f"{completion['ledger']['completion_seconds']:.2f}" if completion["ledger"] else ""
    told = (completion["id"], _begun(completion["begun_at"]), completion["state"], completion["mode"], seconds)
    return tuple(map(one_line, told))


def _begun(at: float) -> str:
    """The time of today, or else the day with it, as `ls` has it."""
    begun = time.localtime(at)
    today = time.strftime(_DAY, begun) == time.strftime(_DAY)
    return time.strftime("%H:%M:%S" if today else "%b %d %H:%M", begun)


def _line(facts: Sequence[str], widths: Sequence[int]) -> Text:
    *left, (seconds, last) = zip(facts, widths, strict=True)
    padded = [*(f"{fact:<{width}}" for fact, width in left), f"{seconds:>{last}}"]
    return Text(_GAP).join(Text(fact, _STYLES.get(fact.strip(), "")) for fact in padded)


def _narrow(facts: Sequence[str], prompt: str, width: int) -> Iterator[Text]:
    identity, *rest = facts
    told = Text(_GAP).join(Text(fact, _STYLES.get(fact, "")) for fact in rest if fact)
    if len(identity) + len(_GAP) + len(told) <= width:
        yield Text.assemble(identity, _GAP, told)
    else:
        yield Text(identity)
        yield _cut(Text.assemble(_INDENT, told), width)
    yield _cut(Text.assemble(_INDENT, (prompt, "dim")), width)


def _cut(line: Text, width: int | None) -> Text:
    line.rstrip()
    if width is not None:
        line.truncate(width, overflow="ellipsis")
    return line
