"""Sums of hours and days: whatever is written, taken away or done again, and whoever does it, they are the log's."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hivecost.backends.sqlite import SQLiteLogReader, Store, schema
from hivecost.backends.sqlite.lease_bank.definitions import record_definitions
from hivecost.backends.sqlite.log import append, deletion, retention
from hivecost.backends.sqlite.log.deletion import _delete
from hivecost.backends.sqlite.log.retention import _prune_batch
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.backends.sqlite.log.summing import upkeep as summing_upkeep
from hivecost.backends.sqlite.log.summing.upkeep import Upkeep
from hivecost.backends.sqlite.os_lock import do_locked
from hivecost.backends.sqlite.statements import READING, statements
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
from hivecost.ledger import Budget
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


def upkeep(base_path, log, now_ns, slices=10_000, zone="Europe/Berlin"):
    """Sum as a writer in a zone does, so many slices; return how many there were."""
    it = Upkeep(base_path, zone=ZoneInfo(zone))
    for done in range(slices):
        read = it.read(now_ns)
        if read.is_last:
            return done
        if read.commit is not None:
            log.commit(read.commit)
    return slices


class History:
    """A folder that steps happen to, and what must be read from it."""

    def __init__(self, base_path, start_ns, zone="Europe/Berlin"):
        self.base_path, self.start_ns, self.zone = base_path, start_ns, zone
        self.log, self.oracle = RuntimeLog(base_path), LogOracle()
        self.pruned_before_ns = None
        self.log.open()

    def write(self, seed):
        moved = [replace(event, timestamp_ns=self.start_ns + event.timestamp_ns) for event in some_events(seed)]
        self.log.append(moved)
        self.oracle.add(
            event for event in moved if self.pruned_before_ns is None or event.timestamp_ns >= self.pruned_before_ns
        )

    def start(self, execution_id):
        who = {"session_id": "s1", "execution_id": execution_id, "timestamp_ns": self.start_ns + 9 * DAY_S * 10**9}
        event = ExecutionStarted(event_id="start", entry_point="web", **who)
        self.log.append([event])
        self.oracle.add([event])

    def sum(self, what):
        at_s, slices = what
        upkeep(self.base_path, self.log, self.start_ns + at_s * 10**9, slices, self.zone)

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
@given(
    start=st.sampled_from(STARTS),
    here=st.sampled_from(ZONES),
    steps=histories,
    asked=questions,
    at_the_end=st.booleans(),
)
def test_sums_are_the_fold_of_the_log_whatever_happened(start, here, steps, asked, at_the_end):
    """In any window, zone and dimension, summed or not: late, twice, deleted, pruned, with a clock that goes back."""
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder), to_ns(start), here)
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


WRITTEN = [("write", seed) for seed in range(5)]
#: Late, deleted, pruned and with another entry point, after all was summed.
CHANGES = {
    "a turn comes late": [*WRITTEN, ("sum", (8 * DAY_S, 10_000)), ("write", 9)],
    "a session is deleted": [*WRITTEN, ("sum", (8 * DAY_S, 10_000)), ("delete", "s1")],
    "turns are pruned": [*WRITTEN, ("sum", (8 * DAY_S, 10_000)), ("prune", 5 * DAY_S)],
    "an execution is known later": [*WRITTEN, ("sum", (8 * DAY_S, 10_000)), ("start", "e1")],
}


@pytest.fixture
def after(tmp_path):
    """Return the history of some steps, and ask it everything."""

    def after(steps):
        history = History(tmp_path, to_ns(STARTS[0]))
        for name, what in steps:
            getattr(history, name)(what)
        for values in ASKED:
            for periods in ((), ("day",)):
                history.check((*periods, *values), "UTC", EVERYTHING, ALWAYS)
        return history

    return after


@pytest.mark.parametrize("steps", CHANGES.values(), ids=CHANGES)
def test_what_changed_is_read_from_the_log_until_it_is_summed_again(after, steps):
    """Hours that did not change keep their sums meanwhile; then all of them have some again, and the same is read."""
    history = after(steps)
    assert ask(history, "SELECT count(*) FROM unsummed_hours") != [0]
    history.sum((8 * DAY_S, 10_000))
    assert ask(history, "SELECT count(*) FROM unsummed_hours", "SELECT count(mark) FROM summed_days") == [0, 0]
    for values in ASKED:
        history.check(values, "UTC", EVERYTHING, ALWAYS)


def ask(history, *questions):
    """The number that each of these gives."""
    with closing(sqlite3.connect(history.base_path / "hivecost.db")) as log:
        return [log.execute(sql).fetchone()[0] for sql in questions]


def forget(connection, *_, **__):
    """Mark nothing."""


#: (what is wrong, what it stands for, the change that shows it)
MISTAKES = {
    "late turns are not seen": (append, "mark_new_turns", "a turn comes late"),
    "entry points stay as they were": (append, "mark_entry_points", "an execution is known later"),
    "deleted turns still count": (deletion, "mark_session", "a session is deleted"),
    "pruned turns keep their kind": (retention, "mark_turns", "turns are pruned"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_change_that_is_not_marked_shows(monkeypatch, after, mistake):
    """Each mark is needed: without it another sum is read."""
    module, name, change = MISTAKES[mistake]
    monkeypatch.setattr(module, name, forget)
    with pytest.raises(AssertionError):
        after(CHANGES[change])


def test_a_reader_that_does_not_ask_what_changed_shows(monkeypatch, after):
    """Hours that wait to be summed are not where the log is read, too."""
    monkeypatch.setitem(statements(READING), "unsummed_hours", "SELECT 0 WHERE 0 AND :first AND :end AND :name")
    with pytest.raises(AssertionError):
        after(CHANGES["a turn comes late"])


def late(history, number):
    """A turn in the first hour."""
    turn = LLMTurnComplete(event_id=f"late-{number}", timestamp_ns=history.start_ns, model="m")
    history.log.append([turn])
    history.oracle.add([turn])


def test_what_changes_while_it_is_summed_is_summed_again(tmp_path):
    """Whoever reads an hour and finds it changed commits nothing; of two who read the same one, one commits."""
    history = History(tmp_path, to_ns(STARTS[0]))
    late(history, 1)
    now_ns = history.start_ns + DAY_S * 10**9
    one, other = Upkeep(tmp_path), Upkeep(tmp_path)
    history.log.commit(one.read(now_ns).commit)  # the hours that are over
    before = one.read(now_ns).commit
    late(history, 2)
    assert not history.log.commit(before)
    mine, theirs = one.read(now_ns).commit, other.read(now_ns).commit
    assert history.log.commit(mine)
    assert not history.log.commit(theirs)
    late(history, 3)
    assert not history.log.commit(theirs)  # a mark is never given twice
    history.check(("model",), "UTC", EVERYTHING, ALWAYS)


def test_an_hour_is_open_until_a_minute_after_its_end(tmp_path):
    """Turns that are on their way then are not late; before, it is read from the log."""
    history = History(tmp_path, to_ns(STARTS[0]))
    late(history, 1)
    assert upkeep(tmp_path, history.log, history.start_ns + 3659 * 10**9) == 0
    assert upkeep(tmp_path, history.log, history.start_ns + 3660 * 10**9) > 0
    assert ask(history, "SELECT sum(llm_calls) FROM hour_values WHERE dimension = 'all'") == [1]


def test_a_clock_that_was_far_ahead_spoils_nothing(tmp_path):
    """Hours that it took to be over are read from the log until they are; what it logged then counts when it says."""
    history = History(tmp_path, to_ns(STARTS[0]))
    ahead = LLMTurnComplete(event_id="ahead", timestamp_ns=history.start_ns + 400 * DAY_S * 10**9, model="m")
    history.log.append([ahead])
    history.oracle.add([ahead])
    upkeep(tmp_path, history.log, ahead.timestamp_ns + 3 * DAY_S * 10**9)
    for number in range(3):  # back again
        late(history, number)
        upkeep(tmp_path, history.log, history.start_ns + 600 * 10**9)
        history.check(("day", "model"), "UTC", EVERYTHING, ALWAYS)
    assert ask(history, "SELECT count(*) FROM unsummed_hours") == [1]
    upkeep(tmp_path, history.log, history.start_ns + DAY_S * 10**9)
    assert ask(history, "SELECT count(*) FROM unsummed_hours") == [0]
    history.check(("day", "model"), "UTC", EVERYTHING, ALWAYS)


def test_tags_past_the_bound_are_read_from_the_log(tmp_path):
    """Sums are kept by the first eight, and by none in an hour with more than 200 of its values; all sums are exact."""
    history = History(tmp_path, to_ns(STARTS[0]))
    turns = [
        LLMTurnComplete(
            event_id=f"t{number}",
            timestamp_ns=history.start_ns + number * 10**9 + (number == 210) * 3600 * 10**9,
            tags={"request": f"r{number}", "team": f"team-{number % 200}", **{f"k{n}": "v" for n in range(7)}},
        )
        for number in range(211)
    ]
    history.log.append(turns)
    history.oracle.add(turns)
    upkeep(tmp_path, history.log, history.start_ns + 2 * DAY_S * 10**9)
    log = SQLiteLogReader(tmp_path)
    assert log.summed_tags() == [*(f"k{n}" for n in range(7)), "request"]  # the newest hour comes first
    assert ask(history, "SELECT count(*) FROM hour_values WHERE dimension = 'tag:request'") == [1]
    for name in ("request", "team", "k0", "none"):
        history.check((f"tag:{name}",), "UTC", EVERYTHING, ALWAYS)
        history.check(("day", f"tag:{name}"), "UTC", EVERYTHING, ALWAYS)


def test_closing_waits_for_no_hour(monkeypatch, tmp_path):
    """What is being read is given up, however long it would take; the next writer reads it."""
    history = History(tmp_path, to_ns(STARTS[0]))
    late(history, 1)
    now_ns = history.start_ns + DAY_S * 10**9
    it = Upkeep(tmp_path)
    history.log.commit(it.read(now_ns).commit)

    def endless(connection, _):
        it.stop()
        connection.execute("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n FROM n) SELECT count(*) FROM n")

    monkeypatch.setattr(summing_upkeep, "sum_hour", endless)
    assert it.read(now_ns).is_last
    monkeypatch.undo()
    assert upkeep(tmp_path, history.log, now_ns) > 0
    history.check(("model",), "UTC", EVERYTHING, ALWAYS)


def test_days_of_the_machines_zone_and_of_budgets_are_summed(tmp_path):
    """Beside those of UTC, once they are over; midnight of Kathmandu is at 18:15 UTC."""
    history = History(tmp_path, to_ns(STARTS[1]), "America/New_York")
    for seed in range(4):
        history.write(seed)
    budgets = [Budget(zone, "$1", timezone=zone, window="day") for zone in ("Asia/Kathmandu", "UTC")]
    anyio.run(record_definitions, tmp_path, budgets, 1)
    history.sum((8 * DAY_S, 10_000))
    with closing(sqlite3.connect(tmp_path / "hivecost.db")) as log:
        phases = {phase for (phase,) in log.execute("SELECT first % 96 FROM summed_days WHERE mark IS NULL")}
    assert phases == {0, 4 * 4, 73}
    for zone in ("America/New_York", "Asia/Kathmandu", "Asia/Tokyo"):
        for values in ASKED:
            history.check(("day", *values), zone, EVERYTHING, ALWAYS)


SUMS = """
import sys
from pathlib import Path
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.backends.sqlite.log.summing.upkeep import Upkeep
from hivecost.backends.sqlite.os_lock import do_locked

