"""Who spent what: by time, and by whatever a turn is known by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hivecost.backends import Place, read_place
from hivecost.clock import SYSTEM_CLOCK
from hivecost.events import Totals
from hivecost.ledger import LedgerReader
from hivecost.log import LogReader, SumRow
from hivecost.log.records import SpendRow
from hivecost.log.rows import PERIOD_DIMENSIONS, Filter
from hivecost.log.spend import require_groups
from hivecost.reports.budgets import InDoubt
from hivecost.reports.gaps import Gaps, find_gaps
from hivecost.reports.selection import Selection, folded, others_last, select, total


class SpendLine(SpendRow, frozen=True, kw_only=True):
    """The sums of one group, and its part of the whole."""

    #: Its cost by that of all groups; 0 where nothing has a known cost.
    share: float


class SpendReport(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of every group, and of all of them."""

    by: list[str]
    #: Whose clocks say when an hour, a day, a week or a month begins.
    timezone: str
    #: From when until when, on these clocks; "" for the beginning of the log, and for now.
    since: str
    until: str
    #: Periods in their order, in each of them what cost most first.
    rows: list[SpendLine]
    total: Totals
    #: How many values are added up in rows called `(other)`.
    others: int
    gaps: Gaps
    #: What is in doubt in this folder, whenever it was and whosever; None: nothing is.
    in_doubt: InDoubt | None = None


async def load_spend(
    place: Place,
    *,
    by: Sequence[str],
    since: str | None = None,
    until: str | None = None,
    during: str | None = None,
    timezone: str | None = None,
    agent: str | None = None,
    user: str | None = None,
    org: str | None = None,
    model: str | None = None,
    tags: Mapping[str, Sequence[str]] | None = None,
    top: int | None = None,
) -> SpendReport:
    """Return what was spent from the beginning of `since` to the end of `until`, by the groups `by`.

    Raise ConfigError for groups, spans and time zones that are none, and StoreErrors.
    """
    selection = select(
        SYSTEM_CLOCK.now_ns(),
        since=since,
        until=until,
        during=during,
        timezone=timezone,
        filter=Filter(model=model, agent=agent, user=user, org=org),
        tags=tags,
    )
    return await read_place(place, lambda log, ledger: spend_report(log, ledger, selection, by, top=top))


def spend_report(
    log: LogReader, ledger: LedgerReader, selection: Selection, by: Sequence[str], *, top: int | None = None
) -> SpendReport:
    """Return what a selection spent, by groups; of their values the dearest `top`. Raise ConfigError, StoreErrors."""
    require_groups(by)
    periods = [name for name in by if name in PERIOD_DIMENSIONS]
    names = [*periods, *(name for name in by if name not in periods)]
    found = selection.sums(log, names)
    whole = total(found)
    rows, others = folded(found, top, periods=len(periods))
    in_time = {label: place for place, label in enumerate(dict.fromkeys(row.group[: len(periods)] for row in found))}
    rows.sort(key=lambda row: (in_time[row.group[: len(periods)]], *others_last(row)))
    gaps = find_gaps(log, ledger, selection, whole, by)
    return SpendReport(
        by=list(by),
        timezone=selection.timezone,
        since=selection.first,
        until=selection.end,
        rows=[_line(row, names, by, whole) for row in rows],
        total=Totals(*whole[1:]),
        others=others,
        gaps=gaps,
        in_doubt=gaps.in_doubt,
    )


def _line(row: SumRow, names: Sequence[str], by: Sequence[str], whole: SumRow) -> SpendLine:
    values = dict(zip(names, row.group, strict=True))
    return SpendLine(*row[1:], group={name: values[name] for name in by}, share=share_of(row, whole))


def share_of(row: SumRow, whole: SumRow) -> float:
    """Return the cost of a row by that of the whole; 0 where nothing has a known cost."""
    return row.cost_nanousd / whole.cost_nanousd if whole.cost_nanousd else 0.0
