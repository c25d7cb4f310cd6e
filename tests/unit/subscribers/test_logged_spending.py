"""LoggedSpending: what others spent counts within seconds, and nothing counts twice."""

from __future__ import annotations

import tempfile
from collections import deque
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hivecost as hc
from hivecost.backends.sqlite import delete_session
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.ledger import SpendAccounts, attributes_of
from hivecost.subscribers.budget_watcher import logged_spending
from hivecost.subscribers.budget_watcher.logged_spending import LOOK_S, LoggedSpending
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio


def turn(tokens: int = 1, **fields) -> hc.LLMTurnComplete:
    return hc.LLMTurnComplete(model="m", usage=hc.Usage(tokens, 0), **fields)


class Process:
    """A watcher's side of one process, whose bus and log writer go on when they are told to."""

    def __init__(self, base_path: Path) -> None:
        self.base_path = base_path
        self.log = RuntimeLog(base_path)
        self.log.append([])
        self.clock = FakeClock()
        self.accounts = SpendAccounts([hc.Budget("b", "1_000_000 tokens")])
        self.spending = LoggedSpending(self.accounts)
        self.unhandled: deque[hc.LLMTurnComplete] = deque()
        self.unlogged: deque[hc.LLMTurnComplete] = deque()
        self.expected = 0
        self.dropped: set[str] = set()
        self.logged: set[str] = set()

    @property
    def settled(self) -> int:
        return sum(row.settled for row in self.accounts.status())

    async def recover(self) -> None:
        await self.spending.recover(self.base_path, self.clock)

    async def look(self) -> None:
        await self.spending.look(self.base_path, self.drain)

    async def drain(self) -> None:
        while self.unhandled:
            self.handle()

    def ours(self, tokens: int) -> None:
        event = turn(tokens)
        self.unhandled.append(event)
        self.unlogged.append(event)

    def theirs(self, tokens: int) -> None:
        self.log.append([turn(tokens)])
        self.expected += tokens

    def handle(self) -> None:
        event = self.unhandled.popleft()
        self.spending.counted(event.event_id)
        self.accounts.add(attributes_of(event), event.timestamp_ns, None, event.usage.total_tokens)
        self.expected += event.usage.total_tokens

    def drop(self) -> None:
        """The watcher's queue was full: it never sees the turn, but in the log."""
        event = self.unhandled.popleft()
        self.dropped.add(event.event_id)
        self.expect_dropped(event)

    def write(self) -> None:
        event = self.unlogged.popleft()
        self.log.append([event])
        self.logged.add(event.event_id)
        self.expect_dropped(event)

    def expect_dropped(self, event: hc.LLMTurnComplete) -> None:
        if event.event_id in self.dropped & self.logged:
            self.expected += event.usage.total_tokens

    def lose(self) -> None:
        """The log writer gave it up."""
        self.unlogged.popleft()


steps = st.lists(
    st.tuples(st.sampled_from(["ours", "theirs", "handle", "drop", "write", "lose", "look"]), st.integers(1, 1_000)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), steps)
def test_every_turn_counts_once(before, taken):
    """However bus, log writer and other processes interleave: after a look all that is known to anybody is counted."""

    async def run(process: Process) -> None:
        for tokens in range(before):
            process.theirs(1 + tokens)
        await process.recover()
        for step, tokens in (*taken, ("look", 0)):
            if step in ("ours", "theirs"):
                getattr(process, step)(tokens)
            elif step == "look":
                await process.look()
                assert process.settled == process.expected
            elif process.unhandled if step in ("handle", "drop") else process.unlogged:
                getattr(process, step)()
        while process.unlogged:
            process.write()
        await process.look()
        assert process.settled == process.expected

    with tempfile.TemporaryDirectory() as folder:
        process = Process(Path(folder))
        anyio.run(run, process)
        process.log.close()


@pytest.fixture
def process(tmp_path):
    process = Process(tmp_path)
    yield process
    process.log.close()


