"""What the commands share that are served without typer: their options, the log they read, how they write amounts."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from hivecost.backends import open_log
from hivecost.backends.data_place import data_place, told_place
from hivecost.errors import ConfigError, SessionNotFoundError
from hivecost.log import AccountRow, LogReader, SumRow
from hivecost.usd_text import format_usd


class Option(NamedTuple):
    """One of a command: what its value is called, "" for none, and what it is for."""

    value: str
    help: str


#: Help is no wider.
_HELP_WIDTH: Final = 110

#: What all of them take.
SHARED: Final = {
    "data": Option(
        "PATH", "The folder of the runtime log, or the URL of where else it is; HIVECOST_DATA stands for it."
    ),
    "timezone": Option("ZONE", "Whose day, such as Europe/Berlin; this machine's own without."),
    "json": Option("", "Machine-readable, one JSON document."),
    "help": Option("", "Show this message."),
}


class Given(dict[str, str]):
    """The options that are given, by name; "" is the value of one that takes none, and the last of several counts."""

    def __init__(self) -> None:
        super().__init__()
        #: Option → all its values, in their order.
        self.every: dict[str, list[str]] = {}
        #: What is no option.
        self.words: list[str] = []

    def all(self, name: str) -> list[str]:
        """Return the values of an option that may be repeated; [] where it is not given."""
        return self.every.get(name, [])


def parsed(command: str, arguments: Sequence[str], options: Mapping[str, Option], *, words: int = 0) -> Given:
    """Return what is given: options, and up to `words` words that are none.

    argparse would take longer than the rest of a prompt's line. Raise ConfigError for what the command does not take.
    """
    given = Given()
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-") and len(given.words) < words:
            given.words.append(argument)
            continue
        name, separator, value = ("--data" if argument == "-d" else argument).partition("=")
        option = options.get(name.removeprefix("--")) if name.startswith("--") else None
        if option is None or (separator and not option.value):
            raise ConfigError(command, f"options that `hivecost {command} --help` lists", got=argument)
        if option.value and not separator:
            value = next(rest, "")
            if not value:
                raise ConfigError(f"{command} {name}", f"a {option.value.lower().removesuffix('s')}")
        given[name.removeprefix("--")] = value
        given.every.setdefault(name.removeprefix("--"), []).append(value)
    return given


def usage(command: str, about: str, options: Mapping[str, Option], *, words: str = "", more: Sequence[str] = ()) -> str:
    """Return what a command says of itself: what it does, what it takes, and paragraphs besides."""
    named = {f"--{name} {option.value}".strip(): option.help for name, option in options.items()}
    column = 4 + max(map(len, named))
    head = f"Usage: hivecost {command} [OPTIONS]{f' {words}' if words else ''}"
    said = (line for paragraph in (about, *more) for line in (*_wrapped(f"  {paragraph}", 2), ""))
    shown = (line for name, text in named.items() for line in _wrapped(f"  {name}".ljust(column) + text, column))
    return "\n".join((head, "", *said, "Options:", *shown))


def _wrapped(line: str, indent: int) -> list[str]:
    from shutil import get_terminal_size  # noqa: PLC0415  # a prompt needs no help
    from textwrap import wrap  # noqa: PLC0415  # the same

    width = min(max(get_terminal_size((_HELP_WIDTH, 0)).columns, indent + 20), _HELP_WIDTH)
    return wrap(line, width, subsequent_indent=" " * indent, break_on_hyphens=False)


def terminal_columns() -> int | None:
    """Return how wide the terminal is; None where the output goes to a file or a program."""
    if not sys.stdout.isatty():
        return None
    from shutil import get_terminal_size  # noqa: PLC0415  # as above

    return max(get_terminal_size((_HELP_WIDTH, 0)).columns, 20)


def fitted(line: str) -> list[str]:
    """Return the line as lines that a terminal does not break within a word; as it is where it is read by a program."""
    columns = terminal_columns()
    if columns is None or len(line) <= columns:
        return [line]
    from textwrap import wrap  # noqa: PLC0415  # as above

    return wrap(line, columns, break_on_hyphens=False)


@contextmanager
def logged(options: Mapping[str, str], *, is_told: bool = True) -> Iterator[LogReader]:
    """Give the log as it stands. Raise SessionNotFoundError where nothing was ever logged, and StoreErrors."""
    data = (told_place if is_told else data_place)(options.get("data", ""))
    with open_log(data).snapshot() as log:
        if log.as_of() is None and not log.sums():
            raise SessionNotFoundError(f"nothing was logged in {data} yet; name another folder with --data")
        yield log


def now_ns() -> int:
    """Return the instant of this command."""
    return time.time_ns()


def amount(row: SumRow) -> str:
    """Return what the turns cost, as `$1.20`; in words where no cost of them is known."""
    return "unpriced" if row.is_unpriced else format_usd(row.cost_nanousd, decimals=2)


def reset_of(account: AccountRow, at_ns: int) -> str:
    """Return when an account resets on this machine's clock: `00:00`, or `Mon 00:00` if not in a day; "" for never."""
    if account.reset_ns is None:
        return ""
    within_a_day = account.reset_ns - at_ns <= 86_400 * 10**9
    return time.strftime("%H:%M" if within_a_day else "%a %H:%M", time.localtime(account.reset_ns // 10**9))
