"""Puts the commands together."""

import typer

from gateway.cli.approve import approve
from gateway.cli.ask import ask
from gateway.cli.demo import demo
from gateway.cli.doctor import doctor
from gateway.cli.index import index
from gateway.cli.keys import keys
from gateway.cli.models import models
from gateway.cli.tools import tools
from gateway.cli.top import top
from gateway.cli.trace import trace
from gateway.cli.up import PASS_THROUGH, up

app = typer.Typer(
    name="conveyor",
    help="Serves a language model whose tools run while it still decodes the call.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(context_settings=PASS_THROUGH)(up)
app.command()(ask)
app.command()(trace)
app.command()(approve)
app.command()(top)
app.add_typer(tools)
app.add_typer(models)
app.add_typer(keys)
app.command()(index)
app.command()(demo)
app.command()(doctor)
