"""Who spent what over time, from the sums that a log keeps by quarter-hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hivecost.errors import ConfigError
from hivecost.log.contract import LogReader
from hivecost.log.instants import Moment, find_zone, range_ns
from hivecost.log.periods import PERIODS
from hivecost.log.records import SpendRow
from hivecost.log.rows import KEPT_DIMENSIONS, Filter, Window

_OF_ONE_SESSION: Final = "; `hivecost report SESSION` has them for one session"
#: What turns are logged with and time is not summed by, and where it is to be had.
_ELSEWHERE: Final = {
    "node": _OF_ONE_SESSION,
    "session": "; `hivecost sessions` lists what each came to",
    "execution": "; `RuntimeLogStore.list_runs` lists what each came to",
    "task": "; what was spent on a task is not summed over time yet, a budget counts it: per='task'",
    "tags": "; what was spent by a tag is not summed over time yet, a budget counts it: per='TAG'",
    "tag": "; what was spent by a tag is not summed over time yet, a budget counts it: per='TAG'",
}
_GROUPS: Final = (*PERIODS, *KEPT_DIMENSIONS)


def spend_window(by: Sequence[str], since: Moment | None, until: Moment | None, timezone: str) -> Window:
    """Return the whole quarter-hours of a range. Raise ConfigError for groups, dates and a time zone that are none."""
    window = Window(*range_ns(since, until, find_zone(timezone))).widened()
    unknown = [name for name in by if name not in _GROUPS]
    if unknown:
        raise ConfigError("by", f"some of {', '.join(_GROUPS)}{_ELSEWHERE.get(unknown[0], '')}", got=unknown[0])
    return window


def spend_rows(log: LogReader, by: Sequence[str], window: Window, timezone: str, wanted: Filter) -> list[SpendRow]:
    """Return the sums of every group there is: periods in the order of time, in each the other values in theirs."""
    rows = log.sums(by, window, timezone, wanted)
    return [SpendRow(*row[1:], group=dict(zip(by, row.group, strict=True))) for row in rows]
