"""Who spent what: by time, agent, user, organisation, model or provider."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import add
from typing import Final

import msgspec
from rich.console import Console

from hivecost.backends import Place, SpendStore, read_place
from hivecost.clock import SYSTEM_CLOCK
from hivecost.errors import ConfigError
from hivecost.events import Totals
from hivecost.log.instants import Moment
from hivecost.log.records import SpendRow
from hivecost.plain_text import is_control
from hivecost.reports.console import print_table, report_console, report_table, safe
from hivecost.reports.in_doubt import InDoubt, in_doubt_note, in_doubt_of
from hivecost.reports.terminal import amount_headings, amounts, counted, notional_note

_PERIODS: Final = frozenset({"hour", "day", "week", "month"})
_SUMS: Final = (
    *("llm_calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
    *("cost_nanousd", "unpriced_calls", "invalid_calls", "estimated_calls", "charges", "charged_nanousd"),
    "notional_nanousd",
)


#: What spreadsheets take for the beginning of a formula; the last three make them look at what comes next.
_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n")
#: Letters without a width, and blanks: what stands behind them looks like the beginning.
_UNSEEN: Final = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\xad \t\r\n\xa0\u3000"


class SpendReport(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of every group, and of all of them."""

    by: list[str]
    #: Whose clocks say when an hour, a day, a week or a month begins.
    timezone: str
    #: Periods in their order, in each of them what cost most first.
    rows: list[SpendRow]
    total: Totals
    #: What is in doubt in this folder, whenever it was and whosever; None: nothing is.
    in_doubt: InDoubt | None = None


async def load_spend(
    place: Place,
    *,
    by: Sequence[str],
    since: Moment | None = None,
    until: Moment | None = None,
    timezone: str = "UTC",
    agent: str | None = None,
    user: str | None = None,
    org: str | None = None,
    model: str | None = None,
) -> SpendReport:
    """What was spent from `since` up to `until` (a date: its whole day in `timezone`), for each of the groups `by`.

    Raises ConfigError for groups, dates and time zones that are none, and StoreErrors.
    """
    if len(set(by)) < len(by) or not by:
        raise ConfigError("by", "groups, each named once, such as day,user", got=",".join(by))
    rows = await SpendStore(place).totals(
        by=by, since=since, until=until, timezone=timezone, model=model, agent_id=agent, user_id=user, org_id=org
    )
    in_time = _places(rows, [name for name in by if name in _PERIODS])
    rows.sort(key=lambda row: (*in_time(row), -row.cost_nanousd))
    sums = (Totals(**{name: getattr(row, name) for name in Totals.__struct_fields__}) for row in rows)
    total = reduce(add, sums, Totals())
    doubt = await read_place(place, lambda _, ledger: in_doubt_of(ledger, SYSTEM_CLOCK.now_ns()))
    return SpendReport(by=list(by), timezone=timezone, rows=rows, total=total, in_doubt=doubt)


def _places(rows: Sequence[SpendRow], periods: Sequence[str]) -> Callable[[SpendRow], tuple[int, ...]]:
    """Where each period of a row stands in time, as the order of the rows says."""
    places = {name: {label: place for place, label in enumerate(_distinct(rows, name))} for name in periods}
    return lambda row: tuple(places[name][row.group[name]] for name in periods)


def _distinct(rows: Iterable[SpendRow], name: str) -> Iterable[str]:
    return dict.fromkeys(row.group[name] for row in rows)


def render_spend(report: SpendReport, place: Place, console: Console | None = None) -> None:
    """Print who spent what, a group a line, and the total."""
    console = console or report_console()
    if not report.rows:
        console.print(f"Nothing was spent in {safe(str(place))} in that time.")
        return
    headings = [name.capitalize() for name in report.by]
    amounts_shown = amount_headings(report.rows)
    table = report_table(*headings, numbers=("Calls", "Tokens in", "Tokens out", "Cached", *amounts_shown))
    for row in report.rows:
        table.add_row(*(safe(row.group[name]) or "(none)" for name in report.by), *_cells(row, amounts_shown))
    table.add_section()
    table.add_row("Total", *[""] * (len(headings) - 1), *_cells(report.total, amounts_shown), style="bold")
    print_table(console, table)
    if _PERIODS.intersection(report.by):
        console.print(f"Times are those of {report.timezone}; --timezone names another zone.", style="dim")
    if missing := report.total.unpriced_calls + report.total.invalid_calls:
        console.print(f"{counted(missing, 'call')} without a known cost: missing from the sums.", style="yellow")
    if report.total.notional_nanousd:
        console.print(f"Notional: {notional_note(report.total.notional_nanousd)}.", style="dim")
    if report.in_doubt is not None:
        console.print(f"In doubt: {in_doubt_note(report.in_doubt)}.", style="yellow")


def spend_csv(report: SpendReport) -> str:
    """The groups as CSV with a line of names; amounts are exact, in USD and in nano-USD, and empty where unknown.

    Names that strangers chose are no formulas: one that a spreadsheet would take for one begins with an apostrophe.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow((*report.by, "cost_usd", *_SUMS))
    for row in report.rows:
        known = row.llm_calls + row.charges > row.unpriced_calls + row.invalid_calls
        sums = {name: getattr(row, name) for name in _SUMS} | ({} if known else {"cost_nanousd": ""})
        lines.writerow(
            (*(_cell(row.group[name]) for name in report.by), f"{row.cost_usd:f}" if known else "", *sums.values())
        )
    return text.getvalue()


def _cell(name: str) -> str:
    """A name as a cell: no formula, also where a spreadsheet trims it, and nothing that moves a cursor or a line."""
    start = name.lstrip().lstrip(_UNSEEN)[:1]
    is_formula = unicodedata.normalize("NFKC", start)[:1] in _FORMULA_STARTS or name[:1] in _FORMULA_STARTS
    shown = "".join("�" if is_control(letter) else letter for letter in name)
    return f"'{shown}" if name and is_formula else shown


def _cells(sums: Totals, headings: Sequence[str]) -> tuple[str, ...]:
    counts = (sums.llm_calls, sums.input_tokens, sums.output_tokens, sums.cache_read_tokens)
    return (*(f"{count:,}" for count in counts), *amounts(sums, headings))
