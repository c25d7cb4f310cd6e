"""What is to be summed next, and the two halves of doing it: reading, which holds up nobody, and a short commit.

Several processes may sum one log at once: of those that sum the same hour, one commits it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

from hivecost.backends.sqlite.log.summing.days import DaySums, count_hour, replace_day, sum_day
from hivecost.backends.sqlite.log.summing.hours import HOUR_NS, HOURS_OF_A_DAY, Row, replace_hour, sum_hour
from hivecost.backends.sqlite.log.summing.marks import EARLIEST_HOUR, mark_until
from hivecost.backends.sqlite.snapshot import open_snapshot

#: So long after its end turns of an hour may still be on their way; later ones make it to be summed again.
_GRACE_NS: Final = 60 * 10**9
#: A reader keeps the write-ahead log from going back: so long at most, and an hour more.
_SLICE_S: Final = 0.05

#: Commits what was read, in a transaction of the caller's; False where it changed meanwhile.
Commit = Callable[[sqlite3.Connection], bool]


class Slice(NamedTuple):
    """A part of the work."""

    #: None: there is nothing to commit yet.
    commit: Commit | None = None
    is_last: bool = False


_HAS_HOURS_OVER: Final = f"""
    SELECT EXISTS (SELECT 1 FROM quarter_hours, summing
        WHERE quarter_hour >= coalesce(before_hour, {EARLIEST_HOUR}) << 2 AND quarter_hour < :end_hour << 2)"""
#: The newest first: they are asked for most.
_NEXT_HOUR: Final = "SELECT hour, mark FROM unsummed_hours WHERE hour < :end_hour ORDER BY hour DESC LIMIT 1"
#: A day whose hours are all summed.
_NEXT_DAY: Final = f"""
    SELECT day, mark FROM unsummed_days
    WHERE (day + 1) * {HOURS_OF_A_DAY} <= (SELECT min(before_hour, :end_hour) FROM summing) AND NOT EXISTS (
        SELECT 1 FROM unsummed_hours
        WHERE hour >= day * {HOURS_OF_A_DAY} AND hour < (day + 1) * {HOURS_OF_A_DAY})
    ORDER BY day DESC LIMIT 1"""


class _Day(NamedTuple):
    """A day that is being read, some hours at a time."""

    day: int
    mark: int
    rows: list[Row]
    histograms: Counter[tuple[str, str, int]]
    hour: int


class Upkeep:
    """Blocking. `read` needs no lock, what it gives to commit needs a writer's transaction."""

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path
        self._day: _Day | None = None

    def read(self, now_ns: int) -> Slice:
        """Read the next of what is to be summed: an hour, or a part of a day. Raise StoreErrors and sqlite3.Error."""
        end_hour = (now_ns - _GRACE_NS) // HOUR_NS
        connection = open_snapshot(self._base_path)
        if connection is None:
            return Slice(is_last=True)
        with closing(connection):
            return self._read(connection, end_hour)

    def _read(self, connection: sqlite3.Connection, end_hour: int) -> Slice:
        place = {"end_hour": end_hour}
        if connection.execute(_HAS_HOURS_OVER, place).fetchone() != (0,):
            return Slice(partial(_close_hours, end_hour=end_hour))
        for hour, mark in connection.execute(_NEXT_HOUR, place):
            return Slice(partial(replace_hour, hour=hour, mark=mark, sums=sum_hour(connection, hour)))
        for day, mark in connection.execute(_NEXT_DAY, place):
            return self._read_day(connection, day, mark)
        return Slice(is_last=True)

    def _read_day(self, connection: sqlite3.Connection, day: int, mark: int) -> Slice:
        """Read the next hours of a day; a change in between shows by the mark."""
        until_s = monotonic() + _SLICE_S
        it = self._day
        if it is None or (it.day, it.mark) != (day, mark):
            it = _Day(day, mark, sum_day(connection, day), Counter(), day * HOURS_OF_A_DAY)
        end_hour = (day + 1) * HOURS_OF_A_DAY
        while it.hour < end_hour and monotonic() < until_s:
            it.histograms.update(count_hour(connection, it.hour))
            it = it._replace(hour=it.hour + 1)
        if it.hour < end_hour:
            self._day = it
            return Slice()
        self._day = None
        return Slice(partial(replace_day, day=day, mark=mark, sums=DaySums(it.rows, it.histograms)))


def _close_hours(connection: sqlite3.Connection, end_hour: int) -> bool:
    mark_until(connection, end_hour)
    return True
