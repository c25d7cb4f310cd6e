"""What went wrong with a file, as the StoreError that names the file and the way out."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hivecost.errors import StoreCorruptError, StoreError, StoreLockedError, StoreUnusablePathError

_REPLACE: Final = "move it away (a new one is made), or restore a backup"

#: Primary SQLite result code → the error and the way out.
_BY_SQLITE_CODE: Final[dict[int, tuple[type[StoreError], str]]] = {
    sqlite3.SQLITE_BUSY: (StoreLockedError, "end the other program that writes to it, or use another base path"),
    sqlite3.SQLITE_LOCKED: (StoreLockedError, "end the other program that writes to it, or use another base path"),
    sqlite3.SQLITE_CORRUPT: (StoreCorruptError, _REPLACE),
    sqlite3.SQLITE_NOTADB: (StoreCorruptError, _REPLACE),
    sqlite3.SQLITE_FULL: (StoreUnusablePathError, "make room on its disk"),
    sqlite3.SQLITE_READONLY: (StoreUnusablePathError, "make the file and its folder writable"),
    sqlite3.SQLITE_PERM: (StoreUnusablePathError, "make the file and its folder writable"),
    sqlite3.SQLITE_CANTOPEN: (StoreUnusablePathError, "make the file and its folder readable and writable"),
    sqlite3.SQLITE_IOERR: (StoreError, "its disk failed; look at the system's log"),
}

#: errno → the way out.
_BY_ERRNO: Final = {
    errno.ENOTDIR: "a part of the path is a file; use a folder as base path",
    errno.EEXIST: "it is a file; use a folder as base path",
    errno.EISDIR: "it is a folder; move it away",
    errno.ELOOP: "it is a symbolic link, which is not followed here; remove it",
    errno.EINVAL: "move it away",
    errno.EFBIG: "move it away",
    errno.EACCES: "make the folder writable, or use another base path",
    errno.EPERM: "make the folder writable, or use another base path",
    errno.EROFS: "its disk is read-only; use another base path",
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "the disk quota is used up; make room",
    errno.EAGAIN: "end other programs, or raise the limits of threads and processes",
}

#: SQL that is tested, and a file that lacks what it names.
_LACKING: Final = re.compile("no such (table|column)|has no column named")

_TRANSIENT_SQLITE_CODES: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
)
_TRANSIENT_ERRNOS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE}
)


def to_store_error(error: sqlite3.Error | OSError | UnicodeDecodeError, path: Path) -> StoreError:
    """Return the named error for what SQLite or the system said about `path`."""
    if isinstance(error, UnicodeDecodeError):
        # SQLite's own message, which quotes names from a damaged schema.
        return StoreCorruptError(f"{path}: its schema is damaged; {_REPLACE}")
    if isinstance(error, OSError):
        way_out = _BY_ERRNO.get(error.errno or 0, "use another base path")
        return StoreUnusablePathError(f"{error.filename or path}: {error.strerror or error}; {way_out}")
    kind, way_out = _BY_SQLITE_CODE.get(_primary_code(error), (StoreError, "this is a fault of hivecost; report it"))
    return kind(f"{path}: {error}; {way_out}")


def is_transient(error: sqlite3.Error | OSError) -> bool:
    """Tell whether trying the same again may work: a full or failing disk, a lock held by a stranger."""
    if isinstance(error, OSError):
        return error.errno in _TRANSIENT_ERRNOS
    return _primary_code(error) in _TRANSIENT_SQLITE_CODES


@contextmanager
def named_faults(path: Path) -> Iterator[None]:
    """Raise StoreErrors instead of what SQLite and the system raise."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise to_store_error(error, path) from error


def _primary_code(error: sqlite3.Error) -> int:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Python itself found text that is no UTF-8; hivecost never writes such text.
        return sqlite3.SQLITE_CORRUPT if str(error).startswith("Could not decode") else sqlite3.SQLITE_ERROR
    if code == sqlite3.SQLITE_ERROR and _LACKING.search(str(error)):
        return sqlite3.SQLITE_CORRUPT
    return int(code) & 0xFF
