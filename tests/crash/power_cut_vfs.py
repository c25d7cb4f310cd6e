"""SQLite on a `Disk`: an apsw file system layer, and connections that look like those of the standard library."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress

import apsw

from hivecost.backends.sqlite import database

_NAME = "power-cut"
#: SQLite syncs the folder with the first sync of these, if it may have made them.
_SYNC_FOLDER = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL


class DiskVFS(apsw.VFS):
    """Files as always, and every change told to the disk. Nothing is really synced, which would only take time."""

    def __init__(self, disk):
        super().__init__(_NAME, "")
        self._disk = disk

    def xOpen(self, name, flags):  # noqa: N802  # SQLite's names
        # A file without a name is SQLite's scratch paper, and no power cut leaves anything of it.
        return DiskFile(name, flags, self._disk) if name else apsw.VFSFile("", name, flags)

    def xDelete(self, name, sync_folder):  # noqa: N802
        self._disk.delete(name, with_folder=sync_folder)
        super().xDelete(name, sync_folder)


class DiskFile(apsw.VFSFile):
    def __init__(self, name, flags, disk):
        super().__init__("", name, flags)
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._file = disk.open(path)
        self._syncs_folder = bool(flags[0] & _SYNC_FOLDER and flags[0] & apsw.SQLITE_OPEN_CREATE)

    def xWrite(self, data, offset):  # noqa: N802
        self._disk.write(self._file, offset, data)
        super().xWrite(data, offset)

    def xTruncate(self, size):  # noqa: N802
        self._disk.truncate(self._file, size)
        super().xTruncate(size)

    def xSync(self, flags):  # noqa: N802
        self._disk.sync(self._file, with_folder=self._syncs_folder)
        self._syncs_folder = False


class Rows:
    """What a statement gave, as a cursor of sqlite3 shows it."""

    def __init__(self, rows, rowcount, lastrowid):
        self._rows = iter(rows)
        self.rowcount = rowcount
        self.lastrowid = lastrowid

    def __iter__(self):
        return self._rows

    def fetchone(self):
        return next(self._rows, None)

    def fetchall(self):
        return list(self._rows)


class Connection:
    """As much of a `sqlite3.Connection` as the store uses; `synchronous` is what it gets when it asks for FULL."""

    def __init__(self, path, synchronous):
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        self._apsw = apsw.Connection(str(path), flags=flags, vfs=_NAME)
        self._synchronous = synchronous

    @property
    def in_transaction(self):
        return self._apsw.in_transaction

    def execute(self, sql, parameters=()):
        if sql == "PRAGMA synchronous = FULL":
            sql = f"PRAGMA synchronous = {self._synchronous}"
        return self._run(self._apsw.execute, sql, parameters)

    def executemany(self, sql, parameters):
        return self._run(self._apsw.executemany, sql, parameters)

    def executescript(self, sql):
        return self._run(self._apsw.execute, sql, None)

    def set_authorizer(self, authorizer):
        self._apsw.set_authorizer(authorizer)

    def rollback(self):
        self.execute("ROLLBACK")

    def close(self):
        # SQLite overlooks that the checkpoint on closing failed, and apsw raises it.
        with suppress(apsw.Error):
            self._apsw.close()

    def _run(self, how, sql, parameters):
        before = self._apsw.total_changes()
        try:
            rows = how(sql, parameters).fetchall()
        except apsw.Error as error:
            raise _as_sqlite3(error) from error
        return Rows(rows, self._apsw.total_changes() - before, self._apsw.last_insert_rowid())


def _as_sqlite3(error):
    kinds = {apsw.ConstraintError: sqlite3.IntegrityError, apsw.CorruptError: sqlite3.DatabaseError}
    named = kinds.get(type(error), sqlite3.OperationalError)(str(error))
    named.sqlite_errorcode = error.extendedresult
    return named


@contextmanager
def mounted(disk, synchronous="FULL"):
    """Meanwhile the store writes to this disk.

    What only reads goes past it: SQLite overlooks a lock that a read-only file cannot take, and apsw raises it.
    """
    connect = database.connect

    def connect_to_disk(path, *, mode):
        return Connection(path, synchronous) if mode == "rwc" else connect(path, mode=mode)

    database.connect = connect_to_disk
    layer = DiskVFS(disk)
    try:
        yield
    finally:
        layer.unregister()
        database.connect = connect
