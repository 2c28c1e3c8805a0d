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
from gateway.cli.failure import Failure, Peer, show_failure
from gateway.cli.message_json import seconds, to_data, word
from gateway.cli.options import (
    TOOLS_ADDRESS,
    DebugOption,
    JsonOption,
    TimeoutOption,
    ToolsAddressOption,
    reachable,
    utf8,
)
from gateway.cli.run import plain_console, run, say
from gateway.cli.sanitise import Sanitiser, gist, one_line, printable
from protos.conveyor.tool.v1 import tool_pb2 as pb
from protos.rpc.context import new_request_id

_LIST_SECONDS = 10.0
_CALL_FORMAT = "json"
_CORRECT = "Correct --arguments; `conveyor tools list --json` shows the schema."
_REMEDIES = {
    "INVALID_ARGUMENTS": _CORRECT,
    "MALFORMED": _CORRECT,
    "UNKNOWN_TOOL": "`conveyor tools list` shows what there is.",
    "REJECTED": "The tool refused what it was given; correct --arguments.",
    "RAISED": "The tool itself failed: is it what it was given with --arguments, or a mistake in the tool?",
    "TIMEOUT": "Give it less to do; `conveyor tools list` shows how long the tool may work.",
}

tools = typer.Typer(name="tools", help="List the tools, or call one.", no_args_is_help=True)


@tools.command("list")
def list_command(
    tools_address: ToolsAddressOption = TOOLS_ADDRESS,
    timeout: TimeoutOption = _LIST_SECONDS,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the tools and the formats in which a model can call them."""
    run(_list(_peer(tools_address), timeout or _LIST_SECONDS, as_json), debug=debug, as_json=as_json)


@tools.command("call")
def call_command(
    name: Annotated[str, typer.Argument(metavar="NAME", callback=utf8, help="the tool")],
    arguments: Annotated[str, typer.Option(metavar="JSON", callback=utf8, help="its arguments, a JSON object")] = "{}",
    tools_address: ToolsAddressOption = TOOLS_ADDRESS,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Call a tool as a model would: its output on standard error as it comes, its result on standard output."""
    check_arguments(arguments)
    text = f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'
    run(_call(_peer(tools_address), name, text, timeout, as_json), debug=debug, as_json=as_json)


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
    request_id = new_request_id()
    responses = execute(peer, _turn(name, text), request_id, timeout_seconds)
    output, finished = await _follow(responses, quiet=as_json)
    if finished is None:
        cause = f"the text was not read as a call of {name}"
        raise Failure(cause, "Is it in `conveyor tools list`?", request_id, reason="MALFORMED")
    failure = _failure(name, finished.error, request_id) if finished.HasField("error") else None
    if as_json:
        print(json.dumps(_outcome(name, output, finished, failure)), flush=True)
    elif failure is None:
        _print_result(output, finished)
    if failure is not None:
        show_failure(failure, plain_console(stderr=True))
    return 0 if failure is None else 1


def _failure(name: str, error: pb.ToolError, request_id: str) -> Failure:
    """The cause is what matters of the message; where that has more lines, such as a traceback's, they follow."""
    lines = error.message.rstrip().split("\n")
    return Failure(
        f"{name}: {error.code}: {gist(error.message, 1000)}",
        _REMEDIES.get(error.code, "Correct what the tool was given with --arguments."),
        request_id,
        lines if len(lines) > 1 else (),
        reason=error.code,
        message=error.message,
    )


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
    say(plain_console(stderr=True), Text(line, style="bold"))


def _outcome(name: str, output: str, finished: pb.CallFinished, failure: Failure | None) -> dict[str, Any]:
    data: dict[str, Any] = {"name": name, "arguments": json.loads(finished.arguments_json or "null"), "output": output}
    data |= {"result": finished.result} if failure is None else {"error": failure.to_json()}
    return data | to_data(finished.timing)


def _peer(tools_address: str) -> Peer:
    return Peer("tool service", reachable(tools_address), "--tools-address")
