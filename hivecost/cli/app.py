"""The `hivecost` command: every subcommand in a file of its own, imported when it runs."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from hivecost.cli.advise import advise
from hivecost.cli.budget import budget
from hivecost.cli.demo import demo
from hivecost.cli.price import price
from hivecost.cli.prices import prices
from hivecost.cli.prune import prune
from hivecost.cli.report import report
from hivecost.cli.reprice import reprice
from hivecost.cli.sessions import sessions
from hivecost.errors import HiveCostError

app = typer.Typer(
    name="hivecost",
    help="Cost control for agent runtimes: what was spent, by whom, and what stopped it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(advise)
app.add_typer(budget)
app.command()(demo)
app.command()(price)
app.add_typer(prices)
app.command()(prune)
app.command()(report)
app.command()(reprice)
app.command()(sessions)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("hivecost"))
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Options before the command."""


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and exit status 1."""
    try:
        app()
    except HiveCostError as error:
        typer.echo(f"hivecost: {error}", err=True)
        sys.exit(1)
