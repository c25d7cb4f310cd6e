"""The commands that typer serves: every one in a file of its own, imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from hivecost.cli.advise import advise
from hivecost.cli.budget import budget
from hivecost.cli.compact import compact
from hivecost.cli.demo import demo
from hivecost.cli.graph import graph
from hivecost.cli.help import ABOUT
from hivecost.cli.price import price
from hivecost.cli.prices import prices
from hivecost.cli.prune import prune
from hivecost.cli.report import report
from hivecost.cli.reprice import reprice
from hivecost.cli.sessions import sessions
from hivecost.cli.spend import spend

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
app.command()(demo)
app.add_typer(graph)
app.command()(price)
app.add_typer(prices)
app.command()(prune)
app.command()(report)
app.command()(reprice)
app.command()(sessions)
app.command()(spend)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def doctor(context: typer.Context) -> None:
    """Show which clients of models are metered here and how strongly, and try it."""
    from hivecost.cli.doctor import run  # noqa: PLC0415  # `hivecost --help` is quicker without

    run(context.args)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context) -> None:
    """Run an agent that knows nothing of hivecost under budgets."""
    from hivecost.cli.run import run as run_command  # noqa: PLC0415  # `hivecost --help` is quicker without

    run_command(context.args)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def statusline(context: typer.Context) -> None:
    """Print what today cost, in one line for a prompt."""
    from hivecost.cli.statusline import run  # noqa: PLC0415  # `hivecost --help` is quicker without

    run(context.args)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def today(context: typer.Context) -> None:
    """Show what today cost so far, against yesterday by this time."""
    from hivecost.cli.today import run  # noqa: PLC0415  # the same

    run(context.args)


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
