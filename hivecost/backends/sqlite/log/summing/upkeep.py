"""What is to be summed next, and the two halves of doing it: reading, which holds up nobody, and a short commit.

Several processes may sum one log at once: of those that sum the same hour, one commits it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import tzinfo
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

from hivecost.backends.sqlite.log.summing.days import (
    DaySums,
    count_quarter_hour,
    has_histograms,
    replace_day,
    sum_day,
)
from hivecost.backends.sqlite.log.summing.hours import DAY, HOUR_NS, Row, replace_hour, sum_hour
from hivecost.backends.sqlite.log.summing.marks import EARLIEST_HOUR, mark_until
from hivecost.backends.sqlite.snapshot import open_snapshot
from hivecost.errors import ConfigError
from hivecost.log.instants import find_zone
from hivecost.log.periods import local_days

#: So long after its end turns of an hour may still be on their way; later ones make it to be summed again.
_GRACE_NS: Final = 60 * 10**9
#: A reader keeps the write-ahead log from going back: so long at most, and a quarter-hour or an hour more.
_SLICE_S: Final = 0.05
#: Of SQLite's machine, between two looks whether to stop: a few milliseconds.
_STEPS: Final = 100_000
#: Whose days are summed beside those of UTC: this machine's zone, and the first of those that budgets have.
_ZONES_MAX: Final = 4

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
#: A day whose hours are all summed, those too that it has a part of.
_NEXT_DAY: Final = f"""
    SELECT first, mark FROM summed_days
    WHERE mark IS NOT NULL AND (first + {DAY} + 3) >> 2 <= (SELECT min(before_hour, :end_hour) FROM summing)
        AND NOT EXISTS (SELECT 1 FROM unsummed_hours WHERE hour >= first >> 2 AND hour < (first + {DAY} + 3) >> 2)
    ORDER BY first DESC LIMIT 1"""
_ENDS: Final = """
    SELECT (SELECT min(quarter_hour) FROM quarter_hours), (SELECT max(quarter_hour) FROM quarter_hours), before_hour
    FROM summing"""
_ZONES: Final = """
    SELECT DISTINCT json_extract(definition, '$.timezone') FROM budget_definitions
    WHERE json_valid(definition) AND json_type(definition, '$.timezone') = 'text' ORDER BY 1"""
_HAS_TURNS: Final = "SELECT EXISTS (SELECT 1 FROM quarter_hours WHERE quarter_hour >= ? AND quarter_hour < ?)"


class _Day(NamedTuple):
    """A day that is being read, some quarter-hours at a time."""

    first: int
    mark: int
    rows: list[Row]
    histograms: Counter[tuple[str, str, int]]
    quarter_hour: int


class Upkeep:
    """Blocking. `read` needs no lock, what it gives to commit needs a writer's transaction."""

    def __init__(self, base_path: Path, *, zone: tzinfo | None = None) -> None:
        self._base_path = base_path
        #: None: this machine's.
        self._zone = zone
        self._day: _Day | None = None
        #: The last that was looked for.
        self._wanted_before: int | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """End what is being read in another thread, and read nothing more: an hour may have millions of turns."""
        self._is_stopped = True

    def read(self, now_ns: int) -> Slice:
        """Read the next of what is to be summed: an hour, or a part of a day. Raise StoreErrors and sqlite3.Error."""
        end_hour = (now_ns - _GRACE_NS) // HOUR_NS
        connection = open_snapshot(self._base_path)
        if connection is None:
            return Slice(is_last=True)
        with closing(connection):
            connection.set_progress_handler(lambda: self._is_stopped, _STEPS)
            try:
                return self._read(connection, end_hour)
            except sqlite3.OperationalError:
                if self._is_stopped:
                    return Slice(is_last=True)
                raise

    def _read(self, connection: sqlite3.Connection, end_hour: int) -> Slice:
        place = {"end_hour": end_hour}
        if connection.execute(_HAS_HOURS_OVER, place).fetchone() != (0,):
            return Slice(partial(_close_hours, end_hour=end_hour))
        for hour, mark in connection.execute(_NEXT_HOUR, place):
            return Slice(partial(replace_hour, hour=hour, mark=mark, sums=sum_hour(connection, hour)))
        firsts = self._new_days(connection)
        if firsts:
            return Slice(partial(_want_days, firsts=firsts))
        for first, mark in connection.execute(_NEXT_DAY, place):
            return self._read_day(connection, first, mark)
        return Slice(is_last=True)

    def _new_days(self, connection: sqlite3.Connection) -> list[int]:
        """Return the days of zones in use that nobody wanted yet; once for each hour that is over."""
        first, last, before_hour = connection.execute(_ENDS).fetchone()
        if first is None or before_hour in (None, self._wanted_before):
            return []
        self._wanted_before = before_hour
        known = {day for (day,) in connection.execute("SELECT first FROM summed_days")}
        names = [name for (name,) in connection.execute(_ZONES)]
        wanted = {
            day
            for zone in _zones(self._zone, names)
            for day, stop in local_days(first, min(last + 1, before_hour << 2), zone)
            if stop - day == DAY
        }
        new = sorted(wanted - known)
        return [day for day in new if connection.execute(_HAS_TURNS, [day, day + DAY]).fetchone() != (0,)]

    def _read_day(self, connection: sqlite3.Connection, first: int, mark: int) -> Slice:
        """Read the next part of a day; a change in between shows by the mark."""
        until_s = monotonic() + _SLICE_S
        it = self._day
        if it is None or (it.first, it.mark) != (first, mark):
            it = _Day(first, mark, sum_day(connection, first), Counter(), first)
        end = first + DAY if has_histograms(first) else first
        while it.quarter_hour < end and monotonic() < until_s:
            it.histograms.update(count_quarter_hour(connection, it.quarter_hour))
            it = it._replace(quarter_hour=it.quarter_hour + 1)
        if it.quarter_hour < end:
            self._day = it
            return Slice()
        self._day = None
        return Slice(partial(replace_day, first=first, mark=mark, sums=DaySums(it.rows, it.histograms)))


def _zones(first: tzinfo | None, names: list[str]) -> Iterator[tzinfo | None]:
    """Give the zones whose days are summed beside those of UTC."""
    yield first
    for name in [name for name in names if name != "UTC"][: _ZONES_MAX - 1]:
        try:
            yield find_zone(name)
        except ConfigError:  # of a machine that knows more zones
            continue


def _close_hours(connection: sqlite3.Connection, end_hour: int) -> bool:
    mark_until(connection, end_hour)
    return True


def _want_days(connection: sqlite3.Connection, firsts: list[int]) -> bool:
    connection.execute("UPDATE summing SET marks = marks + 1")
    connection.executemany(
        "INSERT INTO summed_days (first, mark) SELECT ?, marks FROM summing WHERE true ON CONFLICT DO NOTHING",
        [(first,) for first in firsts],
    )
    return True
