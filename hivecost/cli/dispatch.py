"""From `argv` to a command. What a prompt or a newcomer waits for is served before typer is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from hivecost.cli.direct import DIRECT, run_directly
from hivecost.cli.pipes import outliving_readers
from hivecost.errors import ConfigError, HiveCostError
from hivecost.plain_text import printable

#: Where the files of this package are.
_HOME: Final = f"{Path(__file__).parents[1]}/"
#: The exit status of a program that Ctrl-C ended, as shells say it.
_INTERRUPTED: Final = 130


def main() -> None:
    """Run the command line. An error is one line on stderr; exit status 2 for what was asked wrongly, else 1.

    Ctrl-C ends it with status 130, and without a word.
    """
    try:
        with outliving_readers():
            _run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except HiveCostError as error:
        _fail(str(error), 2 if isinstance(error, ConfigError) else 1)
    except OSError as error:
        _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", 1)
    except Exception as error:
        _fail(f"a fault of hivecost itself, please report it: {_with_its_place(error)}", 1)


def _run(arguments: Sequence[str]) -> NoReturn:
    match arguments:
        case [] | ["--help"]:
            from hivecost.cli.help import help_text  # noqa: PLC0415  # a prompt does not wait for it

            print(help_text())  # noqa: T201  # what was asked for
            sys.exit(0 if arguments else 2)
        case ["--version", *_]:
            from hivecost import __version__  # noqa: PLC0415  # as above

            print(__version__)  # noqa: T201  # what was asked for
            sys.exit(0)
        case [name, *rest] if name in DIRECT:
            run_directly(name, rest)
            sys.exit(0)
        case _:
            from hivecost.cli.commands import app  # noqa: PLC0415  # typer takes its time

            app()
            sys.exit(0)


def _fail(problem: str, status: int) -> NoReturn:
    # It may quote a name from a file or a database that a stranger made.
    sys.stderr.write("\n".join(map(printable, f"hivecost: {problem}".split("\n"))) + "\n")
    sys.exit(status)


def _with_its_place(error: Exception) -> str:
    """Return the error as text, with the last line of hivecost that it came through."""
    from traceback import extract_tb  # noqa: PLC0415  # nothing is wrong, most often

    ours = [frame for frame in extract_tb(error.__traceback__) if frame.filename.startswith(_HOME)]
    place = f" (hivecost/{ours[-1].filename.removeprefix(_HOME)}, line {ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {error}{place}"
