"""The writing end of one database file: a connection that is opened when needed and never trusted after a fault."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from hivecost.backends.sqlite.backfill import has_old_rows, move_slice
from hivecost.backends.sqlite.database import (
    Identity,
    begin,
    checkpoint_if_grown,
    database_path,
    identity_of,
    open_writer,
    require_same,
    require_wal_room,
    rest_between_commits_s,
    wal_bytes,
)
from hivecost.backends.sqlite.log.append import Appended, append
from hivecost.backends.sqlite.log.summing.marks import has_unsummed
from hivecost.errors import StoreLockedError
from hivecost.events import Event

T = TypeVar("T")


class RuntimeLog:
    """Blocking; every method is called under the OS lock, and raises StoreErrors and sqlite3.Error.

    From `open` to `close` it is one file: raises StoreMovedError when that is not where it was.
    """

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path
        self._path = database_path(base_path)
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None
        self._checkpointed_bytes = 0
        #: How long to gather events before the next commit.
        self.rest_s = 0.0
        #: Whether a migration left rows to be moved.
        self.has_old_rows = False
        #: Whether there may have been hours to sum when it was opened.
        self.has_unsummed = False

    def open(self) -> sqlite3.Connection:
        """Return the open connection; opening makes and migrates the database."""
        if self._connection is None:
            self._connection = open_writer(self._base_path, same_as=self._identity)
            self.has_old_rows = has_old_rows(self._connection)
            self.has_unsummed = has_unsummed(self._connection)
        if self._identity is None:
            self._identity = identity_of(self._path)
        return self._connection

    def append(self, events: Sequence[Event]) -> Appended:
        """Commit the events and their sums."""
        return self._commit(lambda connection: append(connection, events))

    def append_once(self, events: Sequence[Event]) -> Appended:
        """Append the events, and close the connection."""
        try:
            return self.append(events)
        finally:
            self.close()

    def move_slice(self) -> None:
        """Move some of the rows that a migration left."""
        self.has_old_rows = self.commit(move_slice)

    def commit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in a transaction, and commit it."""
        return self._commit(partial(_in_transaction, work=work))

    def _commit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work, which commits what it does."""
        if self._identity is not None:
            require_same(self._path, self._identity)
        connection = self.open()
        try:
            if self.rest_s:
                require_wal_room(connection, self._path)
            result = work(connection)
            self._checkpointed_bytes = checkpoint_if_grown(connection, self._path, self._checkpointed_bytes)
        except StoreLockedError:
            raise
        except BaseException:
            self._disconnect()
            raise
        self.rest_s = rest_between_commits_s(wal_bytes(self._path))
        return result

    def close(self) -> None:
        """Close the connection, if one is open; SQLite may checkpoint now."""
        self._identity = None
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    begin(connection)
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result
