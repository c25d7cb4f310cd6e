"""Accounts whose period was over leave the ledger with a prune; whatever may still be asked of them does not."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from hivecost.backends import Ledger
from hivecost.backends.sqlite import prune
from hivecost.backends.sqlite.log import retention
from hivecost.ledger import Budget
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY_S = 24 * 3600
HOUR_NS = 3600 * 10**9
BUDGETS = [
    Budget("day", "$1", window="day", per="user", mode="hard"),
    Budget("all", "$9", per="user", mode="hard"),
    Budget("shadow", "$9", window="day", mode="hard", shadow=True),
]


class PruningClock(FakeClock):
    """Time goes by days only: the pause between two transactions takes none."""

    async def sleep(self, seconds: float) -> None:
        pass


@pytest.fixture
def clock():
    return PruningClock(NOON)


@pytest.fixture
def prune_older(base_path, clock, tables):
    async def prune_older(hours: int, **more):
        """How many accounts went."""
        pruned = await prune(base_path, clock.now_ns() - hours * HOUR_NS, clock=clock, **more)
        assert tables() == []
        return pruned.accounts

    return prune_older


@pytest.fixture
def periods(base_path):
    def periods(budget="day"):
        connection = sqlite3.connect(base_path / "hivecost.db")
        rows = connection.execute("SELECT DISTINCT period FROM ledger_accounts WHERE budget = ? ORDER BY 1", [budget])
        found = [period for (period,) in rows]
        connection.close()
        return found

    return periods


async def spend(ledger, *users):
    for user in users:
        (await ledger.reserve({"user": user}, nanousd=100)).settle(nanousd=70)
    await ledger.status()


async def test_accounts_that_are_over_go(base_path, clock, prune_older, periods, monkeypatch):
    """In as many transactions as it takes; those of now, and those that never end, stay with all their sums."""
    monkeypatch.setattr(retention, "BATCH_ROWS", 4)
    async with Ledger.open(base_path, budgets=BUDGETS, clock=clock) as ledger:
        for _ in range(5):
            await spend(ledger, "ada", "bob", "eve")
            clock.advance(DAY_S)
        await spend(ledger, "ada", "bob", "eve")
        before = await ledger.status()
        assert await prune_older(1, dry_run=True) == 4 * 4
        assert await prune_older(1) == 4 * 4
        assert await prune_older(1) == 0
        assert periods() == periods("shadow") == ["2026-11-26", "2026-11-27"]
        assert await ledger.status() == before


async def test_the_last_day_stays_whatever_is_asked_for(base_path, clock, prune_older, periods):
    """The clock of another process may be behind: on an account that it finds anew it would spend once more."""
    async with Ledger.open(base_path, budgets=BUDGETS, clock=clock) as ledger:
        await spend(ledger, "ada")
        clock.advance(DAY_S)
        await spend(ledger, "ada")
        clock.advance(11 * 3600)
        assert await prune_older(1) == 0
        clock.advance(2 * 3600)
        await spend(ledger, "ada")
        assert await prune_older(1) == 2
        assert periods() == ["2026-11-23", "2026-11-24"]


@pytest.mark.parametrize("state", ["held", "in doubt", "resolved since", "settled", "resolved long ago"])
async def test_what_is_open_keeps_its_account(base_path, clock, prune_older, periods, state):
    """Held or in doubt, or resolved after the day up to which is pruned: its bill may still come."""
    async with Ledger.open(base_path, budgets=BUDGETS, clock=clock) as ledger:
        hold = await ledger.reserve({"user": "ada"}, nanousd=100)
        if state == "settled":
            hold.settle(nanousd=70)
        elif state != "held":
            hold.doubt()
            (in_doubt,) = await ledger.in_doubt()
            if state == "resolved long ago":
                await ledger.resolve(in_doubt.hold_id, nanousd=70, by="ada")
        for day in range(4):
            clock.advance(DAY_S)
            await spend(ledger, "bob")
            if day == 2 and state == "resolved since":
                await ledger.resolve(in_doubt.hold_id, nanousd=70, by="ada")
        await prune_older(48)
        kept = state in ("held", "in doubt", "resolved since")
        assert ("2026-11-22" in periods()) == kept
        if state in ("held", "in doubt"):
            assert hold.settle(nanousd=60) is not None
            assert [row.settled for row in await ledger.status() if row.scope == "user=ada"] == [60]
            assert await ledger.in_doubt() == []


async def test_a_late_bill_finds_an_account_that_was_pruned(base_path, clock, prune_older):
    """Of a hold that was released, long after; it is charged there, and nowhere else."""
    async with Ledger.open(base_path, budgets=BUDGETS, clock=clock) as ledger:
        hold = await ledger.reserve({"user": "ada"}, nanousd=100)
        await spend(ledger, "bob")
        hold.release()
        for _ in range(4):
            clock.advance(DAY_S)
            await spend(ledger, "bob")
        assert await prune_older(24) == 7
        assert [incident.billed for incident in hold.settle(nanousd=60).incidents] == [60, 60, 60]
        await ledger.status()
        connection = sqlite3.connect(base_path / "hivecost.db")
        sums = connection.execute(
            "SELECT budget, period, scope, settled FROM ledger_accounts WHERE scope <> 'user=bob' AND settled > 0"
            " AND (period IN ('2026-11-22', 'total')) ORDER BY budget"
        ).fetchall()
        connection.close()
        assert sums == [
            ("all", "total", "user=ada", 60),
            ("day", "2026-11-22", "user=ada", 60),
            ("shadow", "2026-11-22", "", 60),
        ]


async def test_no_number_is_given_twice(base_path, clock, prune_older):
    """A process may still name an account that was pruned by its number."""
    async with Ledger.open(base_path, budgets=BUDGETS[:1], clock=clock) as ledger:
        await spend(ledger, "ada", "bob")
    clock.advance(4 * DAY_S)
    assert await prune_older(24) == 1
    async with Ledger.open(base_path, budgets=BUDGETS[:1], clock=clock) as ledger:
        await spend(ledger, "eve")
    connection = sqlite3.connect(base_path / "hivecost.db")
    assert connection.execute("SELECT id, scope FROM ledger_accounts").fetchall() == [(2, "user=bob"), (3, "user=eve")]
    connection.close()
