"""Periods: a pure function of window, time zone and instant, so that nothing ever has to be reset.

Days begin at the first instant that the zone calls by their date, so they have 23, 24 or 25 hours where clocks
change. Hours are told apart by their offset from UTC, so the hour that is repeated in autumn is two.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec

from hivecost.clock import to_datetime
from hivecost.errors import ConfigError

Window = Literal["execution", "session", "hour", "day", "week", "month", "total"]

WINDOWS: Final[tuple[Window, ...]] = get_args(Window)

_NS: Final = 10**9
_DAY: Final = timedelta(days=1)


class Period(msgspec.Struct, frozen=True, gc=False):
    """From `start_ns` up to, not including, `end_ns` (None: it never ends)."""

    #: `2026-11-22`, `2026-W47`, `2026-11`, `2026-11-22T14+05:45`, or the window's own name where it has no end.
    name: str
    start_ns: int
    end_ns: int | None

    def contains(self, at_ns: int) -> bool:
        """Tell whether the instant, in nanoseconds since 1970 UTC, is in the period."""
        return self.start_ns <= at_ns and (self.end_ns is None or at_ns < self.end_ns)


class Calendar:
    """The periods of one window in one time zone; remembers the last one, because the next instant is most often in it.

    Raises ConfigError, naming `key`, for a zone that the IANA database does not have.
    """

    __slots__ = ("_last", "_zone", "window")

    def __init__(self, window: Window, timezone: str = "UTC", *, key: str = "timezone") -> None:
        self.window = window
        self._zone = load_zone(timezone, key=key)
        self._last = period_at(window, self._zone, 0)

    def period_at(self, at_ns: int) -> Period:
        """Return the period that holds the instant, given in nanoseconds since 1970 UTC."""
        if not self._last.contains(at_ns):
            self._last = period_at(self.window, self._zone, at_ns)
        return self._last


def for_period(name: str) -> str:
    """Return ` for the day 2026-11-22`, from the name of a period; "" for one that never ends."""
    if name in WINDOWS:
        return ""
    window = "hour" if "T" in name else "week" if "W" in name else "month" if len(name) == len("2026-11") else "day"
    return f" for the {window} {name}"


def resetting(reset_at: datetime | None) -> str:
    """Return `; it resets at 2026-11-22T23:00Z`; "" for None."""
    return "" if reset_at is None else f"; it resets at {reset_at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def counting_since(name: str, since_ns: int) -> str:
    """Say what a budget that never resets counts, from the name of a period; "" for any other.

    `; it counts all runs since 2026-11-22, and …`: `since_ns` is 0 where nobody knows.
    """
    if name != "total":
        return ""
    since = f" since {to_datetime(since_ns):%Y-%m-%d}" if since_ns else ""
    others = ", ".join(window for window in WINDOWS if window != name)
    return f"; it counts all runs{since} and never resets (one with another window does: {others})"


def load_zone(timezone: str, *, key: str = "timezone") -> ZoneInfo:
    """Return the IANA zone of this name. Raise ConfigError, naming `key`, where there is none."""
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError, TypeError):
        raise ConfigError(key, 'an IANA time zone such as "UTC" or "Europe/Berlin"', got=timezone) from None


def period_at(window: Window, zone: ZoneInfo, at_ns: int) -> Period:
    """Return the period of `window` that holds the instant, as the clocks of `zone` see it."""
    match window:
        case "hour":
            return _hour_at(zone, at_ns // _NS)
        case "day" | "week" | "month":
            return _dates_at(window, zone, at_ns // _NS)
        case _:
            return Period(window, 0, None)


def _hour_at(zone: ZoneInfo, at_s: int) -> Period:
    """Return an hour of the wall clock, cut where the offset changes inside it (Lord Howe moves by 30 minutes)."""
    offset_s = _offset_s(zone, at_s)
    start_s = (at_s + offset_s) // 3600 * 3600 - offset_s
    end_s = start_s + 3600
    name = f"{datetime.fromtimestamp(at_s, zone):%Y-%m-%dT%H}{_format_offset(offset_s)}"
    if _offset_s(zone, start_s) != offset_s:
        start_s = _change_between(zone, start_s, at_s)
    if _offset_s(zone, end_s - 1) != offset_s:
        end_s = _change_between(zone, at_s, end_s - 1)
    return Period(name, start_s * _NS, end_s * _NS)


def _dates_at(window: Window, zone: ZoneInfo, at_s: int) -> Period:
    """Return the period of whole dates that holds the instant: a day, an ISO week from Monday, or a month."""
    first, after = _dates_around(window, datetime.fromtimestamp(at_s, zone).date())
    end_s = _start_of_date(zone, after)
    if at_s >= end_s:  # clocks went back over midnight: the date that had begun stays
        first, after = _dates_around(window, after)
        end_s = _start_of_date(zone, after)
    return Period(_name_of(window, first), _start_of_date(zone, first) * _NS, end_s * _NS)


def _dates_around(window: Window, day: date) -> tuple[date, date]:
    """Return the first date of the run that holds `day`, and the first date after it."""
    match window:
        case "week":
            monday = day - timedelta(days=day.weekday())
            return monday, monday + 7 * _DAY
        case "month":
            first = day.replace(day=1)
            return first, (first + 31 * _DAY).replace(day=1)
        case _:
            return day, day + _DAY


def _name_of(window: Window, first: date) -> str:
    return f"{first:%G-W%V}" if window == "week" else first.isoformat()[: 7 if window == "month" else 10]


def _start_of_date(zone: ZoneInfo, day: date) -> int:
    """Return the first second that the zone calls by this date, or by a later one where it skips the date."""
    midnight = datetime.combine(day, time(), tzinfo=zone)
    start_s = int(midnight.timestamp())
    earlier_s = int(midnight.replace(fold=1).timestamp())
    if earlier_s >= start_s:
        return start_s
    return _change_between(zone, earlier_s, start_s)  # clocks jump over midnight: the date begins at the jump


def _change_between(zone: ZoneInfo, before_s: int, after_s: int) -> int:
    """Return the second at which the offset changes, somewhere after `before_s` and not after `after_s`."""
    old = _offset_s(zone, before_s)
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _offset_s(zone, middle_s) == old:
            before_s = middle_s
        else:
            after_s = middle_s
    return after_s


def _offset_s(zone: ZoneInfo, at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _format_offset(offset_s: int) -> str:
    hours, minutes = divmod(abs(offset_s) // 60, 60)
    return f"{'-' if offset_s < 0 else '+'}{hours:02d}:{minutes:02d}"