async def test_it_looks_now_and_then_beside_the_turns(process):
    """Every `LOOK_S`, one look at a time, until it is cancelled: also in the middle of a look, which counts nothing."""
    looks, go_on = [], anyio.Event()

    async def drain() -> None:
        looks.append(process.settled)
        await go_on.wait()

    await process.recover()
    async with anyio.create_task_group() as group:
        group.start_soon(process.spending.follow, process.base_path, process.clock, drain)
        await process.clock.wait_for_sleepers()
        process.theirs(5)
        process.clock.advance(LOOK_S - 0.001)
        await anyio.wait_all_tasks_blocked()
        assert (process.settled, looks) == (0, [])
        process.clock.advance(0.001)
        while not looks:
            await anyio.wait_all_tasks_blocked()
        process.clock.advance(10 * LOOK_S)
        await anyio.wait_all_tasks_blocked()
        assert (process.settled, looks) == (0, [0])
        go_on.set()
        await process.clock.wait_for_sleepers()
        assert (process.settled, looks) == (5, [0])
        process.theirs(7)
        go_on = anyio.Event()
        process.clock.advance(LOOK_S)
        while len(looks) < 2:
            await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert (process.settled, process.clock.sleepers) == (5, 0)
    await process.look()
    assert process.settled == 5 + 7


async def test_budgets_that_end_with_their_execution_are_nothing_to_others(tmp_path):
    """Nothing is read for them, nor remembered, until a budget is added that outlives them."""
    spending = LoggedSpending(SpendAccounts([hc.Budget("b", "1 calls", window="execution")]))
    await spending.recover(tmp_path, FakeClock())
    spending.counted("an id")
    clock = FakeClock()
    async with anyio.create_task_group() as group:
        group.start_soon(spending.follow, tmp_path, clock, anyio.lowlevel.checkpoint)
        await anyio.wait_all_tasks_blocked()
        assert clock.sleepers == 0
        await spending.add([hc.Budget("day", "1 calls", window="day")], tmp_path)
        await anyio.wait_all_tasks_blocked()
        assert clock.sleepers == 1
        group.cancel_scope.cancel()
    assert not spending._unlogged


async def test_a_long_log_is_counted_page_by_page(process, monkeypatch):
    """Each turn once, at whatever turn a page ends; a look ends with the log."""
    monkeypatch.setattr(logged_spending, "PAGE_TURNS", 3)
    await process.recover()
    for tokens in range(1, 9):
        process.theirs(tokens)
        process.ours(100)
        process.write()
    await process.look()
    assert process.settled == process.expected == sum(range(1, 9)) + 800


async def test_marks_that_others_reach_are_left_to_the_next_turn(process):
    """It says them, once; those that were reached before the start were told then."""
    process.accounts = SpendAccounts([hc.Budget("b", "10 tokens", warn=(0.2, 0.5, 0.8))])
    process.spending = LoggedSpending(process.accounts)
    process.theirs(3)
    await process.recover()
    process.theirs(3)
    await process.look()
    assert [found.fraction for found in process.accounts.add({}, 0, None, 1)] == [0.5]
    process.theirs(3)
    await process.look()
    assert [found.fraction for found in process.accounts.add({}, 0, None, 0)] == [0.8]
    assert process.accounts.add({}, 0, None, 0) == []
    process.theirs(1)
    await process.look()
    assert [found.exceeded for found in process.accounts.add({}, 0, None, 0)] == [True]


async def test_of_what_nobody_knows_the_cost_others_tell_the_number(process):
    """As of the calls that this process takes; a budget in calls has seen them."""
    process.accounts = SpendAccounts([hc.Budget("usd", "$1"), hc.Budget("calls", "9 calls")])
    process.spending = LoggedSpending(process.accounts)
    await process.recover()
    process.theirs(5)
    process.log.append([turn(cost=hc.Cost(status=hc.CostStatus.PRICED, nanousd=7))])
    await process.look()
    usd, calls = process.accounts.status()
    assert (usd.settled, usd.unpriced_calls) == (7, 1)
    assert (calls.settled, calls.unpriced_calls) == (2, 0)


