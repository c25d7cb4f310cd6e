"""Opening `<base_path>/hivecost.db` to read: in one snapshot, and without a library that takes time to import.

Nothing here may open a file that SQLite may have open: closing it would drop the POSIX locks that SQLite holds on it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from hivecost.backends.sqlite.backfill import see_old_rows
from hivecost.backends.sqlite.faults import named_faults, to_store_error
from hivecost.backends.sqlite.liveness import gone_from
from hivecost.backends.sqlite.schema import check_version, latest_version
from hivecost.errors import ConfigError, StoreUnusablePathError, StoreVersionError
from hivecost.plain_text import encodable

DATABASE_NAME: Final = "hivecost.db"

#: How long SQLite waits for a stranger's lock; our own writers take turns on the OS lock instead.
BUSY_TIMEOUT_S: Final = 5.0
#: What SQLite's rollback journal starts with when it is complete.
_JOURNAL_MAGIC: Final = bytes.fromhex("d9d505f920a163d7")


def database_path(base_path: Path) -> Path:
    """Return where the runtime log of this base path is."""
    return base_path / DATABASE_NAME


def is_file(path: Path) -> bool:
    """Tell whether there is a file. Raise OSError for a folder, and for a path that leads through a file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return True


def wal_bytes(path: Path) -> int:
    """Return the size of the write-ahead log beside the database; 0 when there is none."""
    try:
        return os.stat(f"{path}-wal").st_size  # noqa: PTH116  # after every commit; a Path takes longer to make
    except FileNotFoundError:
        return 0


def is_half_made(path: Path) -> bool:
    """Tell whether SQLite's first write to the file was cut short: by its journal, nothing was there before.

    A connection that may write makes the file empty again; until then no other can read it.
    """
    try:
        header = path.with_name(f"{path.name}-journal").read_bytes()[:20]
    except FileNotFoundError:
        return False
    return header.startswith(_JOURNAL_MAGIC) and header[16:] == bytes(4)


def connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """Return a connection in this mode of SQLite: `ro`, `rwc`. Raise sqlite3.Error."""
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S, cached_statements=256
    )
    # A file may be a stranger's: what its schema calls may not reach further than the file.
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Return a read-only connection inside its read transaction. Raise StoreErrors and sqlite3.Error."""
    try:
        return _begun(connect(path, mode="ro"), path)
    except sqlite3.OperationalError as error:
        # In a folder that cannot be written, SQLite cannot make the shared memory that a WAL is read through.
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if wal_bytes(path):
            raise StoreUnusablePathError(
                f"{path}: has a write-ahead log that cannot be read in a read-only folder; "
                "copy hivecost.db and hivecost.db-wal to a writable folder and read them there"
            ) from error
        return _begun(connect(path, mode="ro&immutable=1"), path)


def _begun(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Begin the connection's read transaction, check the file, and return the connection."""
    try:
        connection.execute("BEGIN")
        check_version(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, UnicodeDecodeError):  # here, because only who reads the schema first meets its names
            raise to_store_error(error, path) from error
        raise
    return connection


def open_snapshot(base_path: Path) -> sqlite3.Connection | None:
    """Return a read-only connection that stands in one snapshot; None for a database that is missing or still empty.

    Its SQL function `is_gone(runtime_id)` says whether the process of a runtime is gone. Raise StoreErrors.
    """
    is_gone = gone_from(base_path)
    path = database_path(base_path)
    with named_faults(path):
        if not is_file(path) or is_half_made(path):
            return None
        connection = connect_read_only(path)
        version = check_version(connection, path)
        if version == latest_version():
            connection.create_function("is_gone", 1, is_gone)
            see_old_rows(connection)
            return connection
        connection.close()
        if version == 0:
            return None
    raise StoreVersionError(
        f"{path}: has the older version {version}; a runtime that starts there brings it up to date"
    )


def require_text(parameters: Mapping[str, Any]) -> None:
    """Raise ConfigError, naming the parameter, for a text that no database can hold."""
    for name, value in parameters.items():
        if isinstance(value, str) and encodable(value) != value:
            raise ConfigError(name, "text: this has bytes or halves of letters that are no UTF-8", got=value)
