"""How the accounts stand, read beside those who spend them: never less than is true, and nobody waits."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from hivecost.backends import Ledger
from hivecost.backends.sqlite import read_accounts, read_doubts
from hivecost.backends.sqlite.database import open_reader, open_writer
from hivecost.backends.sqlite.lease_bank import status
from hivecost.backends.sqlite.log import retention
from hivecost.backends.sqlite.os_lock import exclusive
from hivecost.leasing import LeasePolicy
from hivecost.ledger import Budget
from hivecost.testing import FakeClock
from hivecost.threads import run_in_thread

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY_NS = 24 * 3600 * 10**9


def hard(limit, name="b", **more):
    return Budget(name, limit, mode="hard", **more)


def standing(base_path, now_ns=0):
    """(settled, held, in doubt) of each account."""
    return [(row.settled, row.held, row.in_doubt) for row in read_accounts(base_path, now_ns)]


class Meanwhile:
    """What happens on the event loop, each time after the journals were read and before the database is."""

    def __init__(self):
        self.waiting = []

    def append(self, happens):
        token = anyio.lowlevel.current_token()
        self.waiting.append(lambda: anyio.from_thread.run(happens, token=token))


@pytest.fixture
def meanwhile(monkeypatch):
    real, meanwhile = status.read_journal, Meanwhile()

    def read_journal(path):
        slots = real(path)
        if meanwhile.waiting:
            meanwhile.waiting.pop(0)()
        return slots

    monkeypatch.setattr(status, "read_journal", read_journal)
    return meanwhile


@pytest.mark.parametrize("calls", [2, 7])
@pytest.mark.parametrize("dies", [False, True])
async def test_a_bill_that_comes_late_counts_before_it_is_committed(base_path, monkeypatch, die, calls, dies):
    """In place of the hold in doubt that it settles, also above it, and whether or not its process lives."""
    policy = LeasePolicy(settle_s=1e9)
    ledger = await Ledger.open(base_path, budgets=[hard("100 calls")], policy=policy).__aenter__()
    hold, other = [await ledger.reserve({}, calls=5) for _ in range(2)]
    hold.doubt()
    await ledger.in_doubt()  # commits
    assert standing(base_path) == [(0, 5, 5)]
    hold.settle(calls=calls)
    if dies:
        await die(ledger)
    assert standing(base_path) == [(calls, 0, 5) if dies else (calls, 5, 0)]
    assert other.state == "held"
    if not dies:
        await ledger.__aexit__(None, None, None)
    async with Ledger.open(base_path):
        assert standing(base_path) == [(calls, 0, 5)]


@pytest.mark.parametrize("end", ["settle", "doubt", "release"])
async def test_a_hold_that_ends_while_it_is_read_counts_once(base_path, meanwhile, end):
    """Whether the journal still had it or the database had it already."""
    async with Ledger.open(base_path, budgets=[hard("100 calls")]) as ledger:
        holds = [await ledger.reserve({}, calls=3) for _ in range(2)]

        async def ends():
            getattr(holds.pop(), end)()
            await ledger.in_doubt()  # commits

        meanwhile.append(ends)
        found = await run_in_thread(partial(standing, base_path))
        if end == "release":  # as it stood before, or after
            assert found in ([(0, 6, 0)], [(0, 3, 0)])
        else:
            assert found == [(3, 3, 0) if end == "settle" else (0, 3, 3)]
        assert meanwhile.waiting == []


async def test_beside_settlements_without_end_it_is_never_less_than_true(base_path, meanwhile):
    """Where settlements are committed each time, what was held may count beside its bill, within what is leased."""
    async with Ledger.open(base_path, budgets=[hard("1_000 calls")]) as ledger:
        settled = 0

        async def ends():
            nonlocal settled
            (await ledger.reserve({}, calls=2)).settle(calls=2)
            settled += 2
            await ledger.in_doubt()  # commits
            meanwhile.append(ends)

        hold = await ledger.reserve({}, calls=5)
        meanwhile.append(ends)
        ((found, held, in_doubt),) = await run_in_thread(partial(standing, base_path))
        meanwhile.waiting.clear()
        assert (settled >= 20, found, in_doubt) == (True, settled, 0)
        assert 5 <= held <= 1_000 // 32
        hold.settle()


async def test_a_process_that_comes_or_goes_while_it_is_read_is_counted(base_path, meanwhile):
    """With what it settled."""
    budgets, turns = [hard("100 calls")], {name: anyio.Event() for name in ("come", "came", "go", "gone")}

    async def other():
        await turns["come"].wait()
        async with Ledger.open(base_path, budgets=budgets) as ledger:
            (await ledger.reserve({}, calls=7)).settle()
            turns["came"].set()
            await turns["go"].wait()
        turns["gone"].set()

    async def until(wanted, done):
        turns[wanted].set()
        await turns[done].wait()

    async with anyio.create_task_group() as tasks, Ledger.open(base_path, budgets=budgets) as ledger:
        tasks.start_soon(other)
        (await ledger.reserve({}, calls=1)).settle()
        for wanted, done in (("come", "came"), ("go", "gone")):
            meanwhile.append(partial(until, wanted, done))
            assert await run_in_thread(partial(standing, base_path)) == [(8, 0, 0)]


async def test_what_cannot_be_told_is_charged_within_what_is_leased(base_path, meanwhile, monkeypatch):
    """Of a hold that may be settled what is left of the lease, and all that a newcomer has leased."""
    monkeypatch.setattr(status, "_ATTEMPTS_MAX", 1)
    come, came = anyio.Event(), anyio.Event()
    found = []

    async def ends():
        hold.settle()
        await ledger.in_doubt()  # commits

    async def comes():
        come.set()
        await came.wait()

    async def read():
        found.extend(await run_in_thread(partial(standing, base_path)))

    async with Ledger.open(base_path, budgets=[hard("100 calls")]) as ledger:
        hold = await ledger.reserve({}, calls=3)
        meanwhile.append(ends)
        await read()
        assert found == [(3, 0, 0)]
        meanwhile.append(comes)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await come.wait()
            async with Ledger.open(base_path, budgets=[hard("100 calls")]) as other:
                await other.reserve({}, calls=7)
                came.set()
                while len(found) < 2:
                    await anyio.lowlevel.checkpoint()
        assert found[1] == (3, 7, 0)


async def test_nobody_is_waited_for(base_path):
    """Not for whoever has the write lock, in this process or another, or stands in a transaction."""
    async with Ledger.open(base_path, budgets=[hard("100 calls")]) as ledger:
        hold = await ledger.reserve({}, calls=4)
        await ledger.in_doubt()
        with exclusive(base_path), closing(open_writer(base_path)) as writer, anyio.fail_after(10):
            writer.execute("BEGIN IMMEDIATE")
            assert standing(base_path) == [(0, 4, 0)]
            assert [(row.settled, row.held) for row in await ledger.status()] == [(0, 4)]
            assert await ledger.remaining({}) == {"calls": 96}
        hold.release()


async def test_what_this_process_settled_is_there(base_path):
    """At once, though it is committed in batches."""
    async with Ledger.open(base_path, budgets=[hard("100 calls")]) as ledger:
        for _ in range(3):
            (await ledger.reserve({}, calls=2)).settle()
            (await ledger.reserve({}, calls=5)).doubt()
        assert [(row.settled, row.held, row.in_doubt) for row in await ledger.status()] == [(6, 0, 15)]
        assert await ledger.remaining({}) == {"calls": 79}


def calls_of(holds):
    return [(hold.hold_id, hold.key, hold.reason, [amount.amount for amount in hold.amounts]) for hold in holds]


def lose_power(base_path):
    with closing(sqlite3.connect(base_path / "hivecost.db")) as connection, connection:
        connection.execute("UPDATE ledger_processes SET boot_id = 'before'")


def tear_journal(base_path):
    for journal in (base_path / "ledger").glob("*.journal"):
        journal.write_bytes(b"torn")


@pytest.mark.parametrize("fault", [lambda base_path: None, lose_power, tear_journal])
async def test_what_the_dead_left_reads_as_it_is_recovered(base_path, die, fault):
    """Their open holds are in doubt, or all that they had leased; reading recovers nobody, and writes nothing."""
    ledger = await Ledger.open(base_path, budgets=[hard("100 calls"), hard("9 calls", "s", shadow=True)]).__aenter__()
    (await ledger.reserve({}, calls=1)).settle()
    await ledger.in_doubt()
    hold = await ledger.reserve({}, calls=2, key="attempt-7")
    (await ledger.reserve({}, calls=1)).settle()
    await die(ledger)
    assert hold.state == "held"
    fault(base_path)
    files = {path: path.read_bytes() for path in base_path.rglob("*") if path.is_file() and "-shm" not in path.name}
    doubts, stand = calls_of(read_doubts(base_path, 5)), standing(base_path)
    assert {path: path.read_bytes() for path in files} == files
    made = {path for path in base_path.rglob("*") if path.is_file()} - set(files)
    assert {path.name for path in made} <= {"hivecost.db-shm", "hivecost.db-wal"}
    async with Ledger.open(base_path) as recovered:
        assert calls_of(await recovered.in_doubt()) == doubts
        assert [(row.settled, row.held, row.in_doubt) for row in await recovered.status()] == stand
        assert sum(sum(amounts) for *_, amounts in doubts) == sum(in_doubt for _, _, in_doubt in stand) > 0


async def test_accounts_that_are_over_are_left_out_unless_something_is_open_there(base_path):
    """Held, in doubt, or neither: of many periods only those that still matter, oldest first."""
    clock = FakeClock(NOON)
    async with Ledger.open(base_path, budgets=[hard("$1", window="day")], clock=clock) as ledger:
        open_holds = []
        for day in range(5):
            (await ledger.reserve({}, nanousd=5)).settle()
            if day in (1, 2):
                open_holds.append(await ledger.reserve({}, nanousd=70))
            clock.advance(24 * 3600)
        open_holds[0].doubt()
        rows = [(row.period, row.settled, row.held, row.in_doubt) for row in await ledger.status()]
        assert rows == [("2026-11-23", 5, 0, 70), ("2026-11-24", 5, 70, 0)]


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        (
            status.LOAD_ACCOUNTS,
            (
                "SEARCH a USING INDEX ledger_accounts_by_end (end_ns=?)",
                "SEARCH a USING INDEX ledger_accounts_by_end (end_ns>?)",
                "SEARCH a USING INDEX ledger_accounts_in_doubt (in_doubt>?)",
            ),
        ),
        (status.LOAD_ACCOUNT, ("SEARCH a USING INTEGER PRIMARY KEY (rowid=?)",)),
        (
            status.LOAD_REMAINING,
            ("SEARCH a USING INDEX sqlite_autoindex_ledger_accounts_1 (budget=? AND start_ns=? AND account_values=?)",),
        ),
        (retention.OLDEST_ACCOUNTS, ("SEARCH a USING INDEX ledger_accounts_by_end (end_ns<?)",)),
    ],
)
def test_years_of_accounts_are_not_walked_through(tmp_path, sql, parts):
    """Every table is searched, and by the index that was made for it."""
    names = ("now_ns", "id", "budget", "start_ns", "account_values", "before_ns", "rows")
    with closing(open_reader(tmp_path)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(names, 0))]
    assert [part for part in parts if not any(step.startswith(part) for step in plan)] == [], plan
    assert [step for step in plan if step.startswith("SCAN")] == []


SPENDER = """
import sys, anyio
from hivecost.ledger import Budget
from hivecost.backends import Ledger

