"""The part of a question that the sums of hours and days answer, and the windows that are left to the log."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from itertools import groupby
from typing import Any, Final, NamedTuple

from hivecost.backends.sqlite.log.summing.days import PAIRS, pair_name
from hivecost.backends.sqlite.log.summing.hours import ALL, DAY, HOUR_DIMENSIONS, HOUR_NS, QUARTERS
from hivecost.log.periods import QUARTER_HOUR_NS, local_days, period_labels
from hivecost.log.rows import SUM_NAMES, TAG, Window

Row = tuple[Any, ...]
#: Runs a statement of `reading.sql`: its name, what is bound, and `{places}`.
Rows = Callable[..., list[Row]]
#: From one up to, not including, another: hours or quarter-hours.
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

    #: (the first quarter-hour of a period's part, the hours)
    hours: list[tuple[int, Run]]
    #: Likewise, the quarter-hours of days.
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
    unsummed = [hour for (hour,) in rows("unsummed_hours", place)]
    summed = [
        first for (first,) in rows("summed_days", place) if not _between(unsummed, first >> 2, _hour_after(first))
    ]
    cut = _cut((first_hour, end_hour), periods, zone)
    if cut is None:
        return None
    spans, midnights = cut
    of_zone, of_utc = sorted({*summed} & {*midnights}), [first for first in summed if first % DAY == 0]
    kept = Kept([], [], [])
    done: list[Run] = []
    for span in spans:
        days = list(_joined(_days_in(of_zone, span) or _days_in(of_utc, span)))
        kept.days.extend((span[0], run) for run in days)
        hours = (
            [hours for part in _rest(span, days) for hours in _hours_in(part, unsummed)] if dimension.has_hours else []
        )
        kept.hours.extend((span[0], run) for run in hours)
        done += sorted([*days, *((first * QUARTERS, end * QUARTERS) for first, end in hours)])
    gaps = _rest(window, [(first * QUARTER_HOUR_NS, end * QUARTER_HOUR_NS) for first, end in done])
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


def _cut(hours: Run, periods: Sequence[str], zone: tzinfo) -> tuple[list[Run], list[int]] | None:
    """Return the quarter-hours of these hours, cut where periods begin, and where days of the zone do.

    An hour in which one begins is cut for `hour` too. None: there are too many.
    """
    first, end = hours[0] * QUARTERS, hours[1] * QUARTERS
    if not periods:
        return [(first, end)], []
    if "hour" in periods:
        if end - first > _HOURS_MAX * QUARTERS:
            return None
        whole = (hour for hour in range(*hours) if zone is UTC or _is_one(hour, tuple(periods), zone))
        return [(hour * QUARTERS, (hour + 1) * QUARTERS) for hour in whole], []
    spans: list[Run] = []
    days = list(local_days(first, end, zone))
    for _, group in groupby(days, lambda day: period_labels(day[0], tuple(periods), zone)):
        (start, stop), *more = group
        spans.append((max(first, start), min(end, more[-1][1] if more else stop)))
    return spans, [start for start, _ in days]


def _is_one(hour: int, periods: tuple[str, ...], zone: tzinfo) -> bool:
    """Return whether no period of a zone begins inside an hour."""
    first, last = hour * QUARTERS, (hour + 1) * QUARTERS - 1
    return period_labels(first, periods, zone) == period_labels(last, periods, zone)


def _hour_after(first: int) -> int:
    """Return the first hour after a day, of which it has no part."""
    return -(-(first + DAY) // QUARTERS)


def _between(numbers: Sequence[int], first: int, end: int) -> Sequence[int]:
    """Return those of sorted numbers from one up to, not including, another."""
    return numbers[bisect_left(numbers, first) : bisect_left(numbers, end)]


def _days_in(firsts: Sequence[int], span: Run) -> Sequence[int]:
    """Return the days that lie in a span whole."""
    return _between(firsts, span[0], span[1] - DAY + 1)


def _joined(firsts: Iterable[int]) -> Iterator[Run]:
    """Give the runs of days that follow each other."""
    run: Run | None = None
    for first in firsts:
        if run is not None and run[1] != first:
            yield run
            run = None
        run = (first if run is None else run[0], first + DAY)
    if run is not None:
        yield run


def _hours_in(quarter_hours: Run, unsummed: Sequence[int]) -> Iterator[Run]:
    """Give the runs of whole hours in these quarter-hours that have their sums."""
    hours = -(-quarter_hours[0] // QUARTERS), quarter_hours[1] // QUARTERS
    if hours[0] < hours[1]:
        yield from _rest(hours, ((hour, hour + 1) for hour in _between(unsummed, *hours)))


def _rest(whole: Run, parts: Iterable[Run]) -> Iterator[Run]:
    """Give what some parts, which are sorted, leave of a whole."""
    start, stop = whole
    for first, end in parts:
        if start < first:
            yield start, first
        start = end
    if start < stop:
        yield start, stop
