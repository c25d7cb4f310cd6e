"""A database gets to our version in whole steps, and one that is not ours is left alone."""

from __future__ import annotations

import sqlite3

import pytest

from hivecost.backends.sqlite import schema
from hivecost.backends.sqlite.database import open_reader, open_writer
from hivecost.errors import StoreUnusablePathError, StoreVersionError


def made(base_path, *statements):
    base_path.mkdir(exist_ok=True)
    connection = sqlite3.connect(base_path / "hivecost.db", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def version(base_path):
    connection = sqlite3.connect(base_path / "hivecost.db")
    try:
        return connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()


def test_a_fresh_database_has_our_version_and_settings(tmp_path):
    """WAL, synchronous FULL, and no checkpoint behind our back."""
    connection = open_writer(tmp_path)
    settings = [
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "wal_autocheckpoint", "user_version", "application_id")
    ]
    connection.close()
    assert settings == ["wal", 2, 0, schema.latest_version(), schema.APPLICATION_ID]


def test_opening_again_migrates_nothing(tmp_path):
    """The second opening finds the first one's tables and rows."""
    first = open_writer(tmp_path)
    first.execute("INSERT INTO sessions (session_id, started_ns, updated_ns) VALUES ('s', 1, 1)")
    first.close()
    second = open_writer(tmp_path)
    assert second.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
    second.close()


@pytest.mark.parametrize("opened", [open_writer, open_reader])
def test_a_future_version_is_refused_and_untouched(tmp_path, opened):
    """The file keeps every byte, and the error says to upgrade."""
    open_writer(tmp_path).close()
    made(tmp_path, "PRAGMA user_version = 99")
    before = (tmp_path / "hivecost.db").read_bytes()
    with pytest.raises(StoreVersionError, match=r"hivecost.db: has version 99.*upgrade hivecost"):
        opened(tmp_path)
    assert (tmp_path / "hivecost.db").read_bytes() == before


@pytest.mark.parametrize("opened", [open_writer, open_reader])
@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 7", "PRAGMA user_version = 3"]
)
def test_another_programs_database_is_refused_and_untouched(tmp_path, opened, statement):
    """Whatever it is that shows it is not ours."""
    made(tmp_path, statement)
    before = (tmp_path / "hivecost.db").read_bytes()
    with pytest.raises(StoreUnusablePathError, match="another program"):
        opened(tmp_path)
    assert (tmp_path / "hivecost.db").read_bytes() == before


def test_a_step_that_fails_leaves_nothing(tmp_path, monkeypatch):
    """The steps before it stay, its own half is rolled back, and the next opening goes on from there."""
    open_writer(tmp_path).close()
    last = schema.latest_version()
    good = (*schema.migrations(), (last + 1, "CREATE TABLE one (x);"))
    bad = (*good, (last + 2, "CREATE TABLE more (x); INSERT INTO missing VALUES (1);"))
    monkeypatch.setattr(schema, "migrations", lambda: bad)
    with pytest.raises(sqlite3.OperationalError, match="missing"):
        open_writer(tmp_path)
    assert version(tmp_path) == last + 1
    fixed = (*good, (last + 2, "CREATE TABLE more (x);"))
    monkeypatch.setattr(schema, "migrations", lambda: fixed)
    open_writer(tmp_path).close()
    assert version(tmp_path) == last + 2


def test_a_new_database_is_made_at_once(tmp_path, monkeypatch):
    """If one step fails, none is there, and the next opening makes them all."""
    good = schema.migrations()
    bad = (*good, (good[-1][0] + 1, "INSERT INTO missing VALUES (1);"))
    with monkeypatch.context() as failing:
        failing.setattr(schema, "migrations", lambda: bad)
        with pytest.raises(sqlite3.OperationalError, match="missing"):
            open_writer(tmp_path)
    assert version(tmp_path) == 0
    open_writer(tmp_path).close()
    assert version(tmp_path) == schema.latest_version()


def test_a_reader_does_not_migrate(tmp_path, monkeypatch):
    """An older database is refused by readers until a writer has opened it."""
    open_writer(tmp_path).close()
    last = schema.latest_version()
    newer = (*schema.migrations(), (last + 1, "CREATE TABLE more (x);"))
    monkeypatch.setattr(schema, "migrations", lambda: newer)
    with pytest.raises(StoreVersionError, match=rf"older version {last}; a runtime that starts there"):
        open_reader(tmp_path)


def test_an_empty_file_reads_as_empty(tmp_path):
    """A reader that comes between the making of the file and its first migration finds nothing, not an error."""
    (tmp_path / "hivecost.db").touch()
    connection = open_reader(tmp_path)
    assert connection.execute("SELECT count(*) FROM turns").fetchone() == (0,)
    connection.close()
