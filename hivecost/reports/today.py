"""What today cost, against yesterday by this time, at what rate, and which budget is nearest to its limit: numbers."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from hivecost.clock import to_datetime, to_ns
from hivecost.errors import ConfigError
from hivecost.log import AccountRow, LogReader, SumRow, Window
from hivecost.log.instants import find_zone, since_ns, until_ns
from hivecost.log.rows import SUM_NAMES, VALUE_DIMENSIONS

_HOUR_NS: Final = 3600 * 10**9


class Today(NamedTuple):
    """The day so far."""

    day: str
    #: Whose day: an IANA name, or what this machine calls its own.
    timezone: str
    #: What the rows are by.
    by: tuple[str, ...]
    #: What cost most first.
    rows: tuple[SumRow, ...]
    total: SumRow
    #: The day before, up to the same time of day.
    yesterday: SumRow
    #: The last 60 minutes.
    last_hour: SumRow
    #: Of the hard budgets' accounts, as they are committed; None: there is none.
    tightest: AccountRow | None


def load_today(log: LogReader, now_ns: int, *, timezone: str | None = None, by: Sequence[str] = ()) -> Today:
    """Return the day of this instant in a time zone (None: local), summed by these dimensions of a log.

    All figures are of one snapshot. Raise ConfigError for a dimension or a zone that is none, and StoreErrors.
    """
    if not {*by} <= {*VALUE_DIMENSIONS} or len({*by}) < len(by):
        raise ConfigError("by", f"some of {', '.join(VALUE_DIMENSIONS)}, each once", got=",".join(by))
    zone = None if timezone is None else find_zone(timezone)
    now = to_datetime(now_ns).astimezone(zone)
    with log.snapshot() as view:
        rows = view.sums(by, _day(now.date(), zone))
        return Today(
            day=f"{now:%Y-%m-%d}",
            timezone=timezone or f"{now:%Z}",
            by=tuple(by),
            rows=tuple(sorted(rows, key=lambda row: (-row.cost_nanousd, -row.total_tokens, row.group))),
            total=_added(rows),
            yesterday=_added(view.sums((), _yesterday(now, zone))),
            last_hour=_added(view.sums((), Window(now_ns - _HOUR_NS, now_ns))),
            tightest=next((account for account in view.accounts(now_ns, limit=1) if not account.is_shadow), None),
        )


def _day(day: date, zone: tzinfo | None) -> Window:
    return Window(since_ns(day, zone), until_ns(day, zone))


def _yesterday(now: datetime, zone: tzinfo | None) -> Window:
    """Return the day before from its beginning to the same reading of the clock."""
    by_now = now.replace(tzinfo=None) - timedelta(days=1)
    return Window(_day(by_now.date(), zone).first_ns, to_ns(by_now.replace(tzinfo=zone)))


def _added(rows: Sequence[SumRow]) -> SumRow:
    return SumRow((), *(sum(getattr(row, name) for row in rows) for name in SUM_NAMES))
