"""What today cost, against yesterday by this time, at what rate, and which budget is nearest to its limit: numbers."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from hivecost.clock import to_datetime, to_ns
from hivecost.errors import ConfigError
from hivecost.log import AccountRow, LogReader, SumRow, Window
from hivecost.log.instants import find_zone, since_ns, until_ns
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.log.rows import EVERYTHING, TAG, VALUE_DIMENSIONS, Filter
from hivecost.reports.course import DAY_QUARTERS, PROFILE_DAYS, Course, course
from hivecost.reports.selection import Selection, folded, others_last, total

#: What a day is summed by; a tag is `tag:NAME`.
DAY_DIMENSIONS: Final = (*VALUE_DIMENSIONS, "entry_point", "kind")
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
    #: What the day is on course for.
    course: Course = Course("", None)
    #: How many values are added up in the row `(other)`.
    others: int = 0
    #: Accounts of hard budgets with an amount in doubt.
    in_doubt: int = 0


def load_today(
    log: LogReader,
    now_ns: int,
    *,
    timezone: str | None = None,
    by: Sequence[str] = (),
    whose: Filter = EVERYTHING,
    tags: tuple[tuple[str, tuple[str, ...]], ...] = (),
    top: int | None = None,
    in_full: bool = False,
) -> Today:
    """Return the day of this instant in a time zone (None: local), summed by these dimensions of a log.

    Only turns of `whose`, with one of the values of each of the tags; of the values by themselves the dearest `top`.
    `in_full` also says what it is on course for, from the seven days before, and how many accounts are in doubt.
    All figures are of one snapshot. Raise ConfigError for a dimension or a zone that is none, and StoreErrors.
    """
    known = [name for name in by if name in DAY_DIMENSIONS or (name.startswith(TAG) and name != TAG)]
    if len({*known}) < len(by):
        raise ConfigError("by", f"some of {', '.join(DAY_DIMENSIONS)}, {TAG}NAME, each once", got=",".join(by))
    zone = None if timezone is None else find_zone(timezone)
    asked = Selection(Window(), "UTC", now_ns, whose, tags)
    now = to_datetime(now_ns).astimezone(zone)
    with log.snapshot() as view:
        found = asked.during(_day(now.date(), zone)).sums(view, by)
        rows, others = folded(found, top)
        accounts = view.accounts(now_ns, limit=None if in_full else 1)
        return Today(
            day=f"{now:%Y-%m-%d}",
            timezone=timezone or f"{now:%Z}",
            by=tuple(by),
            rows=tuple(sorted(rows, key=others_last)),
            total=total(found),
            yesterday=total(asked.during(_yesterday(now, zone)).sums(view)),
            last_hour=total(asked.during(Window(now_ns - _HOUR_NS, now_ns)).sums(view)),
            course=_course(asked, view, found, now_ns, zone) if in_full else Course("", None),
            others=others,
            in_doubt=sum(account.in_doubt > 0 for account in accounts),
            tightest=next((account for account in accounts[:1] if not account.is_shadow), None),
        )


def _course(asked: Selection, log: LogReader, found: Sequence[SumRow], now_ns: int, zone: tzinfo | None) -> Course:
    """Return what the day is on course for, from the seven days before it."""
    day = _day(to_datetime(now_ns).astimezone(zone).date(), zone)
    rows = asked.during(Window(day.first_ns - PROFILE_DAYS * DAY_QUARTERS * QUARTER_HOUR_NS, now_ns))
    spent: dict[int, int] = {}
    for row in rows.sums(log, ("quarter_hour",)):
        quarter = to_ns(datetime.fromisoformat(row.group[0])) // QUARTER_HOUR_NS
        spent[quarter] = spent.get(quarter, 0) + row.cost_nanousd
    whole = total(found)
    return course(whole.cost_nanousd, whole.llm_calls, *day, now_ns, day.first_ns, spent)


def _day(day: date, zone: tzinfo | None) -> Window:
    return Window(since_ns(day, zone), until_ns(day, zone))


def _yesterday(now: datetime, zone: tzinfo | None) -> Window:
    """Return the day before from its beginning to the same reading of the clock."""
    by_now = now.replace(tzinfo=None) - timedelta(days=1)
    return Window(_day(by_now.date(), zone).first_ns, to_ns(by_now.replace(tzinfo=zone)))
