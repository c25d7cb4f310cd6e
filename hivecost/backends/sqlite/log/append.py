"""A batch of events into the log and its sums, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from operator import attrgetter, is_not
from typing import Final

import msgspec

from hivecost.backends.sqlite.database import begin
from hivecost.backends.sqlite.log.contexts import add_prompts, fold_compactions, fold_prompts
from hivecost.backends.sqlite.log.inserts import EVENTS, TURNS, insert
from hivecost.backends.sqlite.log.lifecycles import count_executions, fold_events, settle_sessions
from hivecost.backends.sqlite.log.rollups import fold_turns
from hivecost.backends.sqlite.log.summing.hours import HOUR_NS
from hivecost.backends.sqlite.log.summing.marks import mark_entry_points, mark_new_turns
from hivecost.backends.sqlite.log.tags import with_short_tags
from hivecost.events import ContextCompacted, Event, LLMTurnComplete

#: What an event can do to its own row; anything else is the file's fault, and the whole batch's.
_ROW_FAULTS = (
    AttributeError,
    TypeError,
    ValueError,
    ArithmeticError,
    RecursionError,
    msgspec.MsgspecError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)

_prompt_of: Final = attrgetter("prompt")
#: The last id of each table, up to when the log was pruned, and up to when hours have their sums.
_WHERE_IT_ENDS: Final = """
    SELECT (SELECT coalesce(max(id), 0) FROM turns), (SELECT coalesce(max(id), 0) FROM events),
           (SELECT coalesce(max(id), 0) FROM executions), (SELECT timestamp_ns FROM pruned_before WHERE id = 1),
           (SELECT before_hour FROM summing)"""

_instant: Final = attrgetter("timestamp_ns")


class Appended(msgspec.Struct):
    """What became of a batch, event by event."""

    #: True for the rows really inserted; False for duplicates and for faults.
    inserted: list[bool]
    #: Index → why this event cannot be logged.
    faults: dict[int, Exception]
    #: Events whose tags were cut.
    truncated: int
    #: Events from before what was pruned: nobody can tell any more whether they were logged and counted.
    late: int = 0


def append(connection: sqlite3.Connection, events: Sequence[Event]) -> Appended:
    """Insert what is new and derive every sum from what was really inserted; committed in full, or nothing.

    One event that cannot be a row never takes others with it. Raise sqlite3.Error for faults of the file, and
    StoreVersionError when a newer hivecost has migrated it.
    """
    try:
        return _in_transaction(_insert, connection, events)
    except _ROW_FAULTS:
        return _in_transaction(_insert_each, connection, events)


def _in_transaction(
    insert: Callable[[sqlite3.Connection, Sequence[Event]], Appended],
    connection: sqlite3.Connection,
    events: Sequence[Event],
) -> Appended:
    begin(connection)
    try:
        appended = insert(connection, events)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return appended


def _insert_each(connection: sqlite3.Connection, events: Sequence[Event]) -> Appended:
    """Insert the events one by one, for a batch in which one of them fails."""
    total = Appended([], {}, 0)
    for index, event in enumerate(events):
        connection.execute("SAVEPOINT one")
        try:
            one = _insert(connection, [event])
        except _ROW_FAULTS as fault:
            connection.execute("ROLLBACK TO one")
            one = Appended([False], {index: fault}, 0)
        connection.execute("RELEASE one")
        total.inserted += one.inserted
        total.faults |= one.faults
        total.truncated += one.truncated
        total.late += one.late
    return total


def _insert(connection: sqlite3.Connection, events: Sequence[Event]) -> Appended:
    ends = connection.execute(_WHERE_IT_ENDS).fetchone()
    last_turn, last_event, last_execution, pruned_before_ns, before_hour = ends
    fitting = timely = [with_short_tags(event) if event.tags else event for event in events]
    if pruned_before_ns is not None:  # nobody would know earlier ones as duplicates: their ids may have been pruned
        timely = [event for event in fitting if event.timestamp_ns >= pruned_before_ns]
    turns = [event for event in timely if isinstance(event, LLMTurnComplete)]
    others = [event for event in timely if not isinstance(event, LLMTurnComplete)]
    count = 0
    if others:
        count += insert(connection, EVENTS, others)
        if before_hour is not None:
            mark_entry_points(connection, last_event)
        fold_events(connection, last_event)
        if any(isinstance(event, ContextCompacted) for event in others):
            fold_compactions(connection, last_event)
    if turns:
        count += insert(connection, TURNS, turns)
        if before_hour is not None and min(map(_instant, turns)) < before_hour * HOUR_NS:
            mark_new_turns(connection, last_turn)
        fold_turns(connection, last_turn)
        if any(map(_prompt_of, turns)):
            add_prompts(connection, turns, last_turn)
            fold_prompts(connection, last_turn)
    count_executions(connection, last_execution)
    if others:
        settle_sessions(connection, last_event)
    everything = count == len(events)
    inserted = [True] * count if everything else _really_inserted(connection, events, last_turn, last_event)
    truncated = sum(map(is_not, fitting, events))
    return Appended(inserted, {}, truncated, late=len(events) - len(timely))


def _really_inserted(
    connection: sqlite3.Connection, events: Sequence[Event], last_turn: int, last_event: int
) -> list[bool]:
    """Return for each event whether its row is new; of several with one id in a batch, the first is."""
    new_turns = _new_ids(connection, "turns", last_turn)
    new_others = _new_ids(connection, "events", last_event)
    inserted = []
    for event in events:
        new = new_turns if isinstance(event, LLMTurnComplete) else new_others
        inserted.append(event.event_id in new)
        new.discard(event.event_id)
    return inserted


def _new_ids(connection: sqlite3.Connection, table: str, last_id: int) -> set[str]:
    rows = connection.execute(f"SELECT event_id FROM {table} NOT INDEXED WHERE id > ?", [last_id])
    return {event_id for (event_id,) in rows}
