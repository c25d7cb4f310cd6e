"""A ledger decides, and keeps its bank informed, the same way whatever lends to it."""

from __future__ import annotations

import logging
import subprocess
import sys

import anyio
import anyio.lowlevel
import pytest

from hivecost.clock import SYSTEM_CLOCK
from hivecost.errors import LedgerUnavailableError, StoreError, StoreMovedError
from hivecost.leasing import (
    AccountRow,
    BudgetRow,
    Committed,
    Journal,
    LeasedLedger,
    LeasePolicy,
    LeaseReply,
    Opened,
    Poll,
)
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio

CENT = 10_000_000
#: Nothing in the background.
POLICY = LeasePolicy(tick_s=3600.0, settle_s=3600.0, idle_s=3600.0)


class GenerousBank:
    """Lends all of a limit to the one process that it knows."""

    name = "a bank"

    def __init__(self, folder):
        self.folder = folder
        self.known, self.settled, self.rows, self.last = 0, {}, {}, None
        #: What the next syncs raise.
        self.faults = []
        #: How much its clock is ahead of the process's.
        self.ahead_ns = 0

    async def open(self, budgets, *, holds_max, policy):
        self.budgets = {budget.name: BudgetRow(budget.limit_amount, None, False) for budget in budgets}
        self.journal = Journal(self.folder / "one.journal", holds_max=holds_max, accounts_max=len(budgets))
        return Opened(7, self.journal)

    async def sync(self, batch, operations):
        await anyio.lowlevel.checkpoint()
        if self.faults:
            raise self.faults.pop(0)
        self.take_in(batch)
        return Committed(
            accounts={account: self.row(account) for account in batch.settled_then},
            budgets=self.budgets,
            replies=[LeaseReply() for _ in batch.requests],
            own_limits={},
            last_change=1,
            overruns=[],
            results=[None for _ in operations],
            now_ns=SYSTEM_CLOCK.now_ns() + self.ahead_ns,
        )

    def take_in(self, batch):
        for bill in batch.bills:
            if bill.number > self.known:
                self.known = bill.number
                for account in bill.accounts:
                    name = account.budget.name
                    self.settled[name] = self.settled.get(name, 0) + bill.billed[account.unit]

    def row(self, account):
        row_id = self.rows.setdefault(account, len(self.rows) + 1)
        settled = self.settled.get(account.budget.name, 0)
        return AccountRow(row_id, settled, account.limit - settled, None)

    async def poll(self):
        return Poll(set(), 1)

    async def close(self, batch, *, timeout_s):
        self.last = batch
        self.take_in(batch)
        self.journal.close()

    def forked(self):
        pass


@pytest.fixture
def bank(tmp_path):
    return GenerousBank(tmp_path)


@pytest.fixture
def ledger(bank):
    budgets = (Budget("all", "$1", mode="hard"), Budget("calls", "9 calls", mode="hard"))
    return LeasedLedger(bank, budgets, SYSTEM_CLOCK, holds_max=16, close_timeout_s=5.0, policy=POLICY)


async def test_it_holds_in_memory_once_it_was_lent_to(bank, ledger):
    """The first hold asks the bank, the next ones nobody; what is settled is told with the next sync."""
    async with ledger:
        assert ledger.reserve_nowait({}, nanousd=CENT) is None
        holds = [await ledger.reserve({}, nanousd=CENT)]
        holds += [ledger.reserve_nowait({}, nanousd=CENT) for _ in range(3)]
        assert {hold.hold_id.partition("-")[0] for hold in holds} == {"7"}
        for hold in holds:
            hold.settle(nanousd=CENT // 2)
        assert bank.settled == {}
        await ledger.freeze("all", "a look", by="ada")
        assert bank.settled == {"all": 2 * CENT, "calls": 4}


async def test_what_a_failing_bank_was_told_is_said_again(bank, ledger):
    """Whoever waits hears that it is out of reach; no bill is lost, and none is told twice."""
    async with ledger:
        hold = await ledger.reserve({}, nanousd=CENT)
        hold.settle()
        bank.faults = [StoreError("the bank burns")] * 2
        for _ in range(2):
            with pytest.raises(LedgerUnavailableError, match="burns"):
                await ledger.budgets()
        assert ledger.reserve_nowait({}, nanousd=CENT).settle() is not None
        await ledger.budgets()
        assert bank.settled == {"all": 2 * CENT, "calls": 2}


async def test_one_sync_at_a_time(bank, ledger):
    """Whoever asks, cancels or closes meanwhile: the next batch is collected when the last one has come back."""
    under_way, most, go_on = [], [], anyio.Event()
    sync, close = bank.sync, bank.close

    async def slow_sync(batch, operations):
        under_way.append(batch)
        most.append(len(under_way))
        try:
            await go_on.wait()
            return await sync(batch, operations)
        finally:
            under_way.remove(batch)

    async def close_alone(batch, *, timeout_s):
        assert under_way == []
        await close(batch, timeout_s=timeout_s)

    async with ledger:
        bank.sync, bank.close = slow_sync, close_alone
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ledger.budgets)
            await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                tasks.start_soon(ledger.budgets)
                tasks.start_soon(ledger.changes)
                ledger._opened[1].wake()
                await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        go_on.set()
        (await ledger.reserve({}, nanousd=CENT)).settle()
    assert set(most) == {1}
    assert bank.settled == {"all": CENT, "calls": 1}


