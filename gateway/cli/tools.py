"""`conveyor tools`: what tools there are, and calling one without a model."""

import json
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli.client import LIST_SECONDS, list_tools
from gateway.cli.credentials import Credentials, with_tls
from gateway.cli.failure import Peer
from gateway.cli.options import (
    TOOLS_ADDRESS,
    DebugOption,
    JsonOption,
    TimeoutOption,
    ToolsAddressOption,
    reachable,
)
from gateway.cli.run import plain_console, run
from gateway.cli.sanitise import one_line
from gateway.cli.tool_call import call_command
from gateway.message_json import seconds, to_data, word
from protos.conveyor.tool.v1 import tool_pb2 as pb

tools = typer.Typer(name="tools", help="List the tools, or call one.", no_args_is_help=True)


@tools.command("list")
@with_tls
def list_command(
    tools_address: ToolsAddressOption = TOOLS_ADDRESS,
    timeout: TimeoutOption = LIST_SECONDS,
    as_json: JsonOption = False,
    debug: DebugOption = False,
    *,
    credentials: Credentials,
) -> None:
    """List the tools and the formats in which a model can call them."""
    peer = Peer("tool service", reachable(tools_address), "--tools-address", credentials)
    run(_list(peer, timeout or LIST_SECONDS, as_json), debug=debug, as_json=as_json)


tools.command("call")(call_command)


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
    table = Table("tool", "effect", "starts early", "asks", "timeout", "what it does", box=None, pad_edge=False)
    for tool in response.tools:
        early = "yes" if tool.partial else "no"
        asks = "yes" if tool.needs_approval else "no"
        described = one_line(tool.description.strip().split("\n")[0])
        table.add_row(
            *map(
                Text,
                (one_line(tool.name), word(tool, "effect"), early, asks, f"{seconds(tool.timeout):g} s", described),
            )
        )
    return table


def _formats_table(response: pb.ListToolsResponse) -> Table:
    table = Table("\nformat", "\nhow the model writes calls", box=None, pad_edge=False)
    for one in response.formats:
        only = f" (only {one.only_tool})" if one.only_tool else ""
        table.add_row(Text(one_line(one.name)), Text(one_line(one.description + only, 400)))
    return table
