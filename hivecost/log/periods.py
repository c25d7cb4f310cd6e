"""Quarter-hours as hours, days, weeks and months of any time zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from hivecost.clock import to_datetime, to_ns

QUARTER_HOUR_NS: Final = 15 * 60 * 10**9

_LABELS: Final[dict[str, Callable[[datetime], str]]] = {
    "quarter_hour": lambda moment: moment.isoformat(timespec="minutes"),
    "hour": lambda moment: f"{moment:%Y-%m-%dT%H}:00{moment.isoformat()[19:]}",
    "day": lambda moment: f"{moment:%Y-%m-%d}",
    "week": lambda moment: f"{moment:%G-W%V}",
    "month": lambda moment: f"{moment:%Y-%m}",
}

#: Those that people ask for.
PERIODS: Final = ("hour", "day", "week", "month")


@lru_cache(maxsize=4096)
def period_labels(quarter_hour: int, periods: tuple[str, ...], zone: tzinfo) -> tuple[str, ...]:
    """Return the labels of the periods this quarter-hour belongs to, in the order of `periods`.

    They are `2026-11-22T08:00+01:00`, `2026-11-22`, `2026-W47` and `2026-11`.
    Time zones differ from UTC by whole quarter-hours, so that none of them lies in two periods.
    """
    local = to_datetime(quarter_hour * QUARTER_HOUR_NS).astimezone(zone)
    return tuple(_LABELS[period](local) for period in periods)


def local_days(first: int, end: int, zone: tzinfo | None) -> Iterator[tuple[int, int]]:
    """Give the quarter-hours, from one up to another, of each day of a zone that some quarter-hours lie in.

    Where clocks skip midnight a day begins when they do; a zone that moved over the date line has no day there. None is
    this machine's own zone.
    """
    day = to_datetime(first * QUARTER_HOUR_NS).astimezone(zone).date()
    start = _midnight(day, zone)
    while start < end:
        day += timedelta(days=1)
        stop = _midnight(day, zone)
        if stop > start:
            yield start, stop
        start = stop


def _midnight(day: date, zone: tzinfo | None) -> int:
    return to_ns(datetime.combine(day, time(), zone).astimezone(UTC)) // QUARTER_HOUR_NS
