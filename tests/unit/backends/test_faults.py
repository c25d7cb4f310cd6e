"""What is wrong with a place or its database has a name, as where it is written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from hivecost.backends import open_log
from hivecost.errors import ConfigError, StoreCorruptError, StoreUnusablePathError, StoreVersionError
from hivecost.events import LLMTurnComplete

READS = (
    lambda log: log.sums(),
    lambda log: log.accounts(0),
    lambda log: log.version(),
    lambda log: log.turns(),
    lambda log: log.sessions(),
)


@pytest.mark.parametrize("read", READS)
def test_a_file_that_is_no_database(tmp_path, log, read):
    """StoreCorruptError, with the file's name."""
    (tmp_path / "hivecost.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreCorruptError, match=r"hivecost\.db"):
        read(log)


@pytest.mark.parametrize("read", READS)
def test_a_path_that_is_a_file(tmp_path, read):
    """StoreUnusablePathError: nothing can be there."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusablePathError, match="use a folder"):
        read(open_log(tmp_path / "file"))


@pytest.mark.parametrize("read", READS[:2])
@pytest.mark.parametrize(("version", "said"), [(10**6, "upgrade hivecost"), (3, "has the older version 3")])
def test_another_version(tmp_path, log, write, read, version, said):
    """StoreVersionError, whether it is newer or older."""
    write(LLMTurnComplete())
    with sqlite3.connect(tmp_path / "hivecost.db") as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(StoreVersionError, match=said):
        read(log)


def test_a_damaged_event_is_named(tmp_path, log, write):
    """StoreCorruptError, with the way out."""
    write(LLMTurnComplete())
    with sqlite3.connect(tmp_path / "hivecost.db") as connection:
        connection.execute("UPDATE turns SET tags = 'no JSON'")
    with pytest.raises(StoreCorruptError, match="restore a backup"):
        log.turns()


@pytest.mark.parametrize("place", ["nats://host/log", "postgresql://host/log"])
def test_a_url_that_nobody_serves(place):
    """ConfigError, and no folder of that name is looked for."""
    with pytest.raises(ConfigError, match=r"pip install hivecost-(nats|postgresql),"):
        open_log(place)


def test_a_folder_that_cannot_be_written(tmp_path, log, write):
    """It is read all the same, by somebody whom permissions bind; nothing appears there."""
    write(LLMTurnComplete(event_id="e"))
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    script = """
import os, sys
from hivecost.backends import open_log
log = open_log(sys.argv[1])
import hivecost.log.logged_turns, hivecost.reports.today
if os.getuid() == 0:
    os.chdir("/")
    os.setuid(65534)
print(log.sums()[0].llm_calls, log.version() == log.version(), log.accounts(0))
"""
    for parent in (*tmp_path.parents[:3],):
        parent.chmod(parent.stat().st_mode | 0o011)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.stdout == "1 True []\n", done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_log_that_is_replaced_is_another_version(tmp_path, log, write):
    """Also where both files have seen as many commits."""
    write(LLMTurnComplete())
    seen = log.version()
    (tmp_path / "hivecost.db").rename(tmp_path / "old.db")
    assert log.version() == ""
    write(LLMTurnComplete())
    assert log.version() not in ("", seen)


def test_a_cursor_whose_turn_was_deleted(tmp_path, log, write):
    """SQLite may give its number to another turn, which must not be skipped: the cursor is refused."""
    write(LLMTurnComplete(session_id="stays"), LLMTurnComplete(session_id="goes"))
    cursor = log.turns().cursor
    with sqlite3.connect(tmp_path / "hivecost.db") as connection:
        connection.execute("DELETE FROM turns WHERE session_id = 'goes'")
    with pytest.raises(ConfigError, match="after"):
        log.turns(cursor)
    write(LLMTurnComplete(session_id="comes"))
    with pytest.raises(ConfigError, match="after"):
        log.turns(cursor)
    kept = log.turns(limit=1).cursor
    assert [turn.session_id for turn in log.turns(kept).rows] == ["comes"]
