"""Opening `<base_path>/hivecost.db` to write, and to read a folder without a log as an empty one.

Nothing here may open a file that SQLite may have open: closing it would drop the POSIX locks that SQLite holds on it.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.faults import is_transient, to_store_error
from hivecost.backends.sqlite.schema import check_version, latest_version, migrate
from hivecost.backends.sqlite.snapshot import (
    BUSY_TIMEOUT_S,
    connect,
    connect_read_only,
    database_path,
    is_file,
    is_half_made,
    open_snapshot,
    wal_bytes,
)
from hivecost.errors import StoreLockedError, StoreMovedError, StoreUnusablePathError, StoreVersionError
from hivecost.private_files import make_private_file

__all__ = [
    "CLOSE_GRACE_S",
    "Identity",
    "begin",
    "checkpoint_if_grown",
    "database_path",
    "identity_of",
    "is_file",
    "open_reader",
    "open_writer",
    "require_same",
    "require_wal_room",
    "rest_between_commits_s",
    "wal_bytes",
]

_log = logging.getLogger(__name__)

#: The device of a file, and its number there.
Identity = tuple[int, int]

_PUT_BACK: Final = "put the data folder back where it was, or start what uses it anew"

#: What closing the database may take when all the time for closing is used up.
CLOSE_GRACE_S: Final = 1.0
#: The WAL goes back into the database when it has grown by this much.
_CHECKPOINT_BYTES: Final = 8 * 2**20
#: From here on it is said, at each doubling, that a reader keeps the WAL from going back.
_WAL_LARGE_BYTES: Final = 64 * 2**20
#: From here on the log is not written until that reader ends: what it would take to wait for it has no bound.
_WAL_FULL_BYTES: Final = 2**30


def identity_of(path: Path) -> Identity:
    """Tell which file is there now. Raise StoreMovedError when none is, and OSError when the disk does not say."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreMovedError(f"{path}: is gone ({error.strerror}); {_PUT_BACK}") from error
    return status.st_dev, status.st_ino


def require_same(path: Path, identity: Identity) -> None:
    """Raise StoreMovedError when another file is there now, or none: who opens it next would not see our commits."""
    if identity_of(path) != identity:
        raise StoreMovedError(f"{path}: was replaced by another file while it was open; {_PUT_BACK}")


def begin(connection: sqlite3.Connection) -> None:
    """Begin to write. Raise StoreVersionError when a newer hivecost has migrated the database meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != latest_version():
        connection.execute("ROLLBACK")
        _, _, path = connection.execute("PRAGMA database_list").fetchone()
        raise StoreVersionError(
            f"{path}: was brought to version {version} while it was open, this hivecost writes {latest_version()}; "
            "end this process, and start it again with the newer hivecost"
        )


def open_writer(base_path: Path, *, same_as: Identity | None = None) -> sqlite3.Connection:
    """Connect to the migrated database; open the connection, use it and close it under the OS lock.

    With `same_as` it must be that file. Raise StoreErrors and sqlite3.Error. A file that is not ours, or newer than we
    are, is left as it is.
    """
    path = database_path(base_path)
    if same_as is not None:
        require_same(path, same_as)
    if is_file(path) and not is_half_made(path):
        # Read-only first: a connection that may write could change the file even by closing it.
        connect_read_only(path).close()
    # SQLite would make it readable for everybody; its -wal and -shm get the mode that it has.
    make_private_file(path)
    connection = connect(path, mode="rwc")
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreUnusablePathError(f"{path}: its file system cannot hold a write-ahead log; use a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        # SQLite before 3.51.3 can corrupt a WAL that is reset while another connection writes; we checkpoint by hand.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        # What a reader made it grow to, the WAL would keep when it is written from its start again.
        connection.execute(f"PRAGMA journal_size_limit = {_CHECKPOINT_BYTES}")
        migrate(connection, check_version(connection, path), path)
        # SQLite opens a file that may not be written all the same, and says so at the first write only.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version = {latest_version()}")
        connection.execute("ROLLBACK")
    except BaseException as error:
        connection.close()
        if isinstance(error, UnicodeDecodeError):  # a check or a default that cannot be read: only writers look at it
            raise to_store_error(error, path) from error
        raise
    return connection


def open_reader(base_path: Path) -> sqlite3.Connection:
    """Open a read-only connection that sees one snapshot. A database that is missing or still empty reads as empty.

    Its SQL function `is_gone(runtime_id)` says whether the process of a runtime is gone. Raise StoreErrors.
    """
    connection = open_snapshot(base_path)
    if connection is None:
        connection = _empty()
        connection.create_function("is_gone", 1, lambda _: False)
    return connection


def checkpoint_if_grown(connection: sqlite3.Connection, path: Path, grown_from_bytes: int) -> int:
    """Move the WAL into the database if it grew enough since `grown_from_bytes`; gives the size to grow from next.

    Readers are never waited for: what they still need stays in the WAL until the next time. So does what the disk has
    no room for: it is committed all the same.
    """
    size_bytes = wal_bytes(path)
    if size_bytes < grown_from_bytes + _CHECKPOINT_BYTES:
        return min(size_bytes, grown_from_bytes)
    left_bytes = _checkpoint(connection, path)
    if left_bytes.bit_length() > max(grown_from_bytes, _WAL_LARGE_BYTES - 1).bit_length():
        _log.warning(
            "%s: its write-ahead log has %d MB and grows, because some program reads the database in one long "
            "transaction (a sqlite3 shell, a backup, a dashboard); it shrinks when that ends",
            path,
            left_bytes // 10**6,
        )
    return left_bytes


def _checkpoint(connection: sqlite3.Connection, path: Path) -> int:
    """Move what can be moved of the WAL into the database, and return the size that is left."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.OperationalError as error:
        if not is_transient(error):
            raise
        _log.warning("%s: its write-ahead log grows, it cannot be moved into the database: %s", path, error)
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    return wal_bytes(path)


def require_wal_room(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreLockedError while a long reader has made the write-ahead log so large that it must not grow more."""
    if wal_bytes(path) >= _WAL_FULL_BYTES and _checkpoint(connection, path) >= _WAL_FULL_BYTES:
        raise StoreLockedError(
            f"{path}: its write-ahead log has {_WAL_FULL_BYTES // 10**6:,} MB, because some program reads the database "
            "in one long transaction (a sqlite3 shell, a backup, a dashboard); nothing is logged until that ends"
        )


def rest_between_commits_s(wal_size_bytes: int) -> float:
    """Return how long to gather events before the next commit.

    The larger the write-ahead log is, the less often it is added to.
    """
    return min(1.0, 0.1 * (wal_size_bytes // _WAL_LARGE_BYTES))


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection, 0, Path(":memory:"))
    return connection