folder, now_ns = Path(sys.argv[1]), int(sys.argv[2])
log, upkeep = RuntimeLog(folder), Upkeep(folder)
do_locked(folder, log.open)
sys.stdin.readline()
while not (read := upkeep.read(now_ns)).is_last:
    if read.commit is not None:
        do_locked(folder, lambda: log.commit(read.commit))
do_locked(folder, log.close)
"""


def test_several_processes_may_sum_at_once(tmp_path):
    """While another one writes: whoever is first with an hour commits it, and each sum is the log's."""
    history = History(tmp_path, to_ns(STARTS[0]))
    for seed in range(12):
        history.write(seed)
    now_ns = history.start_ns + 8 * DAY_S * 10**9
    arguments = [sys.executable, "-c", SUMS, str(tmp_path), str(now_ns)]
    processes = [subprocess.Popen(arguments, stdin=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        process.stdin.write("begin\n")
        process.stdin.close()
    for seed in range(12, 24):
        do_locked(tmp_path, lambda seed=seed: history.write(seed))
    assert [process.wait(60) for process in processes] == [0, 0]
    for values in ASKED:
        history.check(("day", *values), "Europe/Berlin", EVERYTHING, ALWAYS)
    history.sum((8 * DAY_S, 10_000))
    for values in ASKED:
        history.check(values, "UTC", EVERYTHING, ALWAYS)


def test_a_folder_of_before_is_summed_in_slices_and_goes_on_where_it_was(tmp_path):
    """What was logged before there were sums of hours: the next who writes sums it, however often it is stopped."""
    history = History(tmp_path, to_ns(STARTS[0]))
    for seed in range(6):
        history.write(seed)
    history.prune(2 * DAY_S)
    history.log.close()
    with closing(sqlite3.connect(tmp_path / "hivecost.db")) as log:
        (script,) = (script for number, script in schema.migrations() if number == 15)
        for table in re.findall(r"CREATE TABLE (\w+)", script):
            log.execute(f"DROP TABLE {table}")
        log.executescript(f"{script} PRAGMA user_version = 15;")
    left = []
    while upkeep(tmp_path, history.log, history.start_ns + 8 * DAY_S * 10**9, slices=3):
        history.check(("day", "model"), "UTC", EVERYTHING, ALWAYS)
        left += ask(history, "SELECT count(*) FROM unsummed_hours")
    assert left[0] > 10
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    for values in ASKED:
        history.check(values, "UTC", EVERYTHING, ALWAYS)


@pytest.mark.anyio
async def test_a_writer_sums_what_is_over(tmp_path, clock):
    """When it opens, and a minute after it last looked, with the next commit."""
    start_ns = clock.now_ns() // (3600 * 10**9) * 3600 * 10**9
    turns = [
        LLMTurnComplete(event_id=str(n), timestamp_ns=start_ns - 3600 * 10**9 + n * 3600 * 10**9) for n in range(3)
    ]
    async with Store(tmp_path, clock=clock) as store:
        await store.write(turns[:1])
    history = SimpleNamespace(base_path=tmp_path)

    async def are_summed(count):
        with anyio.fail_after(30):
            while ask(history, "SELECT count(*) FROM hour_values WHERE dimension = 'all'") != [count]:
                await anyio.sleep(0.01)

    async with Store(tmp_path, clock=clock) as store:
        await are_summed(1)
        await store.write(turns[1:2])
        clock.ahead_s = 3700
        await store.write(turns[2:])
        await are_summed(2)
    assert [row.llm_calls for row in SQLiteLogReader(tmp_path).sums(["hour"])] == [1, 1, 1]
