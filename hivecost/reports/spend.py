"""Who spent what: by time, agent, user, organisation, model or provider."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import add

import msgspec

from hivecost.backends import Place, read_place
from hivecost.clock import SYSTEM_CLOCK
from hivecost.errors import ConfigError
from hivecost.events import Totals
from hivecost.ledger import LedgerReader
from hivecost.log import Filter, LogReader
from hivecost.log.instants import Moment
from hivecost.log.records import SpendRow
from hivecost.log.rows import PERIOD_DIMENSIONS
from hivecost.log.spend import spend_rows, spend_window
from hivecost.reports.budgets import InDoubt, in_doubt_of


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
    """Return what was spent from `since` up to `until` (a date: its whole day in `timezone`), by the groups `by`.

    Raise ConfigError for groups, dates and time zones that are none, and StoreErrors.
    """
    if len(set(by)) < len(by) or not by:
        raise ConfigError("by", "groups, each named once, such as day,user", got=",".join(by))
    window = spend_window(by, since, until, timezone)
    wanted = Filter(model=model, agent=agent, user=user, org=org)

    def report(log: LogReader, ledger: LedgerReader) -> SpendReport:
        rows = spend_rows(log, by, window, timezone, wanted)
        return _report(by, timezone, rows, in_doubt_of(ledger, SYSTEM_CLOCK.now_ns()))

    return await read_place(place, report)


def _report(by: Sequence[str], timezone: str, rows: list[SpendRow], in_doubt: InDoubt | None) -> SpendReport:
    in_time = _places(rows, [name for name in by if name in PERIOD_DIMENSIONS])
    rows.sort(key=lambda row: (*in_time(row), -row.cost_nanousd))
    sums = (Totals(**{name: getattr(row, name) for name in Totals.__struct_fields__}) for row in rows)
    total = reduce(add, sums, Totals())
    return SpendReport(by=list(by), timezone=timezone, rows=rows, total=total, in_doubt=in_doubt)


def _places(rows: Sequence[SpendRow], periods: Sequence[str]) -> Callable[[SpendRow], tuple[int, ...]]:
    """Return a function that gives a row's place in time by each period, in the order of the rows."""
    places = {name: {label: place for place, label in enumerate(_distinct(rows, name))} for name in periods}
    return lambda row: tuple(places[name][row.group[name]] for name in periods)


def _distinct(rows: Iterable[SpendRow], name: str) -> Iterable[str]:
    return dict.fromkeys(row.group[name] for row in rows)
