"""Memory of a watcher is bounded, and no budget becomes larger by it: what was dropped is in the log."""

from __future__ import annotations

import tempfile
from collections import deque
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hivecost as hc
from hivecost.backends.sqlite import prune
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.ledger import Account, SpendAccounts, attributes_of
from hivecost.subscribers.budget_watcher import dropped_accounts, logged_spending, watcher
from hivecost.subscribers.budget_watcher.logged_spending import LOOK_S, LoggedSpending
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

SESSION = hc.Budget("b", "1_000_000 tokens", window="session", mode="stop_after")


class UnpausingClock(FakeClock):
    """Pauses take no time."""

    async def sleep(self, seconds: float) -> None:
        pass


class Process:
    """A watcher's side of one process that keeps two accounts of each budget."""

    def __init__(self, base_path: Path, budgets: list[hc.Budget]) -> None:
        self.base_path = base_path
        self.log = RuntimeLog(base_path)
        self.log.append([])
        self.clock = UnpausingClock()
        self.accounts = SpendAccounts(budgets, accounts_max=2, opened=self._opened)
        self.spending = LoggedSpending(self.accounts)
        self.unhandled: deque[hc.LLMTurnComplete] = deque()
        self.unlogged: deque[hc.LLMTurnComplete] = deque()
        self.unseen: list[hc.LLMTurnComplete] = []
        #: The same without a bound.
        self.expected = SpendAccounts(budgets)

    def _opened(self, account: Account) -> Account:
        return self.spending.opened(account)

    def turn(self, number: int) -> hc.LLMTurnComplete:
        return hc.LLMTurnComplete(
            timestamp_ns=self.clock.now_ns(),
            model="mx"[number % 2],
            session_id=f"s{number}",
            user_id=f"u{number % 3}",
            tags={"customer": f"c{number % 4}"},
            usage=hc.Usage(7 + number, 0),
        )

    def ours(self, number: int) -> None:
        event = self.turn(number)
        self.unhandled.append(event)
        self.unlogged.append(event)

    def theirs(self, number: int) -> None:
        event = self.turn(number)
        self.log.append([event])
        self.unseen.append(event)

    def handle(self) -> None:
        event = self.unhandled.popleft()
        accounts = self.accounts.find_of(event)
        self.spending.counted(event.event_id, accounts)
        self.accounts.add_to(accounts, event)
        self.expected.add_turn(event)

    def write(self) -> None:
        self.log.append([self.unlogged.popleft()])

    async def recover(self) -> None:
        await self.spending.recover(self.base_path, self.clock)
        self.see()

    async def look(self) -> None:
        await self.spending.look(self.base_path, self.drain)
        self.see()

    def see(self) -> None:
        while self.unseen:
            self.expected.add_turn(self.unseen.pop())

    async def drain(self) -> None:
        while self.unhandled:
            self.handle()

    async def check(self, number: int) -> None:
        """What a turn finds at the gate is all that was spent, also one that comes half a day late."""
        who = attributes_of(self.turn(number))
        for at_ns in (self.clock.now_ns(), self.clock.now_ns() - 12 * 3600 * 10**9):
            accounts, expected = (book.find(who, at_ns) for book in (self.accounts, self.expected))
            await self.spending.read_back(self.base_path, accounts)
            assert [(a.scope, a.settled) for a in accounts] == [(a.scope, a.settled) for a in expected]


BUDGETS = [
    SESSION,
    hc.Budget("user", "1_000_000 tokens", window="day", per="user", mode="stop_after"),
    hc.Budget("customer", "1_000_000 tokens", per="customer", mode="stop_after"),
    hc.Budget(
        "both",
        "1_000_000 tokens",
        window="session",
        per=("customer", "user"),
        match={"model": ["m", "n"]},
        mode="stop_after",
    ),
    hc.Budget("m", "1_000_000 tokens", window="hour", per="user", match={"model": "m"}, mode="stop_after"),
]
steps = st.lists(
    st.tuples(st.sampled_from(["ours", "theirs", "handle", "write", "look", "check", "later"]), st.integers(0, 8)),
    max_size=60,
)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 8), steps)
def test_an_account_that_was_dropped_has_all_that_was_spent_on_it(before, taken):
    """However bus, log writer, other processes and the bound interleave: each turn counts once."""

    async def run(process: Process) -> None:
        for number in range(before):
            process.theirs(number)
        await process.recover()
        for step, number in taken:
            if step in ("ours", "theirs"):
                getattr(process, step)(number)
            elif step == "look":
                await process.look()
            elif step == "later":
                process.clock.advance(12 * 3600)
            elif step == "check":
                await process.check(number)
            elif process.unhandled if step == "handle" else process.unlogged:
                getattr(process, step)()
            assert len(process.accounts.status()) <= 2 * len(BUDGETS)
        while process.unlogged:
            process.write()
        await process.look()
        for number in range(9):
            await process.check(number)

    with tempfile.TemporaryDirectory() as folder:
        process = Process(Path(folder), BUDGETS)
        anyio.run(run, process)
        process.log.close()


@pytest.fixture
def process(tmp_path):
    process = Process(tmp_path, BUDGETS)
    yield process
    process.log.close()


async def test_a_restart_knows_of_each_session_what_it_spent(process):
    """In memory are two of them, with their sums; the others are read when a turn of theirs comes."""
    for number in (*range(9), *range(9)):
        process.theirs(number)
    await process.recover()
    rows = {row.scope: row.settled for row in process.accounts.status() if row.budget == "b"}
    assert 1 <= len(rows) <= 2
    assert all(settled == 2 * (7 + int(scope[-1])) for scope, settled in rows.items())
    for number in range(9):
        await process.check(number)


