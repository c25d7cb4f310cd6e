"""The part of a question that the sums of hours and days answer, and the windows that are left to the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import groupby
from typing import Any, Final, NamedTuple

from hivecost.backends.sqlite.log.summing.days import PAIRS, pair_name
from hivecost.backends.sqlite.log.summing.hours import ALL, HOUR_DIMENSIONS, HOUR_NS, HOURS_OF_A_DAY, QUARTERS
from hivecost.clock import to_datetime, to_ns
from hivecost.log.periods import QUARTER_HOUR_NS, period_labels
from hivecost.log.rows import SUM_NAMES, TAG, Window

Row = tuple[Any, ...]
#: Runs a statement of `reading.sql`: its name, what is bound, and `{places}`.
Rows = Callable[..., list[Row]]
#: From one up to, not including, another: hours, days or quarter-hours.
Run = tuple[int, int]

#: More pieces than this are no quicker than the log.
_GAPS_MAX: Final = 1_000
_HOURS_MAX: Final = 20_000


class KeptDimension(NamedTuple):
    """What sums are kept by that look at some attributes."""

    name: str
    #: Attribute → the column of its values.
    columns: Mapping[str, str]
    #: Whether hours have it too; all days have.
    has_hours: bool = True

    @property
    def tag(self) -> str:
        """Return the tag it is; "" for none."""
        return self.name.removeprefix(TAG) if self.name.startswith(TAG) else ""


class Kept(NamedTuple):
    """Which hours and days are read from their sums, and what is left."""

    #: (the first quarter-hour of a period's part, the run)
    hours: list[tuple[int, Run]]
    days: list[tuple[int, Run]]
    gaps: list[Window]


def kept_dimension(looks_at: set[str]) -> KeptDimension | None:
    """Return the kept dimension of these attributes, or None."""
    if not looks_at:
        return KeptDimension(ALL, {})
    if len(looks_at) == 1:
        (name,) = looks_at
        return KeptDimension(name, {name: "value"}) if name in HOUR_DIMENSIONS or name.startswith(TAG) else None
    return next(
        (
            KeptDimension(pair_name(pair), dict(zip(pair, ("value", "other"), strict=True)), has_hours=False)
            for pair in PAIRS
            if {*pair} == looks_at
        ),
        None,
    )


def kept_parts(
    rows: Rows, dimension: KeptDimension, window: Window, periods: Sequence[str], zone: tzinfo
) -> Kept | None:
    """Return which parts of a window have sums; None where that is not worth it.

    A part never reaches over the end of a period. Hours that are not summed are left to the log, and so are those that
    a period of the zone or the window cuts.
    """
    if "quarter_hour" in periods:
        return None
    first_hour, end_hour = _hours_of(rows, window)
    if first_hour >= end_hour or (dimension.tag and not rows("summed_tag", {"name": dimension.tag})):
        return None
    place = {"first": first_hour, "end": end_hour, "name": dimension.tag}
    unsummed_hours = [hour for (hour,) in rows("unsummed_hours", place)]
    unsummed_days = {day for (day,) in rows("unsummed_days", place)}
    spans = _spans((first_hour, end_hour), periods, zone)
    if spans is None:
        return None
    kept = Kept([], [], [])
    done: list[Run] = []
    for quarter_hour, hours in _without(spans, unsummed_hours):
        days = list(_days_in(hours, unsummed_days))
        kept.days.extend((quarter_hour, run) for run in days)
        in_hours = [(first * HOURS_OF_A_DAY, end * HOURS_OF_A_DAY) for first, end in days]
        if dimension.has_hours:
            kept.hours.extend((quarter_hour, run) for run in _rest(hours, in_hours))
            done.append(hours)
        else:
            done += in_hours
    gaps = _rest(window, [(first * HOUR_NS, end * HOUR_NS) for first, end in done])
    kept.gaps.extend(Window(*gap) for gap in gaps)
    return kept if done and len(kept.gaps) <= _GAPS_MAX else None


def spans_text(parts: Iterable[tuple[int, Run]]) -> str:
    """Return the parts as the JSON that statements take: [[quarter-hour, first, end], ...]."""
    return f"[{','.join(f'[{quarter_hour},{first},{end}]' for quarter_hour, (first, end) in parts)}]"


def untagged(named: Iterable[Row], all_rows: Iterable[Row]) -> Iterator[Row]:
    """Give what all turns of a period come to without those that have a tag, each row with the value ""."""
    left = {quarter_hour: sums for quarter_hour, *sums in all_rows}
    for quarter_hour, _, *sums in named:
        left[quarter_hour] = [one - other for one, other in zip(left[quarter_hour], sums, strict=True)]
    calls, charges = SUM_NAMES.index("llm_calls"), SUM_NAMES.index("charges")
    for quarter_hour, sums in left.items():
        if sums[calls] or sums[charges]:
            yield (quarter_hour, "", *sums)


def _hours_of(rows: Rows, window: Window) -> Run:
    """Return the whole hours of a window that have turns between them and are over."""
    for first_quarter, last_quarter, before_hour in rows("summed_hours", {}):
        if first_quarter is not None and before_hour is not None:
            first = max(-(-window.first_ns // HOUR_NS), first_quarter // QUARTERS)
            return first, min(window.end_ns // HOUR_NS, last_quarter // QUARTERS + 1, before_hour)
    return 0, 0


def _spans(hours: Run, periods: Sequence[str], zone: tzinfo) -> list[Run] | None:
    """Return the runs of hours that lie in the same periods; hours that a period cuts are in none."""
    first, end = hours
    if not periods:
        return [hours]
    if "hour" in periods:
        if end - first > _HOURS_MAX:
            return None
        return [(hour, hour + 1) for hour in range(first, end) if zone is UTC or _is_one(hour, tuple(periods), zone)]
    spans: list[Run] = []
    for _, days in groupby(_local_days(hours, zone), lambda day: period_labels(day[0], tuple(periods), zone)):
        (first_quarter, end_quarter), *more = days
        end_quarter = more[-1][1] if more else end_quarter
        spans.append((-(-first_quarter // QUARTERS), end_quarter // QUARTERS))
    return [(max(first, start), min(end, stop)) for start, stop in spans]


def _local_days(hours: Run, zone: tzinfo) -> Iterator[Run]:
    """Give the quarter-hours of each day of a zone that these hours lie in."""
    first, end = hours
    day = to_datetime(first * HOUR_NS).astimezone(zone).date()
    start = _midnight(day, zone)
    while start < end * QUARTERS:
        day += timedelta(days=1)
        stop = _midnight(day, zone)
        if stop > start:  # a zone that moved over the date line has no such day
            yield start, stop
        start = stop


def _is_one(hour: int, periods: tuple[str, ...], zone: tzinfo) -> bool:
    """Return whether no period of a zone begins inside an hour."""
    first, last = hour * QUARTERS, (hour + 1) * QUARTERS - 1
    return period_labels(first, periods, zone) == period_labels(last, periods, zone)


def _midnight(day: date, zone: tzinfo) -> int:
    """Return the quarter-hour in which a day of a zone begins; where clocks skip midnight, when they do."""
    return to_ns(datetime.combine(day, time(), zone).astimezone(UTC)) // QUARTER_HOUR_NS


def _without(spans: Iterable[Run], hours: Sequence[int]) -> Iterator[tuple[int, Run]]:
    """Give the parts of spans between some hours, which are sorted, each with the first quarter-hour of its span."""
    place = 0
    for first, end in spans:
        start = first
        while place < len(hours) and hours[place] < end:
            if hours[place] > start:
                yield first * QUARTERS, (start, hours[place])
            start = max(start, hours[place] + 1)
            place += 1
        if start < end:
            yield first * QUARTERS, (start, end)


def _days_in(hours: Run, unsummed: set[int]) -> Iterator[Run]:
    """Give the runs of whole UTC days in these hours that have their sums."""
    first, end = -(-hours[0] // HOURS_OF_A_DAY), hours[1] // HOURS_OF_A_DAY
    start = first
    for day in range(first, end):
        if day in unsummed:
            if start < day:
                yield start, day
            start = day + 1
    if start < end:
        yield start, end


def _rest(whole: Run, parts: Iterable[Run]) -> Iterator[Run]:
    """Give what some parts, which are sorted, leave of a whole."""
    start, stop = whole
    for first, end in parts:
        if start < first:
            yield start, first
        start = end
    if start < stop:
        yield start, stop
