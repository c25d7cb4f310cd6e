"""Who spent what over time, by anything that a log adds turns up by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hivecost.errors import ConfigError
from hivecost.log.contract import LogReader
from hivecost.log.instants import Moment, find_zone, range_ns
from hivecost.log.periods import PERIODS
from hivecost.log.records import SpendRow
from hivecost.log.rows import PERIOD_DIMENSIONS, TAG, VALUE_DIMENSIONS, Filter, Window

#: What people ask for by name; a tag is `tag:NAME`.
GROUPS: Final = (*PERIODS, *VALUE_DIMENSIONS, "entry_point", "kind")
_KNOWN: Final = {*GROUPS, *PERIOD_DIMENSIONS, "execution"}


def require_groups(by: Sequence[str]) -> None:
    """Raise ConfigError for a group that is none, and for one that is named twice."""
    for name in by:
        if name not in _KNOWN and (not name.startswith(TAG) or name == TAG):
            raise ConfigError("by", f"some of {', '.join(GROUPS)}, {TAG}NAME", got=name)
    if len({*by}) < len(by):
        raise ConfigError("by", "groups, each named once, such as day,user", got=",".join(by))


def spend_window(by: Sequence[str], since: Moment | None, until: Moment | None, timezone: str) -> Window:
    """Return the whole quarter-hours of a range. Raise ConfigError for groups, dates and a time zone that are none."""
    window = Window(*range_ns(since, until, find_zone(timezone))).widened()
    require_groups(by)
    return window


def spend_rows(log: LogReader, by: Sequence[str], window: Window, timezone: str, wanted: Filter) -> list[SpendRow]:
    """Return the sums of every group there is: periods in the order of time, in each the other values in theirs."""
    rows = log.sums(by, window, timezone, wanted)
    return [SpendRow(*row[1:], group=dict(zip(by, row.group, strict=True))) for row in rows]
