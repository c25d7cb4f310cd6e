"""The commands that typer serves: every one in a file of its own, imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from hivecost.cli.advise import advise
from hivecost.cli.budget import budget
from hivecost.cli.compact import compact
from hivecost.cli.completion import completion
from hivecost.cli.demo import demo
from hivecost.cli.direct import DIRECT, run_directly
from hivecost.cli.graph import graph
from hivecost.cli.help import ABOUT, COMMANDS
from hivecost.cli.price import price
from hivecost.cli.prices import prices
from hivecost.cli.prune import prune
from hivecost.cli.report import report
from hivecost.cli.reprice import reprice
from hivecost.cli.sessions import sessions

app = typer.Typer(
    name="hivecost",
    help=ABOUT,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(advise)
app.add_typer(budget)
app.command()(compact)
app.command()(completion)
app.command()(demo)
app.add_typer(graph)
app.command()(price)
app.add_typer(prices)
app.command()(prune)
app.command()(report)
app.command()(reprice)
app.command()(sessions)


def _delegate(name: str) -> None:
    """Register a command that reads its own arguments, for who calls this app rather than the command line."""

    def command(context: typer.Context) -> None:
        run_directly(name, context.args)

    command.__name__, command.__doc__ = name, COMMANDS[name]
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(name, add_help_option=False, context_settings=settings)(command)


for _name in DIRECT:
    _delegate(_name)


def _show_version(wanted: bool) -> None:
    if wanted:
        from hivecost import __version__  # noqa: PLC0415  # asked for here alone

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Take the options before the command."""
