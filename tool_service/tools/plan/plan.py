"""A plan that is being written: each line runs as soon as it is there and what it names has ended.

Lines name earlier lines only, so a plan is a graph without cycles, and whatever is wrong with a line is known when it
is read. A line whose tool fails is answered by its error, and so is each line that needs its result; the others run on.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tool_service.formats.scanning.coercion import NoUsableValueError, kinds_of, read_value
from tool_service.interface import InnerCall, InnerCallError, Reject, Tool, Toolbox
from tool_service.tools.plan.line import MAX_LINE_CHARS, Line, LineError, Reference, fill, parse_line


class Lines:
    """Cuts text into lines. One that is too long comes out as soon as it is, for it will be refused."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[str]:
        """The lines that the new text completes."""
        *complete, rest = f"{self._rest}{text}".split("\n")
        lines = [f"{line}\n" for line in complete]
        self._rest = rest if len(rest) <= MAX_LINE_CHARS else rest.lstrip()
        if len(self._rest) > MAX_LINE_CHARS:
            if self._rest.startswith("#"):
                self._rest = "#"  # nobody reads a comment
            else:
                lines.append(self._rest)
                self._rest = ""
        return lines

    def close(self) -> list[str]:
        """The rest."""
        return [self._rest]


class Plan:
    """An async context manager; leaving it ends the lines that still run."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._steps: dict[int, _Step] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for step in self._steps.values():
            step.task.cancel()
        await asyncio.gather(*(step.task for step in self._steps.values()), return_exceptions=True)

    def start(self, text: str) -> None:
        """Takes the next line. Raises Reject, with the line, for one that cannot be run."""
        try:
            line = parse_line(text)
            if line is not None:
                self._steps[line.number] = self._step(line)
        except (LineError, InnerCallError) as error:
            raise Reject(f"line {text.strip()[:200]!r}: {error}") from None

    async def results(self) -> AsyncIterator[str]:
        """Each line's result or error, in the order of the lines, each as soon as it is there."""
        for number, step in self._steps.items():
            try:
                yield f"${number}: {await self._toolbox.aside(asyncio.shield(step.task))}\n"
            except InnerCallError as error:
                yield f"${number}: error: {error}\n"

    def _step(self, line: Line) -> "_Step":
        if line.number in self._steps:
            raise LineError(f"${line.number} is there already")
        for number in sorted(line.needed):
            if number == line.number:
                raise LineError(f"${number} needs itself")
            if number not in self._steps:
                raise LineError(f"${number} is not there yet; a line can name earlier ones only")
        tools = self._toolbox.tools
        if line.tool not in tools:
            raise LineError(f"there is no tool {line.tool!r}; there are: {', '.join(sorted(tools))}")
        tool = tools[line.tool]
        values = _by_name(line, tool)
        needed = {number: self._steps[number] for number in sorted(line.mentioned & self._steps.keys())}
        call = self._toolbox.open(line.tool)
        return _Step(call, asyncio.create_task(_run(values, tool, call, needed)))


@dataclass(frozen=True, slots=True)
class _Step:
    call: InnerCall
    task: asyncio.Task[str]


async def _run(values: Mapping[str, Any], tool: Tool, call: InnerCall, needed: Mapping[int, _Step]) -> str:
    results = {}
    for number, step in needed.items():
        try:
            results[number] = (await asyncio.shield(step.task)).strip()
        except InnerCallError:
            call.fail(f"${number} has no result")
            raise InnerCallError(f"not run, for ${number} has no result") from None
    arguments = {name: _filled(value, results, tool, name) for name, value in values.items()}
    return await call.run(arguments, [step.call for step in needed.values()])


@dataclass(frozen=True, slots=True)
class _PlainText:
    """Text without quotes, to be read by the parameter's type."""

    text: str


def _by_name(line: Line, tool: Tool) -> dict[str, Any]:
    """The line's arguments by the tool's parameters. Raises LineError."""
    names = list(tool.signature.json_schema["properties"])
    positional = (_PlainText(line.text),) if line.is_plain else line.positional
    if len(positional) > len(names):
        raise LineError(f"{tool.name} takes {len(names)} arguments: {', '.join(names) or 'none'}")
    values = dict(zip(names, positional, strict=False))
    for name, value in line.named.items():
        if name in values:
            raise LineError(f"argument {name!r} is given twice")
        if name not in names:
            raise LineError(f"argument {name!r} is unknown; {tool.name} takes: {', '.join(names) or 'none'}")
        values[name] = value
    return values


def _filled(value: Any, results: Mapping[int, str], tool: Tool, name: str) -> Any:
    """A value with results in it. Text without quotes is read by the parameter's type; the tool refuses misfits."""
    match value:
        case Reference():
            return _read(results[value.number], tool, name)
        case _PlainText():
            return _read(fill(value.text, results), tool, name)
        case str():
            return fill(value, results)
        case list():
            return [_filled(item, results, tool, "") for item in value]
        case dict():
            return {key: _filled(item, results, tool, "") for key, item in value.items()}
    return str(value) if _kinds(tool, name) == {"string"} else value  # a number without quotes, where text is wanted


def _read(text: str, tool: Tool, name: str) -> Any:
    try:
        return read_value(text, _kinds(tool, name))
    except NoUsableValueError:
        return text


def _kinds(tool: Tool, name: str) -> frozenset[str]:
    schema = tool.signature.json_schema
    return kinds_of(schema["properties"].get(name, {}), schema)
