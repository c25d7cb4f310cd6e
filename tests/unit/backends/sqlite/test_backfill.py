"""Rows that a migration left are moved in slices: every sum is right at any moment, and nobody waits for them all."""

from __future__ import annotations

import logging
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hivecost.backends.sqlite import Store, backfill, schema
from hivecost.backends.sqlite.database import open_reader, open_writer
from hivecost.backends.sqlite.log import runtime_log
from hivecost.backends.sqlite.log.deletion import _delete
from hivecost.backends.sqlite.log.retention import _prune_batch
from hivecost.backends.sqlite.log.rollups import COUNTED, PRUNED_KEYS, QUARTER_HOUR, SUMS
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.backends.sqlite.os_lock import exclusive
from hivecost.events import LLMTurnComplete, Usage

#: The oldest version that anybody has.
RELEASED = 4
QUARTER_HOUR_NS = 900 * 10**9
OLD_SUMS = tuple(SUMS)[:11]


def make_old(base_path, pruned=(), turns=0):
    """A folder of the released version, in which rows of (session, quarter-hour, user, model, calls) were pruned."""
    base_path.mkdir(exist_ok=True)
    with closing(sqlite3.connect(base_path / "hivecost.db", isolation_level=None)) as log:
        log.execute("PRAGMA synchronous = OFF")
        for number, script in schema.migrations():
            if number <= RELEASED:
                log.executescript(f"BEGIN; {script} COMMIT;")
        log.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        log.execute(f"PRAGMA user_version = {RELEASED}")
        log.execute("BEGIN")
        log.executemany(
            "INSERT INTO pruned_turns"
            " VALUES (?, ?, 'n', 'a', ?, '', '', '{}', 'p', ?, ?, 3, 4, 0, 0, 0, 5, 0, 0, 0, 6)",
            pruned,
        )
        log.execute(
            "INSERT INTO quarter_hours SELECT quarter_hour, org_id, user_id, agent_id, provider, model,"
            f" {', '.join(f'sum({name})' for name in OLD_SUMS)} FROM pruned_turns GROUP BY 1, 2, 3, 4, 5, 6"
        )
        columns = log.execute("SELECT name, type FROM pragma_table_info('turns') WHERE cid").fetchall()
        values = ("printf('%d', value)" if name == "event_id" else f"CAST(0 AS {kind})" for name, kind in columns)
        log.execute(
            f"INSERT INTO turns ({', '.join(name for name, _ in columns)}) WITH RECURSIVE numbers (value) AS"
            f" (SELECT 1 UNION ALL SELECT value + 1 FROM numbers WHERE value < ?) SELECT {', '.join(values)}"
            " FROM numbers WHERE ?",
            [turns, turns > 0],
        )
        log.execute("COMMIT")


def some(count):
    return [(f"s{number}", number, "u", "m", 1 + number) for number in range(count)]


def left(base_path):
    """How many rows wait to be moved; None when their table is gone."""
    with closing(sqlite3.connect(base_path / "hivecost.db")) as log:
        if not backfill.has_old_rows(log):
            return None
        return log.execute("SELECT count(*) FROM pruned_turns_before").fetchone()[0]


def read(base_path, sql):
    with closing(open_reader(base_path)) as log:
        return log.execute(sql).fetchall()


def finest(base_path):
    """All that a reader finds of turns, pruned or not, as finely as they are told apart."""
    keys, names = ", ".join(("quarter_hour", *PRUNED_KEYS)), ", ".join(SUMS)
    rows = read(
        base_path,
        f"SELECT {keys}, {names} FROM pruned_turns UNION ALL"
        f" SELECT {QUARTER_HOUR} AS quarter_hour, {', '.join(PRUNED_KEYS)}, {', '.join(SUMS.values())} FROM turns"
        " GROUP BY id",
    )
    found = Counter()
    for row in rows:
        key = row[: -len(SUMS)]
        found.update({(key, name): value for name, value in zip(SUMS, row[-len(SUMS) :], strict=True)})
    return +found


def rollups(base_path):
    """(the sums of quarter-hours, and the fold of all that they are of)."""
    keys = f"quarter_hour, org_id, user_id, agent_id, {COUNTED['provider']}, {COUNTED['model']}"
    of_time = f"{keys}, {', '.join(f'sum({name})' for name in SUMS)}"
    folded = f"""
        SELECT {of_time} FROM (
            SELECT quarter_hour, {", ".join(PRUNED_KEYS)}, {", ".join(SUMS)} FROM pruned_turns UNION ALL
            SELECT {QUARTER_HOUR}, {", ".join(PRUNED_KEYS)}, {", ".join(SUMS.values())} FROM turns GROUP BY id)
        GROUP BY {keys}"""
    kept = f"SELECT quarter_hour, org_id, user_id, agent_id, provider, model, {', '.join(SUMS)} FROM quarter_hours"
    return sorted(read(base_path, kept)), sorted(read(base_path, folded))


