"""What the commands share that are served without typer: their options, the log they read, how they write amounts."""

from __future__ import annotations

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


#: What all of them take.
SHARED: Final = {
    "data": Option(
        "PATH", "The folder of the runtime log, or the URL of where else it is; HIVECOST_DATA stands for it."
    ),
    "timezone": Option("ZONE", "Whose day, such as Europe/Berlin; this machine's own without."),
    "json": Option("", "Machine-readable, one JSON document."),
    "help": Option("", "Show this message."),
}


def parsed(command: str, arguments: Sequence[str], options: Mapping[str, Option]) -> dict[str, str]:
    """Return the options that are given, by name; "" is the value of one that takes none.

    argparse would take longer than the rest of a prompt's line. Raise ConfigError for what the command does not take.
    """
    found: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        name, separator, value = ("--data" if argument == "-d" else argument).partition("=")
        option = options.get(name.removeprefix("--")) if name.startswith("--") else None
        if option is None or (separator and not option.value):
            raise ConfigError(command, f"options that `hivecost {command} --help` lists", got=argument)
        if option.value and not separator:
            value = next(rest, "")
            if not value:
                raise ConfigError(f"{command} {name}", f"a {option.value.lower()}")
        found[name.removeprefix("--")] = value
    return found


def usage(command: str, about: str, options: Mapping[str, Option]) -> str:
    """Return what a command says of itself."""
    named = {f"--{name} {option.value}".strip(): option.help for name, option in options.items()}
    width = max(map(len, named))
    lines = (f"  {name.ljust(width)}  {text}" for name, text in named.items())
    return "\n".join((f"Usage: hivecost {command} [OPTIONS]", "", f"  {about}", "", "Options:", *lines))


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