async def test_what_was_pruned_counts(process):
    """The sums of turns that are not in the log any more."""
    for number in range(9):
        process.theirs(number)
    await process.recover()
    process.clock.advance(3 * 3600)
    await prune(process.base_path, process.clock.now_ns() - 2 * 3600 * 10**9, clock=process.clock)
    await process.look()
    for number in range(9):
        process.theirs(number)
    await process.look()
    for number in range(9):
        await process.check(number)


async def test_turns_of_one_session_that_come_together_read_it_once(tmp_path, monkeypatch):
    """Its past is not counted twice; sessions that come meanwhile are read together."""
    process, reads = Process(tmp_path, [SESSION]), []
    real = dropped_accounts.spending_in

    def spending_in(log, **asked):
        reads.append(sorted(asked["filter"].session))
        return real(log, **asked)

    monkeypatch.setattr(dropped_accounts, "spending_in", spending_in)
    await process.recover()
    for number in range(6):
        process.theirs(number)
    await process.look()
    reads.clear()
    process.accounts.accounts_max = process.accounts.sessions_max = 9
    async with anyio.create_task_group() as tasks:
        for number in (0, 1, 2, 0, 1, 0):
            tasks.start_soon(process.check, number)
    assert reads in ([["s0", "s1", "s2"]], [["s0"], ["s1", "s2"]])
    process.log.close()


async def test_a_log_that_cannot_be_read_then_is_said(process, caplog):
    """Once; such accounts count from zero, and nobody waits."""
    await process.recover()
    for number in range(6):
        process.theirs(number)
    await process.look()
    process.log.close()
    path = process.base_path / "hivecost.db"
    path.rename(path.with_name("away"))
    path.mkdir()
    for number in (0, 1, 2):
        accounts = process.accounts.find(attributes_of(process.turn(number)), process.clock.now_ns())
        await process.spending.read_back(process.base_path, accounts)
        assert accounts[0].settled == 0
    assert caplog.text.count("what was spent before on accounts is unknown") == 1
    path.rmdir()
    path.with_name("away").rename(path)


async def test_accounts_of_unlogged_turns_are_not_read_from_the_log(process):
    """While the disk is slow they are found with what they have, however many others come."""
    await process.recover()
    for number in range(9):
        process.ours(number)
        process.handle()
    for number in range(9):
        await process.check(number)


# -- in a runtime -----------------------------------------------------------------------------------------------------

TURN = ("m", hc.Usage(10, 5))


async def spend(runtime, session_id, turns=1):
    return await runtime.trigger_and_wait("spend", [TURN] * turns, session_id=session_id)


async def test_a_spent_session_that_comes_back_is_refused(make_runtime, monkeypatch):
    """After any number of others; one that is not spent goes on where it was."""
    monkeypatch.setattr(watcher, "SESSIONS_MAX", 4)
    budgets, clock = [hc.Budget("s", limit="3 calls", window="session", warn=(), mode="stop_after")], FakeClock()
    async with make_runtime(budgets=budgets, config={"log": True}, clock=clock) as runtime:
        assert (await spend(runtime, "spent", 3)).status == "completed"
        assert (await spend(runtime, "begun", 2)).status == "completed"
        for number in range(20):
            await spend(runtime, f"s{number}")
        await runtime.flush()
        clock.advance(LOOK_S)  # the watcher sees what is logged, and needs to remember it no longer
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(10):
            await clock.wait_for_sleepers()
        assert len(await runtime.budgets.status()) <= 4
        result = await spend(runtime, "spent")
        assert (result.status, result.metrics["llm_calls"]) == ("cancelled", 0)
        assert isinstance(result.error, hc.BudgetExhaustedError)
        result = await spend(runtime, "begun", 5)
        assert (result.status, result.metrics["llm_calls"]) == ("cancelled", 1)


async def test_without_a_log_more_sessions_are_kept(make_runtime, monkeypatch):
    """As there is nothing to read them from: only beyond the larger bound do the longest unused ones begin anew."""
    monkeypatch.setattr(watcher, "SESSIONS_MAX", 4)
    budgets = [hc.Budget("s", limit="3 calls", window="session", warn=(), mode="stop_after")]
    async with make_runtime(budgets=budgets) as runtime:
        await spend(runtime, "spent", 3)
        for number in range(20):
            await spend(runtime, f"s{number}")
        assert len(await runtime.budgets.status()) == 21
        assert isinstance((await spend(runtime, "spent")).error, hc.BudgetExhaustedError)


async def test_without_a_log_no_turn_waits_for_it(make_runtime, monkeypatch, caplog):
    """Nothing is remembered, and nothing is said of a log that nobody asked for."""
    monkeypatch.setattr(logged_spending, "UNLOGGED_MAX", 3)
    async with make_runtime(budgets=[hc.Budget("b", limit="$1", window="day", mode="stop_after")]) as runtime:
        await spend(runtime, "s", 10)
        watcher = runtime.plugins["budget-watcher"].plugin
        assert not watcher._logged._unlogged
        assert caplog.text == ""


async def test_a_log_writer_of_ones_own_is_a_log(make_runtime, monkeypatch):
    """Whoever registers it: what it writes is not counted as another process's."""
    runtime = make_runtime(budgets=[hc.Budget("b", limit="9 calls", mode="stop_after")])
    runtime.register_plugin(hc.LogWriter())
    async with runtime:
        await spend(runtime, "s", 5)
        watcher = runtime.plugins["budget-watcher"].plugin
        await runtime.plugins["log-writer"].plugin.flush()
        await watcher._logged.look(runtime.base_path, anyio.lowlevel.checkpoint)
        assert [row.settled for row in watcher.status()] == [5]