names = st.sampled_from(["", "a", "b"])
pruned = st.lists(
    st.tuples(names, st.integers(-2, 2), names, names, st.integers(1, 9)), max_size=12, unique_by=lambda row: row[:4]
)
turns = st.builds(
    LLMTurnComplete,
    event_id=st.integers(0, 40).map(str),
    timestamp_ns=st.integers(-2, 2).map(QUARTER_HOUR_NS.__mul__),
    session_id=names,
    node_id=st.just("n"),
    agent_id=st.just("a"),
    provider=st.just("p"),
    user_id=names,
    model=names,
    resolved_model=st.sampled_from(["", "", "a"]),
    usage=st.builds(Usage, st.integers(0, 9), st.integers(0, 9)),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(1, 4)),
        st.tuples(st.just("write"), st.lists(turns, max_size=4)),
        st.tuples(st.just("prune"), st.integers(-2, 3).map(QUARTER_HOUR_NS.__mul__)),
        st.tuples(st.just("delete"), st.sampled_from(["a", "b"])),
    ),
    max_size=10,
)


#: As an old row is told apart.
LIKE_OLD = LLMTurnComplete(timestamp_ns=0, session_id="a", node_id="n", agent_id="a", provider="p", model="b")


@settings(deadline=None, max_examples=40)
@given(pruned=pruned, steps=steps)
@example(pruned=[("a", 0, "", "b", 3)], steps=[("write", [LIKE_OLD]), ("prune", QUARTER_HOUR_NS)])
@example(pruned=[("a", 0, "", "b", 3)], steps=[("write", [LIKE_OLD]), ("move", 1), ("prune", QUARTER_HOUR_NS)])
def test_every_sum_is_the_fold_of_the_log_before_between_and_after(pruned, steps):
    """Whatever is written, pruned and deleted while rows are moved; moving changes nothing that a reader finds."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        base_path = Path(folder)
        make_old(base_path, pruned)
        log = RuntimeLog(base_path)
        connection = log.open()
        there = sum(row[4] for row in pruned)
        assert sum(count for (_, name), count in finest(base_path).items() if name == "llm_calls") == there
        for step, what in (*steps, ("move", 100)):
            before = finest(base_path)
            if step == "move":
                patch.setattr(backfill, "SLICE_ROWS", what)
                log.move_slice()
            elif step == "write":
                log.append(what)
            elif step == "prune":
                _prune_batch(connection, path=base_path / "hivecost.db", before_ns=what, wal_bytes=0)
            else:
                _delete(base_path, what)
                assert read(base_path, f"SELECT 1 FROM pruned_turns WHERE session_id = '{what}'") == []
            if step in ("move", "prune"):
                assert finest(base_path) == before
            kept, folded = rollups(base_path)
            assert kept == folded
        assert (left(base_path), log.has_old_rows) == (None, False)
        log.close()


def test_migrating_takes_no_longer_for_many_rows(tmp_path):
    """Neither those that are moved later nor those that get another column are read: SQLite takes as many steps."""

    def steps_for(rows):
        base_path = tmp_path / str(rows)
        make_old(base_path, some(rows), turns=rows)
        taken = []
        with closing(sqlite3.connect(base_path / "hivecost.db", isolation_level=None)) as log:
            log.set_progress_handler(lambda: taken.append(1), 1)
            schema.migrate(log, RELEASED, base_path / "hivecost.db")
            log.set_progress_handler(None, 0)
            assert log.execute("PRAGMA quick_check").fetchall() == [("ok",)]  # each default is of its column's type
        return len(taken)

    assert steps_for(1) == steps_for(1_000)


def test_a_new_database_has_nothing_to_move(tmp_path):
    """And so has one of which all is moved."""
    (tmp_path / "new").mkdir()
    open_writer(tmp_path / "new").close()
    assert left(tmp_path / "new") is None
    make_old(tmp_path / "old", some(3))
    log = RuntimeLog(tmp_path / "old")
    log.open()
    assert (left(tmp_path / "old"), log.has_old_rows) == (3, True)
    log.move_slice()
    assert (left(tmp_path / "old"), log.has_old_rows) == (None, False)
    log.move_slice()
    log.close()


#: Moves rows in slices of three, and dies where one is done and not committed.
DIES_IN = """
import os, sys
from pathlib import Path
from hivecost.backends.sqlite import backfill
from hivecost.backends.sqlite.log import runtime_log

backfill.SLICE_ROWS, slices, move_slice = 3, int(sys.argv[2]), runtime_log.move_slice

