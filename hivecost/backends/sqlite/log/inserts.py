"""Rows into their tables, many with one statement."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from hivecost.events import Event
from hivecost.log.turn_rows import EVENT_COLUMNS, TURN_COLUMNS, Row, event_row, turn_row

#: Rows of a statement, the most first. Fewer statements take less time, and let Python's lock go less often, for which
#: a busy loop makes the writer wait; larger ones take megabytes.
_ROWS_AT_ONCE: Final = (320, 160, 80, 40, 20, 10, 5, 2, 1)
#: What None is bound as: SQLite stores whatever is not a number as NULL, and sqlite3 looks for adapters of each None,
#: which takes twenty times as long as binding it.
_NULL: Final = math.nan


class Table(NamedTuple):
    """Where events of a kind go."""

    name: str
    columns: tuple[str, ...]
    row: Callable[[Any], Row]


TURNS: Final = Table("turns", TURN_COLUMNS, turn_row)
EVENTS: Final = Table("events", EVENT_COLUMNS, event_row)


def insert(connection: sqlite3.Connection, table: Table, events: Sequence[Event]) -> int:
    """Insert the events whose id is not there yet, in their order; gives how many they were."""
    done = inserted = 0
    for size in _ROWS_AT_ONCE:
        while len(events) - done >= size:
            values: list[Any] = []
            for event in events[done : done + size]:
                values += table.row(event)
            values = [_NULL if value is None else value for value in values]
            inserted += connection.execute(insert_sql(table, size), values).rowcount
            done += size
    return inserted


@cache
def insert_sql(table: Table, rows: int = 1) -> str:
    """Return the SQL that inserts so many rows."""
    marks = ", ".join([f"({', '.join('?' * len(table.columns))})"] * rows)
    # Only a known event id is passed over; any other conflict is a fault that must be heard.
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES {marks} ON CONFLICT (event_id) DO NOTHING"
