"""Whose database it is, which version it has, and how it gets to ours: numbered migrations."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.backfill import DROP_OLD
from hivecost.backends.sqlite.file_locks import holder_of, is_lock_name, is_locked
from hivecost.errors import StoreError, StoreUnusablePathError, StoreVersionError

#: "hive" in ASCII: `file hivecost.db` and SQLite's tools can tell whose it is.
APPLICATION_ID: Final = 0x68697665

#: The version that brought the ledger's tables.
_FIRST_WITH_LEDGER: Final = 3

#: STRICT tables, without which a sum past 64 bits would silently become a float.
_SQLITE_VERSION_MIN: Final = (3, 37, 0)

#: Whatever is not an ordinary table or index, as SQLite itself writes them down.
_STRANGE: Final = """
    SELECT iif(sql GLOB 'CREATE VIRTUAL*', 'virtual table', type), name FROM sqlite_master
    WHERE sql NOT GLOB 'CREATE TABLE *' AND sql NOT GLOB 'CREATE INDEX *' AND sql NOT GLOB 'CREATE UNIQUE INDEX *'
    LIMIT 1"""


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Return (version, SQL) of every migration, in order."""
    files = sorted((Path(__file__).parent / "migrations").glob("*.sql"))
    return tuple((int(file.name[:4]), file.read_text(encoding="utf-8")) for file in files)


def latest_version() -> int:
    """Return the version that this hivecost reads and writes."""
    return migrations()[-1][0]


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the database's version; 0 for one that is still empty.

    Raise StoreVersionError for a newer one, StoreUnusablePathError for another program's and for one with triggers,
    views or virtual tables, StoreError for a SQLite that is too old.
    """
    if sqlite3.sqlite_version_info < _SQLITE_VERSION_MIN:
        raise StoreError(f"Python's SQLite is {sqlite3.sqlite_version}, hivecost needs 3.37; use a newer Python build")
    application_id, version = connection.execute(
        "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application_id != APPLICATION_ID:
        if application_id or version or connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            raise StoreUnusablePathError(f"{path}: is another program's database; use another base path")
        return 0
    if version > latest_version():
        raise StoreVersionError(
            f"{path}: has version {version}, this hivecost knows up to {latest_version()}; upgrade hivecost"
        )
    _require_plain_schema(connection, path)
    return int(version)


def _require_plain_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreUnusablePathError for what hivecost never makes and SQLite would obey: triggers, views and such.

    Ordinary tables and indexes may have been added: with `trusted_schema = OFF` their expressions reach no further.
    """
    strange = connection.execute(_STRANGE).fetchone()
    if strange is not None:
        raise StoreUnusablePathError(
            f"{path}: has a {strange[0]} {strange[1]!r:.100}, which hivecost did not make and does not obey; "
            "drop it if you know what it is for, or use another base path"
        )


def migrate(connection: sqlite3.Connection, version: int, path: Path) -> None:
    """Bring a database of this version to ours; each step is there in full or not at all, and so is a new database.

    It takes no longer for many rows: those that have to be moved are left to `backfill`.
    Raise StoreVersionError beside a living process of an older hivecost that has the ledger open: it would write on.
    """
    if _FIRST_WITH_LEDGER <= version < latest_version():
        _require_alone(connection, version, path)
    steps = [step for step in migrations() if step[0] > version]
    if version == 0:  # at once: each commit waits for the disk
        steps = [(latest_version(), "\n".join((*(script for _, script in steps), DROP_OLD)))]
    for number, script in steps:
        _migrate_one(connection, number, script)


def _require_alone(connection: sqlite3.Connection, version: int, path: Path) -> None:
    names = [name for (name,) in connection.execute("SELECT journal FROM ledger_processes")]
    for name in filter(is_lock_name, names):
        for file in (path.parent / "ledger" / f"{name}{suffix}" for suffix in (".lock", ".journal")):
            if is_locked(file):
                raise StoreVersionError(
                    f"{path}: has version {version}, and {holder_of(file)} uses it with an older hivecost; end that "
                    f"first, then this one brings it to version {latest_version()}"
                )


def _migrate_one(connection: sqlite3.Connection, number: int, script: str) -> None:
    connection.set_authorizer(_without_quick_checks)
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\n"
            f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number};\nCOMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.rollback()
        raise
    finally:
        connection.set_authorizer(None)


def _without_quick_checks(action: int, name: str | None, *_: str | None) -> int:
    """Let newer versions of SQLite not read every row of a STRICT table each time a column is added to it.

    They look whether the column's default is of its type, which is known of ours.
    """
    is_check = action == sqlite3.SQLITE_PRAGMA and name == "quick_check"
    return sqlite3.SQLITE_IGNORE if is_check else sqlite3.SQLITE_OK
