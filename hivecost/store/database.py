"""Opening `<base_path>/hivecost.db`, to write and to read.

Nothing here may open a file that SQLite may have open: closing it would drop the POSIX locks that SQLite holds on it.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import stat
from pathlib import Path
from typing import Final
from urllib.parse import quote

from hivecost.errors import StoreLockedError, StoreMovedError, StoreUnusablePathError, StoreVersionError
from hivecost.private_files import make_private_file
from hivecost.store.faults import is_transient, named_faults, to_store_error
from hivecost.store.liveness import gone_from
from hivecost.store.schema import check_version, latest_version, migrate

_log = logging.getLogger(__name__)

DATABASE_NAME: Final = "hivecost.db"

#: The device of a file, and its number there.
Identity = tuple[int, int]

_PUT_BACK: Final = "put the data folder back where it was, or start what uses it anew"

#: How long SQLite waits for a stranger's lock; our own writers take turns on the OS lock instead.
_BUSY_TIMEOUT_S: Final = 5.0
#: What closing the database may take when all the time for closing is used up.
CLOSE_GRACE_S: Final = 1.0
#: The WAL goes back into the database when it has grown by this much.
_CHECKPOINT_BYTES: Final = 8 * 2**20
#: From here on it is said, at each doubling, that a reader keeps the WAL from going back.
_WAL_LARGE_BYTES: Final = 64 * 2**20
#: From here on the log is not written until that reader ends: what it would take to wait for it has no bound.
_WAL_FULL_BYTES: Final = 2**30
#: What SQLite's rollback journal starts with when it is complete.
_JOURNAL_MAGIC: Final = bytes.fromhex("d9d505f920a163d7")


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
        return os.stat(f"{path}-wal").st_size  # noqa: PTH116  # after every commit; a Path takes longer to make
    except FileNotFoundError:
        return 0


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
    """A connection to the migrated database; open it, use it and close it under the OS lock.

    With `same_as` it must be that file. Raises StoreErrors and sqlite3.Error. A file that is not ours, or newer than we
    are, is left as it is.
    """
    path = database_path(base_path)
    if same_as is not None:
        require_same(path, same_as)
    if is_file(path) and not _is_half_made(path):
        # Read-only first: a connection that may write could change the file even by closing it.
        _connect_read_only(path).close()
    # SQLite would make it readable for everybody; its -wal and -shm get the mode that it has.
    make_private_file(path)
    connection = _connect(path, mode="rwc")
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
    """A read-only connection that stands in one snapshot. A database that is missing or still empty reads as empty.

    Its SQL function `is_gone(runtime_id)` says whether the process of a runtime is gone. Raises StoreErrors.
    """
    is_gone = gone_from(base_path)
    connection = _open_snapshot(base_path)
    connection.create_function("is_gone", 1, is_gone)
    return connection


def _open_snapshot(base_path: Path) -> sqlite3.Connection:
    path = database_path(base_path)
    with named_faults(path):
        if not is_file(path) or _is_half_made(path):
            return _empty()
        connection = _connect_read_only(path)
        version = check_version(connection, path)
        if version == latest_version():
            return connection
        connection.close()
        if version == 0:
            return _empty()
    raise StoreVersionError(
        f"{path}: has the older version {version}; a runtime that starts there brings it up to date"
    )


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
    connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_TIMEOUT_S * 1000)}")
    return wal_bytes(path)


def require_wal_room(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreLockedError while a long reader has made the write-ahead log so large that it must not grow more."""
    if wal_bytes(path) >= _WAL_FULL_BYTES and _checkpoint(connection, path) >= _WAL_FULL_BYTES:
        raise StoreLockedError(
            f"{path}: its write-ahead log has {_WAL_FULL_BYTES // 10**6:,} MB, because some program reads the database "
            "in one long transaction (a sqlite3 shell, a backup, a dashboard); nothing is logged until that ends"
        )


def rest_between_commits_s(wal_size_bytes: int) -> float:
    """How long to gather events before the next commit: the larger the write-ahead log is, the rarer it is added to."""
    return min(1.0, 0.1 * (wal_size_bytes // _WAL_LARGE_BYTES))


def _is_half_made(path: Path) -> bool:
    """Whether SQLite's first write to the file was cut short: its journal says that there was nothing before.

    A connection that may write makes the file empty again; until then no other can read it.
    """
    try:
        header = path.with_name(f"{path.name}-journal").read_bytes()[:20]
    except FileNotFoundError:
        return False
    return header.startswith(_JOURNAL_MAGIC) and header[16:] == bytes(4)


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_TIMEOUT_S, cached_statements=256
    )
    # A file may be a stranger's: what its schema calls may not reach further than the file.
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


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
    except BaseException as error:
        connection.close()
        if isinstance(error, UnicodeDecodeError):  # here, because only who reads the schema first meets its names
            raise to_store_error(error, path) from error
        raise
    return connection


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection, 0, Path(":memory:"))
    return connection