def move(connection):
    global slices
    has_more = move_slice(connection)
    slices -= 1
    if slices == 0:
        os.kill(os.getpid(), 9)
    return has_more

runtime_log.move_slice = move
log = runtime_log.RuntimeLog(Path(sys.argv[1]))
log.open()
while log.has_old_rows:
    log.move_slice()
"""


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_whoever_is_killed_in_a_slice_leaves_all_of_it_or_nothing(tmp_path, number):
    """The next one goes on from there; in between every sum is right."""
    make_old(tmp_path, some(10))
    open_writer(tmp_path).close()
    before = finest(tmp_path)
    done = subprocess.run([sys.executable, "-c", DIES_IN, tmp_path, str(number)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert left(tmp_path) == 10 - 3 * (number - 1)
    assert finest(tmp_path) == before
    done = subprocess.run([sys.executable, "-c", DIES_IN, tmp_path, "0"], check=False)
    assert (done.returncode, left(tmp_path)) == (0, None)
    kept, folded = rollups(tmp_path)
    assert (finest(tmp_path), kept) == (before, folded)


#: Opens the store at a word from outside, and writes until all rows are moved.
MOVES = """
import sys
import anyio
from hivecost.backends.sqlite import Store, backfill
from hivecost.events import LLMTurnComplete

backfill.SLICE_ROWS = 3

async def main():
    async with Store(sys.argv[1]) as store:
        print("open", flush=True)
        sys.stdin.readline()
        written = 0
        while store._appender.has_old_rows or not written:
            written += await store.write([LLMTurnComplete(session_id="new", user_id="new", model="new")])
    print(written)

anyio.run(main)
"""


def test_several_processes_move_and_write_at_once(tmp_path):
    """Each row is moved once, and what they log meanwhile is counted."""
    make_old(tmp_path, some(200))
    open_writer(tmp_path).close()
    before = finest(tmp_path)
    command = [sys.executable, "-c", MOVES, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as other:
        for process in (one, other):
            assert process.stdout.readline() == "open\n"
            process.stdin.write("\n")
            process.stdin.flush()
        written = [int(process.communicate(timeout=120)[0]) for process in (one, other)]
    assert left(tmp_path) is None
    kept, folded = rollups(tmp_path)
    assert kept == folded
    assert read(tmp_path, "SELECT sum(llm_calls) FROM quarter_hours WHERE user_id = 'new'") == [(sum(written),)]
    assert not before - finest(tmp_path)


@pytest.mark.anyio
async def test_writers_have_the_lock_between_two_slices(base_path, clock, monkeypatch):
    """Whoever waits for it waits for one slice at most, which is as long as it is whatever is left."""
    monkeypatch.setattr(backfill, "SLICE_ROWS", 3)
    make_old(base_path, some(10))
    open_writer(base_path).close()
    seen, done = [10], anyio.Event()

    def write():
        if done.is_set():  # a slice of sums
            return
        seen.append(left(base_path) or 0)
        with exclusive(base_path, wait=False) as is_free:
            assert is_free
            RuntimeLog(base_path).append_once([LLMTurnComplete(user_id="between")])
        if left(base_path) is None:
            done.set()

    clock.on_sleep = write
    async with Store(base_path, clock=clock) as store:
        with anyio.fail_after(60):
            await done.wait()
        assert await store.write([LLMTurnComplete()]) == 1
    assert seen == [10, 7, 4, 1, 0]
    assert read(base_path, "SELECT sum(llm_calls) FROM quarter_hours WHERE user_id = 'between'") == [(4,)]


@pytest.mark.anyio
async def test_closing_does_not_wait_for_all_rows(base_path, monkeypatch):
    """What is left stays where it is, and the next one who opens it goes on."""
    monkeypatch.setattr(backfill, "SLICE_ROWS", 1)
    make_old(base_path, some(1_000))
    async with Store(base_path) as store:
        await store.write([LLMTurnComplete()])
    assert left(base_path) > 0
    kept, folded = rollups(base_path)
    assert kept == folded


@pytest.mark.anyio
async def test_a_slice_that_fails_costs_no_event(base_path, monkeypatch):
    """It is said, and the next one who opens the store tries again."""
    said = anyio.Event()

    def fail(connection):
        raise sqlite3.OperationalError("disk I/O error")

    make_old(base_path, some(3))
    monkeypatch.setattr(runtime_log, "move_slice", fail)
    monkeypatch.setattr(logging.getLogger("hivecost.backends.sqlite.log.writer"), "error", lambda *_: said.set())
    async with Store(base_path) as store:
        with anyio.fail_after(60):
            await said.wait()
        assert await store.write([LLMTurnComplete()]) == 1
    assert (left(base_path), store.statistics().lost) == (3, 0)
    kept, folded = rollups(base_path)
    assert kept == folded
