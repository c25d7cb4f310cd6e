"""Spans of time as people write them: `yesterday`, `7d`, `last month`, `2026-10`, `2026-11-22`, a moment."""

import os
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final, NamedTuple

from hivecost.clock import to_datetime
from hivecost.errors import ConfigError
from hivecost.log.instants import find_zone, since_ns

#: How a span is written, for messages.
FORMS: Final = (
    "'today', 'yesterday', '24h', '7d', '4w', 'this week', 'last month', '2026', '2026-10', '2026-W47', '2026-11-22' "
    "or '2026-11-22T08:00'"
)
_AGO: Final = re.compile(r"(?:last )?(\d{1,4}) ?(h|hours?|d|days?|w|weeks?)")
_NAMED: Final = re.compile(r"(this|last) (day|week|month|year)")
_PARTS: Final = re.compile(r"(\d{4})(?:-(\d\d))?")
_WEEK: Final = re.compile(r"(\d{4})-w(\d\d)")
_HOUR_NS: Final = 3600 * 10**9
_WEEK_DAYS: Final = 7
#: What names the rules of this machine's clock behind a folder of zones.
_ZONE_FOLDER: Final = "zoneinfo/"


class Span(NamedTuple):
    """From `first_ns` up to, not including, `end_ns`, in nanoseconds since 1970 UTC; a moment ends where it begins."""

    first_ns: int
    end_ns: int


def local_zone() -> str:
    """Return the IANA name of this machine's time zone; UTC where nothing says it."""
    named = os.environ.get("TZ", "").removeprefix(":")
    for name in (named,) if named else (_linked(), _written()):
        try:
            find_zone(name)
        except ConfigError:
            continue
        if name:
            return name
    return "UTC"


def span_of(key: str, text: str, now_ns: int, zone: tzinfo) -> Span:
    """Return the span that a text means in a time zone: whole days, weeks, months, or what is past of them.

    `7d` is the last seven days, today among them; `24h` is the last 24 hours. Raise ConfigError, naming `key`, for any
    other text, and for a moment that the clocks of the zone show twice, or never.
    """
    words = " ".join(text.lower().split())
    today = to_datetime(now_ns).astimezone(zone).date()
    if words == "now":
        return Span(now_ns, now_ns)
    if ago := _AGO.fullmatch(words):
        if not int(ago[1]):
            raise ConfigError(key, "a number above zero, such as 7d", got=text)
        return _ago(int(ago[1]), ago[2][0], now_ns, zone)
    try:
        days = _days(words, today)
    except ValueError:
        raise ConfigError(key, FORMS, got=text) from None
    return _moment(key, text, zone) if days is None else Span(*(since_ns(day, zone) for day in days))


def _ago(count: int, unit: str, now_ns: int, zone: tzinfo) -> Span:
    if unit == "h":
        return Span(now_ns - count * _HOUR_NS, now_ns)
    days = count * (_WEEK_DAYS if unit == "w" else 1)
    today = to_datetime(now_ns).astimezone(zone).date()
    return Span(since_ns(today - timedelta(days=days - 1), zone), now_ns)


def _days(words: str, today: date) -> tuple[date, date] | None:
    """Return the first day, and the first one after; None for what names no days. Raise ValueError."""
    if words in ("today", "yesterday"):
        first = today - timedelta(days=words == "yesterday")
        return first, first + timedelta(days=1)
    if named := _NAMED.fullmatch(words):
        whole = _around(named[2], today)
        return whole if named[1] == "this" else _around(named[2], whole[0] - timedelta(days=1))
    if week := _WEEK.fullmatch(words):
        return _around("week", date.fromisocalendar(int(week[1]), int(week[2]), 1))
    if parts := _PARTS.fullmatch(words):
        year, month = int(parts[1]), int(parts[2] or 1)
        return _around("month" if parts[2] else "year", date(year, month, 1))
    if len(words) == len("2026-11-22"):
        first = date.fromisoformat(words)
        return first, first + timedelta(days=1) if first < date.max else first
    return None


def _around(unit: str, day: date) -> tuple[date, date]:
    """Return the first day of the day, week, month or year that holds a day, and the first one after it."""
    match unit:
        case "week":
            first = day - timedelta(days=day.weekday())
            return first, first + timedelta(days=_WEEK_DAYS)
        case "month":
            first = day.replace(day=1)
            return first, (first + timedelta(days=31)).replace(day=1)
        case "year":
            return day.replace(month=1, day=1), date(day.year + 1, 1, 1)
        case _:
            return day, day + timedelta(days=1)


def _moment(key: str, text: str, zone: tzinfo) -> Span:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(key, FORMS, got=text) from None
    if moment.tzinfo is None:
        moment = _told_apart(key, text, moment, zone)
    at_ns = since_ns(moment)
    return Span(at_ns, at_ns)


def _told_apart(key: str, text: str, moment: datetime, zone: tzinfo) -> datetime:
    """Return the moment in its zone. Raise ConfigError where the clocks show it twice, or never."""
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        raise ConfigError(key, f"a moment that there is: clocks in {zone} jump over it", got=text)
    choices = " or ".join(f"{moment.isoformat()}{one.isoformat()[-6:]}" for one in (first, second))
    raise ConfigError(key, f"one of two moments, because clocks in {zone} show it twice: {choices}", got=text)


def _linked() -> str:
    try:
        return os.path.realpath("/etc/localtime").rpartition(_ZONE_FOLDER)[2]
    except OSError:
        return ""


def _written() -> str:
    try:
        return Path("/etc/timezone").read_bytes().decode().strip()
    except (OSError, ValueError):
        return ""


def minute_of(at_ns: int, zone: tzinfo) -> str:
    """Return an instant as `2026-11-22 08:00`, on the clocks of a zone."""
    return f"{to_datetime(at_ns).astimezone(zone):%Y-%m-%d %H:%M}"
