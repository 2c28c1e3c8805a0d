"""`conveyor tools`: what tools there are, and calling one without a model."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli.client import execute, list_tools
from gateway.cli.failure import Failure, Peer
from gateway.cli.message_json import seconds, to_data, word
from gateway.cli.options import TOOLS_ADDRESS, DebugOption, JsonOption, TimeoutOption, ToolsAddressOption, reachable
from gateway.cli.run import plain_console, run
from gateway.cli.sanitise import Sanitiser, one_line, printable
from protos.conveyor.tool.v1 import tool_pb2 as pb

_LIST_SECONDS = 10.0
_CALL_FORMAT = "json"

tools = typer.Typer(name="tools", help="List the tools, or call one.", no_args_is_help=True)


@tools.command("list")
def list_command(
    tools_address: ToolsAddressOption = TOOLS_ADDRESS,
    timeout: TimeoutOption = _LIST_SECONDS,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the tools and the formats in which a model can call them."""
    run(_list(_peer(tools_address), timeout or _LIST_SECONDS, as_json), debug=debug)


@tools.command("call")
def call_command(
    name: Annotated[str, typer.Argument(help="the tool")],
    arguments: Annotated[str, typer.Option(metavar="JSON", help="its arguments, a JSON object")] = "{}",
    tools_address: ToolsAddressOption = TOOLS_ADDRESS,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Call a tool as a model would: its output on standard error as it comes, its result on standard output."""
    check_arguments(arguments)
    text = f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'
    run(_call(_peer(tools_address), name, text, timeout, as_json), debug=debug)


def check_arguments(text: str) -> None:
    """Raises `typer.BadParameter`, with the place of the mistake, unless `text` is a JSON object."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise typer.BadParameter(f"not JSON at {where}: {error.msg}", param_hint="--arguments") from None
    if not isinstance(value, dict):
        raise typer.BadParameter('not a JSON object, such as {"expression": "6 * 7"}', param_hint="--arguments")


async def _list(peer: Peer, timeout_seconds: float, as_json: bool) -> int:
    response = await list_tools(peer, timeout_seconds)
    if as_json:
        print(
            json.dumps(
                {"tools": [_tool_data(tool) for tool in response.tools], "formats": to_data(response)["formats"]}
            )
        )
        return 0
    console = plain_console()
    console.print(_tools_table(response), _formats_table(response))
    return 0


def _tool_data(tool: pb.Tool) -> dict[str, Any]:
    data = to_data(tool)
    return data | {"parameters_json_schema": json.loads(data["parameters_json_schema"] or "{}")}


def _tools_table(response: pb.ListToolsResponse) -> Table:
    table = Table("tool", "effect", "starts early", "timeout", "what it does", box=None, pad_edge=False)
    for tool in response.tools:
        early = "yes" if tool.partial else "no"
        described = one_line(tool.description.strip().split("\n")[0])
        table.add_row(
            *map(Text, (one_line(tool.name), word(tool, "effect"), early, f"{seconds(tool.timeout):g} s", described))
        )
    return table


def _formats_table(response: pb.ListToolsResponse) -> Table:
    table = Table("\nformat", "\nhow the model writes calls", box=None, pad_edge=False)
    for one in response.formats:
        only = f" (only {one.only_tool})" if one.only_tool else ""
        table.add_row(Text(one_line(one.name)), Text(one_line(one.description + only, 400)))
    return table


async def _call(peer: Peer, name: str, text: str, timeout_seconds: float | None, as_json: bool) -> int:
    responses = execute(peer, _turn(name, text), timeout_seconds)
    output, finished = await _follow(responses, quiet=as_json)
    if finished is None:
        raise Failure(f"the text was not read as a call of {name}", "Is it in `conveyor tools list`?")
    if as_json:
        print(json.dumps(_outcome(name, output, finished)))
    elif not finished.HasField("error"):
        _print_result(output, finished)
    if finished.HasField("error") and not as_json:
        raise Failure(f"{name}: {finished.error.code}: {finished.error.message}", _remedy(finished.error.code))
    return 1 if finished.HasField("error") else 0


def _turn(name: str, text: str) -> list[pb.ExecuteRequest]:
    """A turn that is one call."""
    return [
        pb.ExecuteRequest(start=pb.Start(format=_CALL_FORMAT, tools=[name], mode=pb.MODE_SERIAL)),
        pb.ExecuteRequest(text_delta=pb.TextDelta(text=text)),
        pb.ExecuteRequest(turn_end=pb.TurnEnd(reason=pb.TURN_END_REASON_STOP)),
    ]


async def _follow(
    responses: AsyncGenerator[pb.ExecuteResponse, None], *, quiet: bool
) -> tuple[str, pb.CallFinished | None]:
    """Prints output as it comes. Returns all of it, and the outcome of the call if there was one."""
    output, finished, sanitiser = "", None, Sanitiser()
    async with aclosing(responses) as stream:
        async for response in stream:
            if response.HasField("call_output"):
                output += response.call_output.text
                if not quiet:
                    print(sanitiser.feed(response.call_output.text), end="", file=sys.stderr, flush=True)
            elif response.HasField("call_finished"):
                finished = response.call_finished
    if output and not quiet:
        print(sanitiser.close(), end="" if output.endswith("\n") else "\n", file=sys.stderr, flush=True)
    return output, finished


def _print_result(output: str, finished: pb.CallFinished) -> None:
    """Prints the result, unless the same text was just seen on the same terminal, and the timing."""
    seen = sys.stdout.isatty() and sys.stderr.isatty() and output.strip() == finished.result.strip()
    if not seen:
        print(printable(finished.result), flush=True)
    timing = finished.timing
    parts = (("busy", timing.busy), ("waiting", timing.waiting), ("queued", timing.queued))
    line = " · ".join(f"{name} {seconds(duration):.3f} s" for name, duration in parts)
    plain_console(stderr=True).print(Text(line, style="bold"), soft_wrap=True)


def _outcome(name: str, output: str, finished: pb.CallFinished) -> dict[str, Any]:
    data: dict[str, Any] = {"name": name, "arguments": json.loads(finished.arguments_json or "null"), "output": output}
    data |= {"error": to_data(finished.error)} if finished.HasField("error") else {"result": finished.result}
    return data | to_data(finished.timing)


def _remedy(code: str) -> str:
    if code in ("INVALID_ARGUMENTS", "MALFORMED"):
        return "Correct --arguments; `conveyor tools list --json` shows the schema."
    return (
        "`conveyor tools list` shows what there is."
        if code == "UNKNOWN_TOOL"
        else "The tool said so; correct what it was given."
    )


def _peer(tools_address: str) -> Peer:
    return Peer("tool service", reachable(tools_address), "--tools-address")
