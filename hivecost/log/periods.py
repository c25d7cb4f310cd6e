"""Quarter-hours as hours, days, weeks and months of any time zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Final

from hivecost.clock import to_datetime

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
