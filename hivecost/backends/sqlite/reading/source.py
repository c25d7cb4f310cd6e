"""Where a reader has its rows from: statements run against the database as it stands, and whether it has changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.snapshot import (
    connect_read_only,
    database_path,
    is_file,
    is_half_made,
    open_snapshot,
    require_text,
)
from hivecost.backends.sqlite.statements import READING, statements

Row = tuple[Any, ...]
#: The place before the first of what is read from the newest on: later than any log goes.
FROM_THE_NEWEST: Final = {"after_ns": 2**63 - 1, "after_id": 0}


class Source:
    """Runs statements, each on a connection and in a snapshot of its own; a database that is missing has no rows."""

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path
        self.path = database_path(base_path)

    def rows(self, name: str, parameters: Mapping[str, Any], **places: str) -> list[Row]:
        """Return the rows of a statement of `reading.sql`, its `{places}` filled. Raise what `select` raises."""
        return self.select(statements(READING)[name].format(**places), parameters)

    def select(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Return the rows of a statement. Raise StoreErrors, and ConfigError for a text that no database can hold."""
        require_text(parameters)
        with self._opened() as connection, named_faults(self.path):
            return [] if connection is None else connection.execute(sql, parameters).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Source]:
        """Give a source whose rows are all of one instant. Raise StoreErrors."""
        with self._opened() as connection:
            yield _Snapshot(self._base_path, connection)

    def _opened(self) -> AbstractContextManager[sqlite3.Connection | None]:
        return _opened(self._base_path)


class _Snapshot(Source):
    """The same over one connection, which whoever opened it closes."""

    def __init__(self, base_path: Path, connection: sqlite3.Connection | None) -> None:
        super().__init__(base_path)
        self._connection = connection

    def _opened(self) -> AbstractContextManager[sqlite3.Connection | None]:
        return nullcontext(self._connection)


@contextmanager
def _opened(base_path: Path) -> Iterator[sqlite3.Connection | None]:
    connection = open_snapshot(base_path)
    try:
        yield connection
    finally:
        if connection is not None:
            connection.close()


class Watch:
    """A connection that is kept to see the commits of others, outside any transaction: nobody waits for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)
        #: How many were opened: each counts commits from its own beginning.
        self._number = 0

    def version(self) -> str:
        """Return the version of a `LogReader`; "" while there is no database. Raise StoreErrors."""
        with named_faults(self._path):
            if not is_file(self._path) or is_half_made(self._path):
                self.close()
                return ""
            status = self._path.stat()
            if self._connection is None or self._identity != (status.st_dev, status.st_ino):
                self.close()
                self._connection = connect_read_only(self._path)
                self._connection.execute("COMMIT")
                self._identity = status.st_dev, status.st_ino
                self._number += 1
            (commits,) = self._connection.execute("PRAGMA data_version").fetchone()
        return f"{self._number}.{commits}"

    def close(self) -> None:
        """Close the connection; the next version opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
