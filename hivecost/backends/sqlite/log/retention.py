"""Taking old turns and events out of the log while every sum stays.

What is deleted is first added up in `pruned_turns`, in the same transaction, by all that budgets and reports count by.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from hivecost.backends.sqlite.database import checkpoint_if_grown, database_path, is_file, open_reader, open_writer
from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.log.rollups import PRUNED_KEYS, QUARTER_HOUR, SUMS, add_to
from hivecost.backends.sqlite.log.summing.marks import mark_turns
from hivecost.backends.sqlite.os_lock import run_locked
from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.errors import ConfigError
from hivecost.log.records import Pruned
from hivecost.threads import run_in_thread

T = TypeVar("T")

#: Rows of a transaction: some 50 ms during which other writers wait.
BATCH_ROWS: Final = 2_000
#: Between two of them, so that writers who wait for the lock have it in between.
_PAUSE_S: Final = 0.01
#: Younger events may still be on their way to the log, and would be refused.
YOUNGEST_NS: Final = 3600 * 10**9


_SET_HORIZON: Final = """
    INSERT INTO pruned_before (id, timestamp_ns) VALUES (1, :before_ns)
    ON CONFLICT DO UPDATE SET timestamp_ns = max(timestamp_ns, excluded.timestamp_ns)"""

_OLDEST: Final = "SELECT id FROM {table} WHERE timestamp_ns < :before_ns ORDER BY timestamp_ns, id LIMIT :rows"
OLDEST_TURNS: Final = _OLDEST.format(table="turns")
OLDEST_EVENTS: Final = _OLDEST.format(table="events")

_KEYS: Final = ", ".join(PRUNED_KEYS)
CARRY_OVER: Final = f"""
    INSERT INTO pruned_turns (quarter_hour, {_KEYS}, {", ".join(SUMS)})
    SELECT {QUARTER_HOUR} AS quarter_hour, {_KEYS}, {", ".join(SUMS.values())}
    FROM turns WHERE id IN ({OLDEST_TURNS}) GROUP BY quarter_hour, {_KEYS}
    ON CONFLICT DO UPDATE SET {add_to("pruned_turns")}"""
#: What a turn would cost at later rates goes with it.
DELETE_REPRICINGS: Final = f"""
    DELETE FROM repricings WHERE (session_id, event_id) IN
        (SELECT session_id, event_id FROM turns WHERE id IN ({OLDEST_TURNS}))"""
DELETE_TURNS: Final = f"DELETE FROM turns WHERE id IN ({OLDEST_TURNS})"
DELETE_EVENTS: Final = f"DELETE FROM events WHERE id IN ({OLDEST_EVENTS})"

#: So long after its period an account is kept at least: the clock of another machine, or of yesterday, may be behind.
ACCOUNTS_KEPT_NS: Final = 24 * 3600 * 10**9
_DISPENSABLE: Final = """
    FROM ledger_accounts AS a WHERE end_ns <= :before_ns AND in_doubt = 0
        AND NOT EXISTS (SELECT 1 FROM ledger_leases WHERE account_id = a.id AND amount > 0)
        AND NOT EXISTS (SELECT 1 FROM ledger_doubt_amounts JOIN ledger_doubts USING (hold_id)
            WHERE account_id = a.id AND coalesce(resolved_ns, :before_ns) >= :before_ns)
        AND id < (SELECT max(id) FROM ledger_accounts)"""  # whose number would be given again to another account
OLDEST_ACCOUNTS: Final = f"SELECT id {_DISPENSABLE} ORDER BY end_ns LIMIT :rows"
_COUNT_ACCOUNTS: Final = f"SELECT count(*) {_DISPENSABLE}"

_COUNT: Final = """
    SELECT (SELECT count(*) FROM turns WHERE timestamp_ns < :before_ns),
           (SELECT count(*) FROM events WHERE timestamp_ns < :before_ns),
           (SELECT count(*) FROM turns) + (SELECT count(*) FROM events)"""


async def prune(
    base_path: Path, before_ns: int, *, dry_run: bool = False, vacuum: bool = False, clock: Clock = SYSTEM_CLOCK
) -> Pruned:
    """Delete the turns and events that happened before this instant; sessions, nodes, executions and time sums stay.

    Accounts of hard budgets go, too, if their period was over by then, and for a day, with nothing held or in doubt.
    In transactions of 2,000 rows, each under the OS lock by itself: other writers wait for one of them at most, and a
    prune that is stopped can be started again. Events from before that reach the log later are not logged, but counted
    as `late`. `vacuum` rewrites the file without its free pages: meanwhile other writers wait, and the disk needs room
    for twice the file. `dry_run` only reads; it does not even migrate. Raise ConfigError for an instant less than an
    hour ago, and StoreErrors.
    """
    if before_ns > clock.now_ns() - YOUNGEST_NS:
        raise ConfigError("prune before", "a moment at least an hour ago: events may still be on their way to the log")
    path = database_path(base_path)
    with named_faults(path):
        if not is_file(path):
            return Pruned(turns=0, events=0)
        if dry_run:
            return await run_in_thread(partial(_would_prune, base_path, before_ns, _accounts_before(before_ns, clock)))
        free_before, file_before = await _in_turn(base_path, _sizes)
        turns, events = await _prune_all(base_path, before_ns, clock)
        accounts = await _prune_accounts(base_path, _accounts_before(before_ns, clock), clock)
        free_bytes, file_bytes = await _in_turn(base_path, _vacuumed if vacuum else _sizes)
    freed = file_before - file_bytes if vacuum else free_bytes - free_before
    return Pruned(turns=turns, events=events, accounts=accounts, bytes_freed=max(freed, 0), file_bytes=file_bytes)


async def _in_turn(base_path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Do this with a connection that is open only while we hold the lock: closing rolls back and may checkpoint."""

    def opened() -> T:
        with closing(open_writer(base_path)) as connection:
            return work(connection)

    return await run_locked(base_path, opened)


