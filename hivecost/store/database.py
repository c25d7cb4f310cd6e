"""Opening `<base_path>/hivecost.db`, to write and to read.

Nothing here may open the file with `open()`: closing it would drop the POSIX locks that SQLite holds on it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from pathlib import Path
from typing import Final
from urllib.parse import quote

from hivecost.errors import StoreUnusablePathError, StoreVersionError
from hivecost.store.faults import named_faults
from hivecost.store.schema import check_version, latest_version, migrate

DATABASE_NAME: Final = "hivecost.db"

#: How long SQLite waits for a stranger's lock; our own writers take turns on the OS lock instead.
_BUSY_TIMEOUT_S: Final = 5.0
#: The WAL goes back into the database when it has grown by this much.
_CHECKPOINT_BYTES: Final = 8 * 2**20


def database_path(base_path: Path) -> Path:
    """Where the runtime log of this base path is."""
    return base_path / DATABASE_NAME


def is_file(path: Path) -> bool:
    """Whether there is one. Raises OSError for a folder, and for a path that leads through a file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return True


def wal_bytes(path: Path) -> int:
    """The size of the write-ahead log beside the database; 0 when there is none."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def open_writer(base_path: Path) -> sqlite3.Connection:
    """A connection to the migrated database; open it, use it and close it under the OS lock.

    Raises StoreErrors and sqlite3.Error. A file that is not ours, or newer than we are, is left as it is.
    """
    path = database_path(base_path)
    if is_file(path):
        # Read-only first: a connection that may write could change the file even by closing it.
        _connect_read_only(path).close()
    connection = _connect(path, mode="rwc")
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreUnusablePathError(f"{path}: its file system cannot hold a write-ahead log; use a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        # SQLite before 3.51.3 can corrupt a WAL that is reset while another connection writes; we checkpoint by hand.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        migrate(connection, check_version(connection, path))
        # SQLite opens a file that may not be written all the same, and says so at the first write only.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version = {latest_version()}")
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(base_path: Path) -> sqlite3.Connection:
    """A read-only connection that stands in one snapshot. A database that is missing or still empty reads as empty.

    Raises StoreErrors.
    """
    path = database_path(base_path)
    with named_faults(path):
        if not is_file(path):
            return _empty()
        connection = _connect_read_only(path)
        version = check_version(connection, path)
        if version == latest_version():
            return connection
        connection.close()
        if version == 0:
            return _empty()
    raise StoreVersionError(f"{path}: has the older version {version}; open it once with hivecost.Store to migrate it")


def checkpoint_if_grown(connection: sqlite3.Connection, path: Path, grown_from_bytes: int) -> int:
    """Move the WAL into the database if it grew enough since `grown_from_bytes`; gives the size to grow from next.

    Readers are never waited for: what they still need stays in the WAL until the next time.
    """
    size_bytes = wal_bytes(path)
    if size_bytes < grown_from_bytes + _CHECKPOINT_BYTES:
        return min(size_bytes, grown_from_bytes)
    connection.execute("PRAGMA busy_timeout = 0")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_TIMEOUT_S * 1000)}")
    return wal_bytes(path)


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_TIMEOUT_S, cached_statements=256
    )


def _connect_read_only(path: Path) -> sqlite3.Connection:
    try:
        return _begun(_connect(path, mode="ro"), path)
    except sqlite3.OperationalError as error:
        # In a folder that cannot be written, SQLite cannot make the shared memory that a WAL is read through.
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if wal_bytes(path):
            raise StoreUnusablePathError(
                f"{path}: has a write-ahead log that cannot be read in a read-only folder; "
                "copy hivecost.db and hivecost.db-wal to a writable folder and read them there"
            ) from error
        return _begun(_connect(path, mode="ro&immutable=1"), path)


def _begun(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """The connection inside its read transaction, after a look at the file."""
    try:
        connection.execute("BEGIN")
        check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection, 0)
    return connection
