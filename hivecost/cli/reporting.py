"""What commands that report share: which turns they are of, and how they are printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from hivecost.cli.help import COMMANDS
from hivecost.cli.quick import SHARED, Given, Option, now_ns, parsed, usage
from hivecost.errors import ConfigError
from hivecost.log.rows import Filter
from hivecost.reports.selection import Selection, select, wanted

if TYPE_CHECKING:
    from hivecost.cli.sheet import Sheet
    from hivecost.ledger import LedgerReader
    from hivecost.log import LogReader

_SPANS: Final = "such as yesterday, 24h, 7d, 'last month', 2026-10, 2026-11-22 or 2026-11-22T08:00"
#: Which time a report is of.
RANGE: Final = {
    "since": Option("SPAN", f"From its beginning on: {_SPANS}."),
    "until": Option("SPAN", "To its end; of a moment, up to it."),
    "during": Option("SPAN", "Just that: a day, a week, a month, a year, or what is past of 24h or 7d."),
}
#: Whose turns a report is of.
WHOSE: Final = {
    name: Option("NAME", f"Only this {name}; may be repeated.")
    for name in ("agent", "user", "org", "task", "node", "session", "model", "provider")
} | {"tag": Option("NAME=VALUE", "Only turns with this tag; may be repeated. `NAME=` is those without it.")}
TOP: Final = {"top": Option("N", "Only the dearest; the rest is one row, (other).")}
#: How a report is printed.
SHOWN: Final = {
    "csv": Option("", "For a spreadsheet: a line of names, then exact numbers."),
    "no-color": Option("", "Without colours; NO_COLOR in the environment does the same."),
}
#: What every report takes.
OF_REPORTS: Final = {
    "data": SHARED["data"],
    **RANGE,
    "timezone": Option("ZONE", "Whose days these are, such as Europe/Berlin; this machine's own without."),
    **WHOSE,
    "json": SHARED["json"],
    **SHOWN,
    "help": SHARED["help"],
}

#: Makes a report.
Report = Callable[["LogReader", "LedgerReader"], "Sheet"]


def run_report(
    command: str,
    arguments: Sequence[str],
    options: Mapping[str, Option],
    asked: Callable[[Given], Report],
    *,
    words: str = "",
    more: Sequence[str] = (),
) -> None:
    """Print a report: `asked` reads what is given, before anything is opened, and returns what makes the report.

    Raise ConfigError for what was asked wrongly, and StoreErrors.
    """
    given = parsed(command, arguments, options, words=1 if words else 0)
    if "help" in given:
        print(usage(command, COMMANDS[command], options, words=words, more=more))  # noqa: T201  # what was asked for
        return
    if "csv" in given and "json" in given:
        raise ConfigError(command, "one of --csv and --json")
    report = asked(given)
    given["data"] = place_of(given)
    with opened(given) as (log, ledger):
        sheet = report(log, ledger)
    show(sheet, given)


@contextmanager
def opened(given: Given) -> Iterator[tuple[LogReader, LedgerReader]]:
    """Give the log and the ledger as they stand.

    Raise SessionNotFoundError where nothing was ever logged, and StoreErrors.
    """
    from hivecost.backends import open_backend  # noqa: PLC0415  # `--help` needs none
    from hivecost.reports.missing import is_logged, nothing_logged  # noqa: PLC0415  # the same

    place = place_of(given)
    backend = open_backend(place)
    reader = backend.reader()
    try:
        with reader.snapshot() as log:
            if not is_logged(log):
                raise nothing_logged(place, has_budgets=bool(log.budgets()))
            yield log, backend.ledger_reader()
    finally:
        reader.close()


def place_of(given: Mapping[str, str]) -> str:
    """Return where the log is, as every command finds it."""
    from hivecost.backends.data_place import told_place  # noqa: PLC0415  # `--help` needs none

    return told_place(given.get("data", ""))


def selected(given: Given, *, since: str | None = None) -> Selection:
    """Return which turns are asked for; where no time is, from the beginning of `since` on. Raise ConfigError."""
    timed = any(name in given for name in RANGE)
    return select(
        now_ns(),
        since=given.get("since") if timed else since,
        until=given.get("until"),
        during=given.get("during"),
        timezone=given.get("timezone"),
        filter=whose_of(given),
        tags=dict(tags_of(given)),
    )


def whose_of(given: Given) -> Filter:
    """Return whose turns are asked for."""
    return Filter(**{name: wanted(given.all(name)) for name in Filter._fields})


def groups(given: Given, otherwise: str) -> list[str]:
    """Return what `--by` names: `--by a --by b` is `--by a,b`."""
    return [name.strip() for names in given.all("by") or [otherwise] for name in names.split(",")]


def whole_number(given: Given, name: str, otherwise: int | None = None) -> int | None:
    """Return a number of 1 or more. Raise ConfigError for anything else."""
    text = given.get(name)
    if text is None:
        return otherwise
    if not text.isdecimal() or not 0 < int(text[:19]) < 10**18:
        raise ConfigError(f"--{name}", "a whole number, 1 or more", got=text)
    return int(text[:19])


def show(sheet: Sheet, given: Given) -> None:
    """Print a report as it was asked for."""
    if "json" in given or "csv" in given:
        from hivecost.cli.render.documents import to_csv, to_json  # noqa: PLC0415  # a table needs none

        if "json" in given:
            print(to_json(sheet.document))  # noqa: T201  # what was asked for
        else:
            print(to_csv(sheet.records, sheet.columns), end="")  # noqa: T201  # the same
        return
    from hivecost.cli.render.sheet import render_sheet  # noqa: PLC0415  # a program needs none

    render_sheet(sheet, color="no-color" not in given)


def sums_of(row: Any) -> dict[str, object]:
    """Return the sums of a row for a spreadsheet: exact, and empty where a cost is not known."""
    from hivecost.cli.sheet import is_unpriced  # noqa: PLC0415  # as above
    from hivecost.log import SUM_NAMES  # noqa: PLC0415  # as above
    from hivecost.money import to_usd  # noqa: PLC0415  # as above

    sums: dict[str, object] = {name: getattr(row, name) for name in SUM_NAMES if name != "latency_ms"}
    if is_unpriced(row):
        return {"cost_usd": None, **sums, "cost_nanousd": None}
    return {"cost_usd": f"{to_usd(row.cost_nanousd):f}", **sums}


def tags_of(given: Given) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each tag that is asked for, with its values. Raise ConfigError for a text that is none."""
    tags: dict[str, tuple[str, ...]] = {}
    for text in given.all("tag"):
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigError("--tag", "NAME=VALUE, such as feature=search", got=text)
        tags[name] = (*tags.get(name, ()), value)
    return tuple(tags.items())
