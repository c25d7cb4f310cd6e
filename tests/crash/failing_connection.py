"""SQLite connections whose n-th statement fails, by the name of the fault."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager

FAULTS = {
    "disk full": ("database or disk is full", sqlite3.SQLITE_FULL),
    "disk fails": ("disk I/O error", sqlite3.SQLITE_IOERR),
    "locked": ("database is locked", sqlite3.SQLITE_BUSY),
    "cannot open": ("unable to open database file", sqlite3.SQLITE_CANTOPEN),
}


def sqlite_error(fault):
    """As SQLite raises it."""
    message, code = FAULTS[fault]
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


class FailingConnection(sqlite3.Connection):
    """Asks `before` what to do with each statement, and tells `after` of what was done."""

    before = after = staticmethod(lambda sql: None)

    def execute(self, sql, *parameters):
        type(self).before(sql)
        cursor = super().execute(sql, *parameters)
        type(self).after(sql)
        return cursor


@contextmanager
def failing_connections():
    """All that are opened meanwhile are of the class that this gives."""

    class Connection(FailingConnection):
        pass

    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Connection, **options)
    try:
        yield Connection
    finally:
        sqlite3.connect = connect


@contextmanager
def fault_at(connections, *, fault, number=0, once_done=False):
    """The statement of this number, from 1 on, fails; with `once_done`, every COMMIT is durable, and fails."""
    left = number

    def before(sql):
        nonlocal left
        left -= 1
        if left == 0:
            raise sqlite_error(fault)

    def after(sql):
        if once_done and sql == "COMMIT":
            raise sqlite_error(fault)

    connections.before, connections.after = staticmethod(before), staticmethod(after)
    try:
        yield
    finally:
        connections.before = connections.after = staticmethod(lambda sql: None)