async def _prune_all(base_path: Path, before_ns: int, clock: Clock) -> tuple[int, int]:
    """Delete in batches until nothing is left; return the numbers of deleted (turns, events)."""
    turns = events = wal_bytes = 0
    while True:
        batch = partial(_prune_batch, path=database_path(base_path), before_ns=before_ns, wal_bytes=wal_bytes)
        batch_turns, batch_events, wal_bytes = await _in_turn(base_path, batch)
        turns, events = turns + batch_turns, events + batch_events
        if not batch_turns and not batch_events:
            return turns, events
        await clock.sleep(_PAUSE_S)


def _prune_batch(connection: sqlite3.Connection, *, path: Path, before_ns: int, wal_bytes: int) -> tuple[int, int, int]:
    """Delete one batch; return the deleted (turns, events), and the size of the WAL at which to checkpoint next."""
    place = {"before_ns": before_ns, "rows": BATCH_ROWS}
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_SET_HORIZON, {"before_ns": before_ns})
    mark_turns(connection, OLDEST_TURNS, **place)
    connection.execute(CARRY_OVER, place)
    connection.execute(DELETE_REPRICINGS, place)
    turns = connection.execute(DELETE_TURNS, place).rowcount
    events = connection.execute(DELETE_EVENTS, place).rowcount
    connection.execute("COMMIT")
    return turns, events, checkpoint_if_grown(connection, path, wal_bytes)


def _accounts_before(before_ns: int, clock: Clock) -> int:
    return min(before_ns, clock.now_ns() - ACCOUNTS_KEPT_NS)


async def _prune_accounts(base_path: Path, before_ns: int, clock: Clock) -> int:
    """Delete accounts in batches until none is left, and return how many were deleted."""
    deleted = wal_bytes = 0
    while True:
        batch = partial(_prune_accounts_batch, path=database_path(base_path), before_ns=before_ns, wal_bytes=wal_bytes)
        batch_accounts, wal_bytes = await _in_turn(base_path, batch)
        deleted += batch_accounts
        if not batch_accounts:
            return deleted
        await clock.sleep(_PAUSE_S)


def _prune_accounts_batch(
    connection: sqlite3.Connection, *, path: Path, before_ns: int, wal_bytes: int
) -> tuple[int, int]:
    """Delete one batch; return how many accounts were deleted, and the size of the WAL at which to checkpoint next."""
    connection.execute("BEGIN IMMEDIATE")
    ids = connection.execute(OLDEST_ACCOUNTS, {"before_ns": before_ns, "rows": BATCH_ROWS}).fetchall()
    for table in ("ledger_leases", "ledger_requests", "ledger_doubt_amounts"):
        connection.executemany(f"DELETE FROM {table} WHERE account_id = ?", ids)
    connection.executemany("DELETE FROM ledger_accounts WHERE id = ?", ids)
    connection.execute("COMMIT")
    return len(ids), checkpoint_if_grown(connection, path, wal_bytes)


def _vacuumed(connection: sqlite3.Connection) -> tuple[int, int]:
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return _sizes(connection)


def _would_prune(base_path: Path, before_ns: int, accounts_before_ns: int) -> Pruned:
    """Read only: a dry run does not even migrate."""
    with closing(open_reader(base_path)) as connection:
        turns, events, all_rows = connection.execute(_COUNT, {"before_ns": before_ns}).fetchone()
        (accounts,) = connection.execute(_COUNT_ACCOUNTS, {"before_ns": accounts_before_ns}).fetchone()
        free_bytes, file_bytes = _sizes(connection)
    freed = (file_bytes - free_bytes) * (turns + events) // max(all_rows, 1)
    return Pruned(turns=turns, events=events, accounts=accounts, bytes_freed=freed, file_bytes=file_bytes)


def _sizes(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the free bytes in the file, and the bytes of the file."""
    names = ("freelist_count", "page_count", "page_size")
    free, pages, page_bytes = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return free * page_bytes, pages * page_bytes
