"""Pruning: turns and events leave the log, and no sum, budget or promise notices."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.backends.sqlite import Store, prune, schema
from hivecost.backends.sqlite.log import retention
from hivecost.backends.sqlite.log.deletion import _delete
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.errors import ConfigError, StoreVersionError
from hivecost.events import Cost, CostStatus, CustomEvent, ExecutionStarted, LLMTurnComplete, Usage

HOUR_NS = 3600 * 10**9
SUMS = ("sessions", "nodes", "executions", "quarter_hours")

names = st.sampled_from(["", "a", "b"])
turns = st.builds(
    LLMTurnComplete,
    event_id=st.integers(0, 40).map(str),
    timestamp_ns=st.integers(-3, 9).map((HOUR_NS // 4).__mul__),
    session_id=names,
    execution_id=names,
    node_id=names,
    user_id=names,
    task_id=names,
    tags=st.sampled_from([{}, {"customer": "acme"}]),
    model=names,
    usage=st.builds(Usage, st.integers(0, 9), st.integers(0, 9)),
    cost=st.sampled_from(
        [
            None,
            Cost(status=CostStatus.PRICED, nanousd=3),
            Cost(status=CostStatus.PRICED, nanousd=0, notional_nanousd=5),
            Cost(status=CostStatus.INVALID),
            Cost(status="estimated"),
        ]
    ),
)
events = st.builds(
    ExecutionStarted,
    event_id=st.integers(0, 9).map(str),
    timestamp_ns=st.integers(-3, 9).map((HOUR_NS // 4).__mul__),
    session_id=names,
    execution_id=names,
)
horizons = st.integers(-20, 150).map((60 * 10**9).__mul__)


def as_redelivered(logged):
    """With one event to an id, however often it comes."""
    first = {}
    return [first.setdefault((type(event), event.event_id), event) for event in logged]


def tables(path, oracle, names=SUMS):
    return {name: sorted(map(str, oracle.rows(path, f"SELECT * FROM {name}"))) for name in names}


def as_pruned_or_not(path, oracle):
    """All that the log knows of turns, by quarter-hour and attribution, wherever it is kept."""
    keys = ", ".join(retention.PRUNED_KEYS)
    sums = ", ".join(retention.SUMS)
    both = f"""
        SELECT quarter_hour, {keys}, {sums} FROM pruned_turns
        UNION ALL SELECT {retention.QUARTER_HOUR}, {keys}, {", ".join(retention.SUMS.values())} FROM turns
        GROUP BY {retention.QUARTER_HOUR}, {keys}"""
    folded = Counter()
    for row in oracle.rows(path, both):
        key = tuple(row[name] for name in ("quarter_hour", *retention.PRUNED_KEYS))
        folded.update({(key, name): row[name] for name in retention.SUMS})
    return +folded


def pruned(folder, before_ns, **options):
    return anyio.run(partial(prune, Path(folder), before_ns, **options))


@settings(deadline=None, max_examples=40)
@given(
    logged=st.lists(st.one_of(turns, turns, events), max_size=40), horizons=st.lists(horizons, min_size=1, max_size=2)
)
def test_no_sum_changes_and_nothing_is_counted_twice(oracle, logged, horizons):
    """Whatever is pruned, and although every event is delivered once more afterwards."""
    logged = as_redelivered(logged)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hivecost.db"
        log = RuntimeLog(Path(folder))
        log.append(logged)
        before, finest = tables(path, oracle), as_pruned_or_not(path, oracle)
        for horizon_ns in horizons:
            pruned(folder, horizon_ns)
        assert tables(path, oracle) == before
        assert as_pruned_or_not(path, oracle) == finest
        for table in ("turns", "events"):
            assert oracle.rows(path, f"SELECT 1 FROM {table} WHERE timestamp_ns < {max(horizons)}") == []
        appended = log.append(logged)
        log.close()
        assert not any(appended.inserted)
        assert appended.late == sum(event.timestamp_ns < max(horizons) for event in logged)
        assert tables(path, oracle) == before


@settings(deadline=None, max_examples=30)
@given(logged=st.lists(turns, max_size=40), horizon_ns=horizons)
def test_a_deleted_session_leaves_all_sums_also_when_it_was_pruned(oracle, logged, horizon_ns):
    """As if it had never been logged."""
    logged = as_redelivered(logged)
    others = [turn for turn in logged if turn.session_id != "a"]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as without:
        for place, kept in ((folder, logged), (without, others)):
            log = RuntimeLog(Path(place))
            log.append_once(kept)
        pruned(folder, horizon_ns)
        _delete(Path(folder), "a")
        sums = [
            tables(Path(place, "hivecost.db"), oracle, ("sessions", "nodes", "quarter_hours"))
            for place in (folder, without)
        ]
        assert sums[0] == sums[1]
        assert as_pruned_or_not(Path(folder, "hivecost.db"), oracle) == as_pruned_or_not(
            Path(without, "hivecost.db"), oracle
        )


def some(count, start_ns=0, **fields):
    return [
        LLMTurnComplete(session_id="s", timestamp_ns=start_ns + n, stop_reason="y" * 500, **fields)
        for n in range(count)
    ]


@pytest.fixture
def log(base_path):
    log = RuntimeLog(base_path)
    yield log
    log.close()


@pytest.fixture
def count(base_path, oracle):
    return lambda table: len(oracle.rows(base_path / "hivecost.db", f"SELECT 1 FROM {table}"))


@pytest.fixture
def base_path(base_path):
    base_path.mkdir()
    return base_path


def test_it_goes_in_transactions_of_few_rows(log, base_path, monkeypatch, count):
    """So that a writer of another process waits for one of them, not for all; and it says how much that was."""
    log.append([*some(25), *some(5, start_ns=HOUR_NS), CustomEvent(timestamp_ns=1)])
    monkeypatch.setattr(retention, "BATCH_ROWS", 10)
    batches = []
    real = retention._prune_batch

    def counted(connection, **arguments):
        assert not connection.in_transaction
        batches.append(real(connection, **arguments)[:2])
        assert not connection.in_transaction
        log.append([])  # another writer gets the database in between
        return (*batches[-1], 0)

    monkeypatch.setattr(retention, "_prune_batch", counted)
    result = pruned(base_path, HOUR_NS)
    assert batches == [(10, 1), (10, 0), (5, 0), (0, 0)]
    assert (result.turns, result.events, count("turns"), count("events")) == (25, 1, 5, 0)


def test_a_prune_that_breaks_off_keeps_every_sum(log, base_path, monkeypatch, oracle):
    """Each transaction is there in full or not at all; the next prune goes on from there."""
    log.append(some(25))
    path = base_path / "hivecost.db"
    before, finest = tables(path, oracle), as_pruned_or_not(path, oracle)
    monkeypatch.setattr(retention, "BATCH_ROWS", 10)
    monkeypatch.setattr(retention, "DELETE_EVENTS", "DELETE FROM missing")
    with pytest.raises(Exception, match="missing"):
        pruned(base_path, HOUR_NS)
    assert (as_pruned_or_not(path, oracle), oracle.rows(path, "SELECT * FROM pruned_before")) == (finest, [])
    monkeypatch.undo()
    assert pruned(base_path, HOUR_NS).turns == 25
    assert (tables(path, oracle), as_pruned_or_not(path, oracle)) == (before, finest)


def test_a_dry_run_deletes_nothing(log, base_path, count):
    """It says what a prune would find, and events from before are logged as ever."""
    log.append([*some(30), *some(10, start_ns=HOUR_NS)])
    dry = pruned(base_path, HOUR_NS, dry_run=True)
    assert (dry.turns, dry.events, count("turns")) == (30, 0, 40)
    assert 0 < dry.bytes_freed < dry.file_bytes
    assert log.append(some(1)).late == 0


def test_a_dry_run_does_not_migrate(log, base_path, count, monkeypatch):
    """It reads: a database of an older version is refused, and keeps it."""
    log.append(some(30))
    log.close()
    before = (base_path / "hivecost.db").read_bytes()
    newer = (*schema.migrations(), (schema.latest_version() + 1, "CREATE TABLE more (x);"))
    monkeypatch.setattr(schema, "migrations", lambda: newer)
    with pytest.raises(StoreVersionError, match="a runtime that starts there brings it up to date"):
        pruned(base_path, HOUR_NS, dry_run=True)
    assert (base_path / "hivecost.db").read_bytes() == before


def test_what_is_freed_is_used_again_or_given_back(log, base_path):
    """Without a vacuum the file stays as large as it is, with one it shrinks by what was said."""
    log.append(some(500))
    log.close()
    size = (base_path / "hivecost.db").stat().st_size
    result = pruned(base_path, HOUR_NS)
    assert (base_path / "hivecost.db").stat().st_size == result.file_bytes >= size
    assert result.bytes_freed > 100_000
    shrunk = pruned(base_path, HOUR_NS, vacuum=True)
    assert (base_path / "hivecost.db").stat().st_size == shrunk.file_bytes == result.file_bytes - shrunk.bytes_freed
    assert (shrunk.turns, shrunk.bytes_freed > 100_000) == (0, True)


def test_repricings_go_with_their_turns(log, base_path, count):
    """Those of turns that stay, stay."""
    old, new = some(1)[0], some(1, start_ns=HOUR_NS)[0]
    log.append([old, new])
    row = "INSERT INTO repricings VALUES ('r', ?, 's', 1, 2, 'priced', '', '', 3)"
    log.open().executemany(row, [(old.event_id,), (new.event_id,)])
    pruned(base_path, HOUR_NS)
    assert count("repricings") == 1


def test_what_is_on_its_way_to_the_log_is_not_pruned(base_path, clock, log):
    """Less than an hour ago is refused, because such events may come yet; where no log is, nothing is pruned."""
    with pytest.raises(ConfigError, match="at least an hour ago"):
        pruned(base_path, clock.now_ns() - HOUR_NS + 1, clock=clock)
    assert pruned(base_path / "none", 0) == retention.Pruned(turns=0, events=0, bytes_freed=0, file_bytes=0)


def test_an_earlier_instant_takes_nothing_back(log, base_path):
    """What may have been pruned once is late for ever."""
    log.append(some(1))
    pruned(base_path, HOUR_NS)
    pruned(base_path, 0)
    assert log.append(some(1)).late == 1
    assert log.append([*some(1), LLMTurnComplete(timestamp_ns=2**63)]).late == 1


def test_late_events_are_counted_and_said_once(base_path, log, caplog):
    """They are no duplicates, no loss, and no error for whoever delivers them again."""
    log.append(some(2))
    pruned(base_path, HOUR_NS)

    async def deliver():
        async with Store(base_path) as store:
            assert await store.write(some(2)) == 0
            assert await store.write([*some(1), *some(1, start_ns=HOUR_NS), CustomEvent(timestamp_ns=0)]) == 1
            return store.statistics()

    statistics = anyio.run(deliver)
    assert (statistics.late, statistics.written, statistics.duplicates, statistics.lost) == (4, 1, 0, 0)
    assert [record.message for record in caplog.records if "counted as late" in record.message] == [
        f"{base_path / 'hivecost.db'}: was pruned; events from before that are counted as late, not logged"
    ]


def test_every_step_is_found_by_an_index(log, base_path):
    """A prune of little in a large log reads little."""
    connection: sqlite3.Connection = log.open()
    for sql, index in (
        (retention.CARRY_OVER, "turns USING COVERING INDEX turns_by_time (timestamp_ns<?)"),
        (
            retention.DELETE_REPRICINGS,
            "repricings USING COVERING INDEX repricings_by_turn (session_id=? AND event_id=?)",
        ),
        (retention.DELETE_TURNS, "turns USING INTEGER PRIMARY KEY (rowid=?)"),
        (retention.DELETE_EVENTS, "events USING COVERING INDEX events_by_time (timestamp_ns<?)"),
    ):
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", {"before_ns": 0, "rows": 1})]
        assert any(index in step for step in plan), plan
        assert [step for step in plan if step.startswith("SCAN")] == []
