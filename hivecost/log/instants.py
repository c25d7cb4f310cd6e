"""Moments as people write them, and as they read them."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from hivecost.clock import to_datetime, to_ns
from hivecost.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

#: A date means the whole day; a text is ISO 8601, such as `2026-11-22` or `2026-11-22T08:00+01:00`.
Moment = datetime | date | str


def local_iso(timestamp_ns: int) -> str:
    """Return ISO 8601 in local time with its UTC offset."""
    return to_datetime(timestamp_ns).astimezone().isoformat()


#: Where every timestamp of the log lies between.
_EARLIEST_NS: Final = -(2**63)
_LATEST_NS: Final = 2**63 - 1
#: Further away than any log goes, and leap years, so that every date has its place in them.
_YEARS: Final = (1704, 2204)


def since_ns(moment: Moment | None, zone: tzinfo | None = None) -> int:
    """Return the first nanosecond that counts; what has no zone of its own is read in `zone` (None: local time)."""
    return _EARLIEST_NS if moment is None else _within(to_ns(_placed(_parsed("since", moment), zone)))


def instant_ns(key: str, moment: Moment) -> int:
    """Return the moment, or the start of the day, in local time. Raise ConfigError, naming `key`, for anything else."""
    return _within(to_ns(_placed(_parsed(key, moment), None)))


def until_ns(moment: Moment | None, zone: tzinfo | None = None) -> int:
    """Return the first nanosecond that no longer counts: that moment itself, or for a date the end of its day."""
    if moment is None:
        return _LATEST_NS
    parsed = _parsed("until", moment)
    if not isinstance(parsed, datetime):
        parsed += timedelta(days=1)
    return _within(to_ns(_placed(parsed, zone)))


def range_ns(since: Moment | None, until: Moment | None, zone: tzinfo | None = None) -> tuple[int, int]:
    """Return `since_ns` and `until_ns`. Raise ConfigError where the end comes before the beginning."""
    first_ns, end_ns = since_ns(since, zone), until_ns(until, zone)
    # A day that ends where the range begins is the day before it, or one that its zone left out.
    is_day_before = end_ns == first_ns and since_ns(until, zone) < first_ns
    if end_ns < first_ns or is_day_before:
        raise ConfigError("until", f"a moment after {since}, from which on it counts", got=str(until))
    return first_ns, end_ns


def find_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone. Raise ConfigError for a name nobody knows."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415  # most commands name no zone

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError("timezone", 'an IANA name such as "Europe/Berlin"', got=name) from None


def _within(timestamp_ns: int) -> int:
    return min(max(timestamp_ns, _EARLIEST_NS), _LATEST_NS)


def _parsed(key: str, moment: Moment) -> datetime | date:
    if isinstance(moment, str):
        try:
            is_date = len(moment) <= len("2026-11-22")
            moment = date.fromisoformat(moment) if is_date else datetime.fromisoformat(moment)
        except ValueError:
            raise ConfigError(key, 'an ISO date or time such as "2026-11-22"', got=moment) from None
    # `0001-01-01` and `9999-12-31` mean everything, and are at the end of what a datetime holds.
    return moment.replace(year=min(max(moment.year, _YEARS[0]), _YEARS[1]))


def _placed(moment: datetime | date, zone: tzinfo | None) -> datetime:
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001  # placed in its zone below
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    return moment
