"""Every foreign error has its name, its file and a way out."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from hivecost.backends.sqlite.faults import is_transient, named_faults, to_store_error
from hivecost.errors import StoreCorruptError, StoreError, StoreLockedError, StoreUnusablePathError

PATH = Path("/data/hivecost.db")


def sqlite_error(code):
    error = sqlite3.OperationalError("said by SQLite")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind", "transient"),
    [
        (sqlite3.SQLITE_BUSY, StoreLockedError, True),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreLockedError, True),
        (sqlite3.SQLITE_LOCKED, StoreLockedError, True),
        (sqlite3.SQLITE_CORRUPT, StoreCorruptError, False),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreCorruptError, False),
        (sqlite3.SQLITE_NOTADB, StoreCorruptError, False),
        (sqlite3.SQLITE_FULL, StoreUnusablePathError, True),
        (sqlite3.SQLITE_READONLY, StoreUnusablePathError, False),
        (sqlite3.SQLITE_PERM, StoreUnusablePathError, False),
        (sqlite3.SQLITE_CANTOPEN, StoreUnusablePathError, False),
        (sqlite3.SQLITE_IOERR_WRITE, StoreError, True),
        (sqlite3.SQLITE_ERROR, StoreError, False),
    ],
)
def test_sqlite_errors_are_named(code, kind, transient):
    """Extended codes count as what they extend."""
    error = sqlite_error(code)
    named = to_store_error(error, PATH)
    assert type(named) is kind
    assert str(named).startswith(f"{PATH}: said by SQLite; ")
    assert is_transient(error) is transient


@pytest.mark.parametrize(
    ("number", "transient"),
    [(errno.ENOTDIR, False), (errno.EEXIST, False), (errno.EACCES, False), (errno.EROFS, False), (errno.ENOSPC, True)],
)
def test_errors_of_the_system_are_named(number, transient):
    """With the file the system names."""
    error = OSError(number, "said by the system", "/data/hivecost.lock")
    named = to_store_error(error, PATH)
    assert type(named) is StoreUnusablePathError
    assert str(named).startswith("/data/hivecost.lock: said by the system; ")
    assert is_transient(error) is transient


def test_text_that_is_none_is_corruption():
    """Python says it without a code."""
    connection = sqlite3.connect(":memory:")
    try:
        with pytest.raises(StoreCorruptError), named_faults(PATH):
            connection.execute("SELECT CAST(x'ff' AS TEXT)").fetchall()
    finally:
        connection.close()


def test_a_message_that_is_no_text_is_corruption():
    """SQLite quotes names from a damaged schema, and Python cannot decode them."""
    with pytest.raises(StoreCorruptError, match="its schema is damaged; move it away"), named_faults(PATH):
        b"\xb3".decode()


@pytest.mark.parametrize(
    "missing", ["SELECT 1 FROM turns", "SELECT model FROM made", "INSERT INTO made (model) VALUES (1)"]
)
def test_tables_that_are_not_those_of_the_version_are_corruption(missing):
    """The SQL is tested: it is the file that lacks something."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE made (id)")
        with pytest.raises(StoreCorruptError, match="move it away"), named_faults(PATH):
            connection.execute(missing)
    finally:
        connection.close()


def test_other_errors_pass():
    """A mistake in the caller's code is not the store's fault."""
    with pytest.raises(ValueError, match="mine"), named_faults(PATH):
        raise ValueError("mine")
