"""The `hivecost` command: every subcommand in a file of its own, imported when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from traceback import extract_tb
from typing import Annotated, Final, NoReturn

import typer

from hivecost import __version__
from hivecost.cli.advise import advise
from hivecost.cli.budget import budget
from hivecost.cli.demo import demo
from hivecost.cli.pipes import outliving_readers
from hivecost.cli.price import price
from hivecost.cli.prices import prices
from hivecost.cli.prune import prune
from hivecost.cli.report import report
from hivecost.cli.reprice import reprice
from hivecost.cli.sessions import sessions
from hivecost.cli.spend import spend
from hivecost.errors import ConfigError, HiveCostError
from hivecost.plain_text import printable

#: Where the files of this package are.
_HOME: Final = f"{Path(__file__).parents[1]}/"

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
app.command()(spend)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Options before the command."""


def main() -> None:
    """Run the command line. An error is one line on stderr; exit status 2 for what was asked wrongly, else 1."""
    try:
        with outliving_readers():
            app()
    except HiveCostError as error:
        _fail(str(error), 2 if isinstance(error, ConfigError) else 1)
    except OSError as error:
        _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", 1)
    except Exception as error:
        _fail(f"a fault of hivecost itself, please report it: {_with_its_place(error)}", 1)


def _fail(problem: str, status: int) -> NoReturn:
    # It may quote a name from a file or a database that a stranger made.
    typer.echo("\n".join(map(printable, f"hivecost: {problem}".split("\n"))), err=True)
    sys.exit(status)


def _with_its_place(error: Exception) -> str:
    """What was raised, and the last line of ours that it came through."""
    ours = [frame for frame in extract_tb(error.__traceback__) if frame.filename.startswith(_HOME)]
    place = f" (hivecost/{ours[-1].filename.removeprefix(_HOME)}, line {ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {error}{place}"
