"""Sums of hours and days: whatever is written, taken away or done again, and whoever does it, they are the log's."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hivecost.backends.sqlite import SQLiteLogReader
from hivecost.backends.sqlite.log.deletion import _delete
from hivecost.backends.sqlite.log.retention import _prune_batch
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.backends.sqlite.log.summing.upkeep import Upkeep
from hivecost.clock import to_ns
from hivecost.events import (
    ChargeSettled,
    Cost,
    CostStatus,
    ExecutionCompleted,
    ExecutionStarted,
    LLMTurnComplete,
    Usage,
)
from hivecost.log import ALWAYS, EVERYTHING, Filter, Window
from hivecost.testing.contracts.log.oracle import LogOracle

DAY_S = 86_400
#: With offsets of hours, half-hours and quarter-hours, changes by an hour and by half an hour, and at midnight.
ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"),
    *("Pacific/Apia", "America/Havana", "Asia/Beirut"),
)
#: Around changes of summer time, and the day that Apia never had.
STARTS = (
    datetime(2026, 3, 27, tzinfo=UTC),
    datetime(2026, 10, 24, tzinfo=UTC),
    datetime(2026, 4, 3, tzinfo=UTC),
    datetime(2011, 12, 29, tzinfo=UTC),
    datetime(1969, 12, 30, tzinfo=UTC),
)
#: Dimensions that sums are kept by, those they are not, and pairs of both.
ASKED = (
    *(
        (),
        ("model",),
        ("provider",),
        ("agent",),
        ("user",),
        ("org",),
        ("node",),
        ("task",),
        ("entry_point",),
        ("kind",),
    ),
    *(("tag:team",), ("tag:tier",), ("tag:none",), ("user", "model"), ("agent", "model"), ("model", "org")),
    *(("session",), ("user", "agent"), ("tag:team", "model"), ("tags",), ("pruned", "node")),
)
PERIODS = ((), ("day",), ("hour",), ("week",), ("month",), ("quarter_hour",), ("day", "hour"))
FILTERS = (
    EVERYTHING,
    EVERYTHING,
    Filter(model="m"),
    Filter(user="ada"),
    Filter(user=("ada", "bob")),
    Filter(user="ada", model="m"),
    Filter(task="t", org="o"),
)


def some_events(seed):
    """A batch: few ids, so that many come twice and differ in nearly everything else."""
    random = Random(seed)
    return [_event(random) for _ in range(random.randrange(14))]


def _event(random):
    def one(*values):
        return random.choice(values)

    number = random.randrange(60)
    who = {
        # That of an id is always the same: nobody knows the id of a turn that was pruned.
        "timestamp_ns": Random(number).randrange(6 * DAY_S * 10**9),
        "session_id": one("s1", "s2"),
        "execution_id": one("", "e1", "e2"),
    }
    if random.random() < 0.2:
        return one(ExecutionStarted, ExecutionCompleted)(event_id=f"x{number}", entry_point="api", **who)
    kind = one(LLMTurnComplete, LLMTurnComplete, ChargeSettled)
    return kind(
        event_id=f"t{number}",
        node_id=one("", "plan"),
        agent_id=one("", "a", "b"),
        user_id=one("", "ada", "bob"),
        org_id=one("", "o"),
        task_id=one("", "t"),
        tags=one({}, {"team": "blue"}, {"team": "", "tier": 'fr"ee'}, {"team": "red", "tier": "paid"}),
        model=one("m", "n"),
        resolved_model=one("", "m"),
        provider=one("p", "q"),
        usage=Usage() if kind is ChargeSettled else Usage(random.randrange(999), random.randrange(99)),
        cost=_cost(random),
        latency_ms=0 if kind is ChargeSettled else random.randrange(5_000),
        **who,
    )


def _cost(random):
    status = random.choice([None, *CostStatus])
    is_known = status not in (None, CostStatus.UNPRICED, CostStatus.INVALID)
    return None if status is None else Cost(status=status, nanousd=random.randrange(10**9) if is_known else None)


seconds = st.integers(0, 6 * DAY_S)
#: Batches to write, hours to pass and some slices to sum, a session to delete, an instant to prune before.
histories = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2**32)),
        st.tuples(st.just("write"), st.integers(0, 2**32)),
        st.tuples(st.just("sum"), st.tuples(seconds, st.integers(1, 400))),
        st.tuples(st.just("delete"), st.sampled_from(["s1", "s2"])),
        st.tuples(st.just("prune"), seconds),
    ),
    max_size=10,
)
questions = st.lists(
    st.tuples(
        st.sampled_from(ASKED),
        st.sampled_from(PERIODS),
        st.sampled_from(ZONES),
        st.sampled_from(FILTERS),
        st.one_of(st.just(None), st.tuples(seconds, seconds)),
    ),
    min_size=3,
    max_size=12,
)


def upkeep(base_path, log, now_ns, slices=10_000):
    """Sum as a writer does, so many slices; return how many there were."""
    it = Upkeep(base_path)
    for done in range(slices):
        read = it.read(now_ns)
        if read.is_last:
            return done
        if read.commit is not None:
            log.commit(read.commit)
    return slices


class History:
    """A folder that steps happen to, and what must be read from it."""

    def __init__(self, base_path, start_ns):
        self.base_path, self.start_ns = base_path, start_ns
        self.log, self.oracle = RuntimeLog(base_path), LogOracle()
        self.pruned_before_ns = None
        self.log.open()

    def write(self, seed):
        moved = [replace(event, timestamp_ns=self.start_ns + event.timestamp_ns) for event in some_events(seed)]
        self.log.append(moved)
        self.oracle.add(
            event for event in moved if self.pruned_before_ns is None or event.timestamp_ns >= self.pruned_before_ns
        )

    def sum(self, what):
        at_s, slices = what
        upkeep(self.base_path, self.log, self.start_ns + at_s * 10**9, slices)

    def delete(self, session_id):
        _delete(self.base_path, session_id)
        self.oracle.delete(session_id)

    def prune(self, at_s):
        before_ns = max(self.start_ns + at_s * 10**9, self.pruned_before_ns or -(2**63))
        self.pruned_before_ns = before_ns
        path = self.base_path / "hivecost.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            while any(_prune_batch(connection, path=path, before_ns=before_ns, wal_bytes=0)[:2]):
                pass
        self.oracle.prune(before_ns)

    def check(self, dimensions, zone, only, window):
        log = SQLiteLogReader(self.base_path)
        assert log.latencies(window, only) == self.oracle.latencies(window, only)
        assert log.costs(window, only) == self.oracle.costs(window, only)
        found = log.sums(dimensions, window, zone, only)
        assert sorted(found) == sorted(self.oracle.sums(dimensions, window, zone, only)), (dimensions, zone, only)


@settings(deadline=None, max_examples=40)
@given(start=st.sampled_from(STARTS), steps=histories, asked=questions, at_the_end=st.booleans())
def test_sums_are_the_fold_of_the_log_whatever_happened(start, steps, asked, at_the_end):
    """In any window, zone and dimension, summed or not: late, twice, deleted, pruned, with a clock that goes back."""
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder), to_ns(start))
        for name, what in steps:
            getattr(history, name)(what)
        if at_the_end:
            history.sum((8 * DAY_S, 10_000))
        for values, periods, zone, only, window in asked:
            window_ns = (
                ALWAYS if window is None else Window(*(history.start_ns + at_s * 10**9 for at_s in sorted(window)))
            )
            history.check((*periods, *values), zone, only, window_ns)
        history.log.close()