async def main():
    settled = 0
    async with Ledger.open(sys.argv[1], budgets=[Budget("b", "1_000_000 calls", mode="hard")]) as ledger:
        async with anyio.create_task_group() as tasks:
            async def stop():
                print("ready", flush=True)
                await anyio.to_thread.run_sync(sys.stdin.readline)
                tasks.cancel_scope.cancel()
            tasks.start_soon(stop)
            while settled < 400_000:
                (await ledger.reserve({}, calls=4)).settle(calls=4)
                settled += 4
                await anyio.sleep(0.0001)
    print(settled, flush=True)

anyio.run(main)
"""


async def test_read_beside_two_processes_what_is_charged_never_falls(base_path):
    """Each bill is what was held: so no reading shows less than the one before, and the last one shows it all."""
    command = [sys.executable, "-c", SPENDER, str(base_path)]
    spenders = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for spender in spenders:
            assert spender.stdout.readline() == "ready\n"
        settled = []
        for _ in range(60):
            settled += [row[0] for row in await run_in_thread(partial(standing, base_path))]
        assert settled == sorted(settled)
        assert settled[0] < settled[-1]
    finally:
        answers = [spender.communicate("\n", timeout=60)[0] for spender in spenders]
    assert standing(base_path) == [(sum(map(int, answers)), 0, 0)]