async def test_more_than_can_be_remembered_counts_once_all_the_same(process, monkeypatch):
    """Then what others spent since the last look is left out, and what they spend afterwards is not."""
    monkeypatch.setattr(logged_spending, "UNLOGGED_MAX", 3)
    await process.recover()
    for _ in range(5):
        process.ours(1)
    await process.drain()
    process.theirs(100)
    while process.unlogged:
        process.write()
    await process.look()
    assert process.settled == 5
    process.theirs(7)
    await process.look()
    assert process.settled == 5 + 7


async def test_what_is_not_remembered_does_not_count_when_it_is_logged_later(process, monkeypatch, caplog):
    """However many looks there are until then; that others are not counted meanwhile is said, once."""
    monkeypatch.setattr(logged_spending, "UNLOGGED_MAX", 3)
    await process.recover()
    for _ in range(7):
        process.ours(1)
    await process.drain()
    process.theirs(100)
    await process.look()
    for _ in range(7):
        process.write()
        await process.look()
        assert process.settled == 7
    assert caplog.text.count("3 turns wait for the log") == 1
    process.theirs(5)
    await process.look()
    assert process.settled == 7 + 5


async def test_what_was_lost_is_not_remembered(process):
    """Turns that never reached the log do not fill the memory of those that may."""
    await process.recover()
    for _ in range(10):
        process.ours(1)
    await process.drain()
    for _ in range(9):
        process.lose()
    process.write()
    await process.look()
    assert len(process.spending._unlogged) == 0


@contextmanager
def unreadable(process):
    path = process.base_path / "hivecost.db"
    away = path.with_name("away")
    process.log.close()
    path.rename(away)
    path.mkdir()
    yield
    path.rmdir()
    away.rename(path)


async def test_a_log_that_cannot_be_read_is_said_once_and_counted_later(process, caplog):
    """Turns go on with what is known; when the log is back, so is what others spent."""
    await process.recover()
    process.theirs(5)
    for times in (1, 2):
        with unreadable(process):
            await process.look()
            await process.look()
        assert caplog.text.count("what other processes spend is unknown") == times
        await process.look()
        assert process.settled == 5


async def test_where_nobody_knows_what_was_spent_before_others_count_from_the_first_look_on(process):
    """Budgets that started from zero stay there: of what that look finds nobody knows what is counted."""
    with unreadable(process):
        await process.recover()
    process.theirs(5)
    await process.look()
    process.theirs(7)
    await process.look()
    assert process.settled == 7


async def test_a_turn_that_cannot_be_read_takes_no_other_with_it(process, caplog):
    """It is left out, and those around it count once."""
    await process.recover()
    for tokens in (1, 10, 100):
        process.theirs(tokens)
    process.log.open().execute("UPDATE turns SET tags = 'no JSON' WHERE input_tokens = 10")
    await process.look()
    await process.look()
    assert process.settled == 101
    assert "holds no JSON" in caplog.text


async def test_whatever_goes_wrong_the_next_look_is_taken(process, caplog):
    """Also what no StoreError names, such as a machine without threads to spare."""

    async def broken() -> None:
        raise RuntimeError("can't start new thread")

    await process.recover()
    process.theirs(5)
    await process.spending.look(process.base_path, broken)
    assert "can't start new thread" in caplog.text
    assert process.settled == 0
    await process.look()
    assert process.settled == 5


async def test_the_end_of_the_log_may_be_deleted(process):
    """What is logged after the next look counts, though SQLite gives the ids of deleted rows out again."""
    await process.recover()
    process.theirs(1)
    process.log.append([turn(10, session_id="deleted"), turn(10, session_id="deleted")])
    await process.look()
    await delete_session(process.base_path, "deleted")
    await process.look()
    process.theirs(100)
    await process.look()
    assert process.settled == 121


async def test_a_second_start_counts_what_was_logged_in_between(process):
    """At once, and nothing of what is counted already."""
    process.theirs(1)
    await process.recover()
    process.ours(10)
    await process.drain()
    process.write()
    process.theirs(100)
    await process.recover()
    assert process.settled == 111


async def test_a_cancelled_look_counts_nothing_or_all(process):
    """The next turn looks again."""
    await process.recover()
    process.theirs(5)

    async def cancelled() -> None:
        scope.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        await process.spending.look(process.base_path, cancelled)
    assert process.settled == 0
    await process.look()
    assert process.settled == 5