async def test_no_batch_is_taken_in_twice(bank, ledger):
    """Nor collected beside another: that is refused, and decides nothing wrong."""
    async with ledger:
        local, _ = ledger._opened
        (await ledger.reserve({}, nanousd=CENT)).settle()
        batch = local.collect([], ())
        with pytest.raises(LedgerUnavailableError, match="on its way"):
            local.collect([], ())
        committed = await bank.sync(batch, [])
        local.apply(batch, committed)
        free = local.journal.free
        for again in (lambda: local.apply(batch, committed), lambda: local.put_back(batch)):
            with pytest.raises(RuntimeError, match="before"):
                again()
        assert (local.journal.free, local.has_news) == (free, False)
        with pytest.raises(LedgerUnavailableError, match="interrupted"):
            ledger.reserve_nowait({}, nanousd=CENT)
        bank.take_in = lambda batch: None
    assert bank.last is None  # as its journal says
    assert bank.settled == {"all": CENT, "calls": 1}


async def test_a_fault_of_ours_costs_those_who_wait_and_not_the_ledger(bank, ledger, caplog):
    """It is said to be one, and the next one who asks is answered."""
    async with ledger:
        bank.faults = [ZeroDivisionError()]
        with caplog.at_level(logging.CRITICAL), pytest.raises(LedgerUnavailableError, match="fault of hivecost"):
            await ledger.reserve({}, nanousd=CENT)
        (await ledger.reserve({}, nanousd=CENT)).release()


async def test_what_is_not_its_own_any_more_is_lent_to_nobody(bank, ledger):
    """Where the bank says so, it grants nothing more, and still takes the bills of what it granted into its journal."""
    async with ledger:
        hold = await ledger.reserve({}, nanousd=CENT)
        bank.faults = [StoreMovedError("another bank is there")]
        with pytest.raises(LedgerUnavailableError, match="another bank"):
            await ledger.budgets()
        with pytest.raises(LedgerUnavailableError, match="another bank"):
            ledger.reserve_nowait({}, nanousd=CENT)
        assert hold.settle() is not None
        bank.take_in = lambda batch: None
    assert bank.last is None  # as its journal says


@pytest.mark.parametrize(
    ("ahead_s", "said"), [(0, ""), (3, ""), (3600, "3600 s behind"), (-3600, "3600 s ahead of")], ids=str
)
async def test_a_clock_that_differs_from_the_banks_is_told_of_once(bank, ledger, caplog, ahead_s, said):
    """Periods of its budgets begin at other times than for others; again once it was right in between."""
    bank.ahead_ns = ahead_s * 10**9
    with caplog.at_level(logging.WARNING):
        async with ledger:
            for _ in range(3):
                await ledger.budgets()
            assert [said in message for message in caplog.messages] == [True] * bool(said)
            bank.ahead_ns = 0
            await ledger.budgets()
            bank.ahead_ns = ahead_s * 10**9
            await ledger.budgets()
    assert len(caplog.messages) == 2 * bool(said)


async def test_what_is_open_at_the_end_is_told_as_in_doubt(bank, ledger):
    """With the last batch, which a bank takes in as it closes."""
    async with ledger:
        hold = await ledger.reserve({}, nanousd=CENT, key="k")
    assert [(one.key, one.amounts["usd"]) for one in bank.last.in_doubt] == [("k", CENT)]
    assert hold.state == "in_doubt"


def test_no_bank_needs_sqlite():
    """What decides knows nothing of where the accounts are."""
    code = "import sys; old = {*sys.modules}; import hivecost.leasing; sys.exit('sqlite3' in {*sys.modules} - old)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
