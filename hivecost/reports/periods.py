"""What each day, week or month cost, against the one before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from hivecost.clock import to_datetime, to_ns
from hivecost.events import Totals
from hivecost.ledger import Calendar, LedgerReader
from hivecost.ledger.period import Period
from hivecost.log import ALWAYS, LogReader, SumRow, Window
from hivecost.log.instants import find_zone
from hivecost.log.spend import require_groups
from hivecost.reports.gaps import Gaps, find_gaps
from hivecost.reports.selection import OTHERS, Selection, folded, others_last, total

PeriodUnit = Literal["day", "week", "month"]

#: How many periods are shown where nobody says: the present one, and those before.
PERIODS_SHOWN: Final[dict[PeriodUnit, int]] = {"day": 14, "week": 8, "month": 12}
_NOTHING: Final = SumRow(())


class PeriodLine(Totals, frozen=True, kw_only=True):
    """A period, or one group in it."""

    #: `2026-11-22`, `2026-W47` or `2026-11`.
    period: str
    #: What was grouped by → its value; {} without groups.
    group: dict[str, str]
    #: What the same group cost in the period before; of the present one, up to the same time of day.
    before_nanousd: int
    #: It is not over yet.
    is_running: bool


class PeriodReport(msgspec.Struct, frozen=True, kw_only=True):
    """Days, weeks or months in their order, and what they add up to."""

    unit: PeriodUnit
    by: list[str]
    timezone: str
    since: str
    until: str
    rows: list[PeriodLine]
    total: Totals
    others: int
    gaps: Gaps


def period_report(
    log: LogReader,
    ledger: LedgerReader,
    selection: Selection,
    unit: PeriodUnit,
    by: Sequence[str] = (),
    *,
    top: int | None = None,
) -> PeriodReport:
    """Return the whole periods that a selection has a part of; the last 14 days, 8 weeks or 12 months of any time.

    Periods without turns are among them, from the first that has any. Raise ConfigError, and StoreErrors.
    """
    require_groups(by)
    calendar = Calendar(unit, selection.timezone)
    first, last = _bounds(calendar, selection, unit)
    before_first = calendar.period_at(first.start_ns - 1)
    shown = selection.during(Window(first.start_ns, last.end_ns or ALWAYS.end_ns))
    rows, others = folded(shown.sums(log, (unit, *by)), top, periods=1)
    kept = {row.group[1:] for row in rows}
    before = _kept(selection.during(Window(before_first.start_ns, first.start_ns)).sums(log, (unit, *by)), kept)
    sums = {row.group: row for row in (*before, *rows)}
    running = calendar.period_at(selection.now_ns)
    previous = calendar.period_at(running.start_ns - 1)
    by_now = Window(previous.start_ns, _same_time(selection, unit, previous))
    so_far = {row.group: row for row in _kept(selection.during(by_now).sums(log, (unit, *by)), kept)}
    periods = _periods(calendar, first, last, [row.group[0] for row in rows])
    lines: list[PeriodLine] = []
    for period in periods:
        found = sorted((row for row in rows if row.group[0] == period.name), key=others_last)
        old = so_far if period == running else sums
        for row in found or ([] if by else [_NOTHING._replace(group=(period.name,))]):
            key = (calendar.period_at(period.start_ns - 1).name, *row.group[1:])
            lines.append(
                PeriodLine(
                    *row[1:],
                    period=period.name,
                    group=dict(zip(by, row.group[1:], strict=True)),
                    before_nanousd=old.get(key, _NOTHING).cost_nanousd,
                    is_running=period == running,
                )
            )
    whole = total(rows)
    return PeriodReport(
        unit=unit,
        by=list(by),
        timezone=selection.timezone,
        since=shown.first,
        until=shown.end,
        rows=lines,
        total=Totals(*whole[1:]),
        others=others,
        gaps=find_gaps(log, ledger, shown, whole, by),
    )


def _bounds(calendar: Calendar, selection: Selection, unit: PeriodUnit) -> tuple[Period, Period]:
    """Return the first period and the last."""
    last = calendar.period_at(max(min(selection.window.end_ns - 1, selection.now_ns), 0))
    if selection.window.first_ns > ALWAYS.first_ns:
        return calendar.period_at(selection.window.first_ns), last
    first = last
    for _ in range(PERIODS_SHOWN[unit] - 1):
        first = calendar.period_at(first.start_ns - 1)
    return first, last


def _periods(calendar: Calendar, first: Period, last: Period, named: Sequence[str]) -> list[Period]:
    """Return the periods from the first with turns to the last; [] without any turns."""
    if not named:
        return []
    found = [last]
    while found[-1].start_ns > first.start_ns and found[-1].name != named[0]:
        found.append(calendar.period_at(found[-1].start_ns - 1))
    return found[::-1]


def _kept(rows: Sequence[SumRow], kept: set[tuple[str, ...]]) -> Iterator[SumRow]:
    """Give the rows with the values of others that are shown as `(other)` in one."""
    others: dict[tuple[str, ...], SumRow] = {}
    for row in rows:
        if row.group[1:] in kept or not row.group[1:]:
            yield row
        else:
            group = (row.group[0], *(OTHERS,) * (len(row.group) - 1))
            before = others.get(group)
            others[group] = (total([row] if before is None else [before, row]))._replace(group=group)
    yield from others.values()


def _same_time(selection: Selection, unit: PeriodUnit, previous: Period) -> int:
    """Return the instant in the period before that is as far into it, on the clocks of the zone."""
    zone = find_zone(selection.timezone)
    now = to_datetime(selection.now_ns).astimezone(zone).replace(tzinfo=None)
    if unit == "month":
        first = to_datetime(previous.start_ns).astimezone(zone)
        day = min(now.day, _last_day(first))
        then = now.replace(year=first.year, month=first.month, day=day)
    else:
        then = now - timedelta(days=1 if unit == "day" else 7)
    end_ns = previous.end_ns or ALWAYS.end_ns
    return min(max(to_ns(then.replace(tzinfo=zone)), previous.start_ns), end_ns)


def _last_day(first: datetime) -> int:
    following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (following - timedelta(days=1)).day
