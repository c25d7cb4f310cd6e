"""Which hours are to be summed, in the transaction that changes them.

Hours before `summing.before_hour` have their sums, but for those in `unsummed_hours`. Each change gives its hours a
mark that none had before: whoever sums an hour and finds another mark at the end knows that it changed meanwhile.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from hivecost.backends.sqlite.log.rollups import QUARTER_HOUR

#: An hour has four quarter-hours; the shift rounds down before 1970 too.
HOUR: Final = f"({QUARTER_HOUR} >> 2)"

#: Before any turn; its quarter-hours have 64 bits.
EARLIEST_HOUR: Final = -(2**60)
#: Some 10 ms in which others wait.
_HOURS_AT_ONCE: Final = 2_000

_NEXT_MARK: Final = "UPDATE summing SET marks = marks + 1"
_MARK: Final = """
    INSERT INTO unsummed_hours (hour, mark)
    SELECT DISTINCT hour, (SELECT marks + 1 FROM summing) FROM ({hours}) WHERE hour < (SELECT before_hour FROM summing)
    ON CONFLICT DO UPDATE SET mark = excluded.mark"""

_HAS_UNSUMMED: Final = f"""
    SELECT EXISTS (SELECT 1 FROM unsummed_hours) OR EXISTS (SELECT 1 FROM summed_days WHERE mark IS NOT NULL)
        OR EXISTS (SELECT 1 FROM quarter_hours, summing
            WHERE quarter_hour >= coalesce(before_hour, {EARLIEST_HOUR}) << 2)"""
_OF_NEW_TURNS: Final = f"SELECT {HOUR} AS hour FROM turns NOT INDEXED WHERE id > :last_turn"
_OF_SESSION: Final = f"""
    SELECT {HOUR} AS hour FROM turns WHERE session_id = :session_id
    UNION ALL SELECT quarter_hour >> 2 FROM pruned_turns WHERE session_id = :session_id"""
#: An execution gets another entry point than its turns were summed by.
_OF_ENTRY_POINTS: Final = f"""
    SELECT {HOUR.replace("timestamp_ns", "turns.timestamp_ns")} AS hour
    FROM (SELECT * FROM events NOT INDEXED
        WHERE id > :last_event AND type IN ('execution_started', 'execution_completed')) AS new
    CROSS JOIN executions AS e ON e.session_id = new.session_id AND e.execution_id = new.execution_id
    CROSS JOIN turns ON turns.session_id = e.session_id AND turns.execution_id = e.execution_id
    WHERE CASE new.type
        WHEN 'execution_started' THEN e.entry_point <> coalesce(json_extract(new.payload, '$.entry_point'), '')
        WHEN 'execution_completed' THEN e.entry_point = ''
            AND coalesce(json_extract(new.payload, '$.entry_point'), '') <> ''
        END"""
#: Hours with turns, by one search for each.
_OF_TIME: Final = f"""
    WITH RECURSIVE hours (hour) AS (
        SELECT min(quarter_hour) >> 2 FROM quarter_hours WHERE quarter_hour >= :first_hour << 2
        UNION ALL
        SELECT (SELECT min(quarter_hour) >> 2 FROM quarter_hours WHERE quarter_hour >= (hour + 1) << 2) FROM hours
        WHERE hour < :end_hour LIMIT {_HOURS_AT_ONCE})
    SELECT hour FROM hours"""


def has_unsummed(connection: sqlite3.Connection) -> bool:
    """Return whether there are turns whose hours or days may have to be summed."""
    return bool(connection.execute(_HAS_UNSUMMED).fetchone()[0])


def mark_new_turns(connection: sqlite3.Connection, last_turn: int) -> None:
    """Mark the hours of the turns after this id, which came late."""
    _mark(connection, _OF_NEW_TURNS, last_turn=last_turn)


def mark_session(connection: sqlite3.Connection, session_id: str) -> None:
    """Mark the hours of a session's turns, pruned or not, before they are deleted."""
    _mark(connection, _OF_SESSION, session_id=session_id)


def mark_turns(connection: sqlite3.Connection, which: str, **place: int) -> None:
    """Mark the hours of the turns whose ids this SELECT gives, before they are pruned."""
    _mark(connection, f"SELECT {HOUR} AS hour FROM turns WHERE id IN ({which})", **place)


def mark_entry_points(connection: sqlite3.Connection, last_event: int) -> None:
    """Mark the hours of turns whose entry point the events after this id change, before they do."""
    _mark(connection, _OF_ENTRY_POINTS, last_event=last_event)


def mark_until(connection: sqlite3.Connection, end_hour: int) -> None:
    """Mark the hours with turns up to this one, which are over, or the first of them that are not marked yet."""
    (first_hour,) = connection.execute("SELECT before_hour FROM summing").fetchone()
    first_hour = EARLIEST_HOUR if first_hour is None else first_hour
    if end_hour <= first_hour:  # of another process, whose clock is behind
        return
    place = {"first_hour": first_hour, "end_hour": end_hour}
    hours = [hour for (hour,) in connection.execute(_OF_TIME, place) if hour is not None and hour < end_hour]
    before_hour = hours[-1] + 1 if len(hours) == _HOURS_AT_ONCE else end_hour
    connection.execute("UPDATE summing SET before_hour = ?, marks = marks + 1", [before_hour])
    connection.executemany(
        "INSERT INTO unsummed_hours (hour, mark) SELECT ?, marks FROM summing", [(hour,) for hour in hours]
    )


def _mark(connection: sqlite3.Connection, hours: str, **place: int | str) -> None:
    if connection.execute(_MARK.format(hours=hours), place).rowcount > 0:  # else there is nothing to commit
        connection.execute(_NEXT_MARK)
