"""What a ledger that runs for long keeps in memory: the accounts that are in use, and not those that ever were."""

from __future__ import annotations

import sqlite3
import weakref
from datetime import UTC, datetime

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hivecost.backends import Ledger
from hivecost.errors import BudgetExceededError
from hivecost.leasing import leases
from hivecost.ledger import Budget
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

DAY_S = 24 * 3600
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def hard(limit, name="b", **more):
    return Budget(name, limit, mode="hard", **more)


@pytest.fixture
def alive():
    """Scopes and periods of the accounts that were noted and are still in memory."""
    noted: list[weakref.ref] = []

    class Alive:
        def note(self, hold):
            noted.extend(map(weakref.ref, hold._entry.made_on))

        def __call__(self):
            there = {id(account): account for reference in noted if (account := reference()) is not None}
            return sorted((account.scope, account.period.name) for account in there.values())

    return Alive()


def rows(base_path, sql):
    connection = sqlite3.connect(base_path / "hivecost.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def test_accounts_of_periods_that_are_over_are_not_kept(base_path, alive):
    """Those of the last two periods are; what the others had leased has gone back."""
    clock = FakeClock(NOON)
    async with Ledger.open(base_path, budgets=[hard("$1", window="day", per="user")], clock=clock) as ledger:
        for day in range(4):
            for user in ("ada", "bob"):
                hold = await ledger.reserve({"user": user}, nanousd=1_000)
                alive.note(hold)
                hold.settle(nanousd=700)
            del hold
            await ledger.status()
            if day < 3:
                clock.advance(DAY_S)
        assert alive() == [(f"user={user}", f"2026-11-{day}") for user in ("ada", "bob") for day in (24, 25)]
        leased = "SELECT DISTINCT period FROM ledger_leases JOIN ledger_accounts ON id = account_id WHERE amount > 0"
        assert {period for (period,) in rows(base_path, leased)} <= {"2026-11-24", "2026-11-25"}
        settled = rows(base_path, "SELECT DISTINCT settled FROM ledger_accounts")
        assert settled == [(700,)]


async def test_an_account_with_something_held_stays(base_path, alive, sums):
    """However many periods pass, and its bill is charged where it was held."""
    clock = FakeClock(NOON)
    async with Ledger.open(base_path, budgets=[hard("$1", window="day")], clock=clock) as ledger:
        hold = await ledger.reserve({}, nanousd=1_000)
        alive.note(hold)
        for _ in range(4):
            clock.advance(DAY_S)
            (await ledger.reserve({}, nanousd=5)).settle()
            await ledger.status()
        assert alive() == [("", "2026-11-22")]
        assert [(row.period, row.held) for row in await ledger.status()] == [("2026-11-22", 1_000), ("2026-11-26", 0)]
        hold.settle(nanousd=900)
        assert [(row.period, row.settled) for row in await ledger.status()] == [("2026-11-26", 5)]
    assert rows(base_path, "SELECT settled FROM ledger_accounts WHERE period = '2026-11-22'") == [(900,)]


async def test_the_bill_of_a_hold_that_was_released_finds_an_account_that_is_over(base_path):
    """It is charged there in full."""
    clock = FakeClock(NOON)
    async with Ledger.open(base_path, budgets=[hard("$1", window="day")], clock=clock) as ledger:
        hold = await ledger.reserve({}, nanousd=1_000)
        hold.release()
        for _ in range(3):
            clock.advance(DAY_S)
            (await ledger.reserve({}, nanousd=5)).settle()
            await ledger.status()
        assert [incident.billed for incident in hold.settle(nanousd=300).incidents] == [300]
        await ledger.status()
    assert rows(base_path, "SELECT settled, overrun FROM ledger_accounts WHERE period = '2026-11-22'") == [(300, 300)]


@pytest.mark.parametrize("budget", [hard("3 calls", per="user"), hard("3 calls", window="session")])
async def test_accounts_without_an_end_are_bounded(base_path, alive, monkeypatch, budget):
    """The longest unused ones are read from the database when they are needed again: a spent one stays spent."""
    monkeypatch.setattr(leases, "ACCOUNTS_MAX", 8)
    async with Ledger.open(base_path, budgets=[budget]) as ledger:
        for number in range(50):
            who = {"user": f"u{number}", "session": f"s{number}"}
            hold = await ledger.reserve(who, calls=3)
            alive.note(hold)
            hold.settle(calls=3)
        del hold
        await ledger.status()
        assert 6 <= len(alive()) <= 8
        for number in (0, 25, 49):
            with pytest.raises(BudgetExceededError):
                await ledger.reserve({"user": f"u{number}", "session": f"s{number}"})


async def test_accounts_of_executions_are_dropped_with_them_only(base_path, monkeypatch):
    """Nobody else knows what was spent there."""
    monkeypatch.setattr(leases, "ACCOUNTS_MAX", 2)
    async with Ledger.open(base_path, budgets=[hard("3 calls", window="execution")]) as ledger:
        for number in range(10):
            (await ledger.reserve({"execution": f"e{number}"}, calls=3)).settle()
        for number in range(10):
            with pytest.raises(BudgetExceededError):
                await ledger.reserve({"execution": f"e{number}"})


async def test_many_with_open_holds_are_all_kept(base_path, monkeypatch):
    """Beyond the bound, too: what is held is never forgotten, and each of them counts."""
    monkeypatch.setattr(leases, "ACCOUNTS_MAX", 4)
    async with Ledger.open(base_path, budgets=[hard("2 calls", per="user")]) as ledger:
        holds = [await ledger.reserve({"user": f"u{number}"}, calls=2) for number in range(20)]
        for number in range(20):
            with pytest.raises(BudgetExceededError):
                await ledger.reserve({"user": f"u{number}"})
        for hold in holds:
            hold.settle(calls=1)
        for number in range(20):
            await ledger.reserve({"user": f"u{number}"})
            with pytest.raises(BudgetExceededError):
                await ledger.reserve({"user": f"u{number}"})


async def test_a_raised_limit_reaches_an_account_that_was_dropped(base_path, monkeypatch):
    """It is found with the limit of now, whoever kept it alive."""
    monkeypatch.setattr(leases, "ACCOUNTS_MAX", 1)
    async with Ledger.open(base_path, budgets=[hard("2 calls", per="user")]) as ledger:
        kept = await ledger.reserve({"user": "ada"}, calls=2)
        kept.settle()
        (await ledger.reserve({"user": "bob"})).settle()
        await ledger.set_limit("b", "10 calls", by="ada")
        hold = await ledger.reserve({"user": "ada"})
        assert hold._entry.made_on == kept._entry.made_on
        assert hold.settle().crossings == ()  # 3 of 10 are nothing to warn of


steps = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(["settle", "release", "doubt", "hold", "commit"])), max_size=40
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(steps)
async def test_dropping_accounts_changes_no_sum(tmp_path_factory, monkeypatch, taken):
    """H1: over any mix of users, with two accounts kept of six: nobody has more than the limit, or less."""
    monkeypatch.setattr(leases, "ACCOUNTS_MAX", 2)
    left = dict.fromkeys("abcdef", 5)
    open_holds = []
    async with Ledger.open(tmp_path_factory.mktemp("data"), budgets=[hard("5 calls", per="user")]) as ledger:
        for user, step in taken:
            if step == "commit":
                await ledger.status()
            elif left[user]:
                hold = await ledger.reserve({"user": user})
                if step == "hold":
                    open_holds.append(hold)
                else:
                    getattr(hold, step)()
                left[user] -= step != "release"
            else:
                with pytest.raises(BudgetExceededError):
                    await ledger.reserve({"user": user})
        found = {row.scope: row.remaining for row in await ledger.status()}
        assert found == {f"user={user}": calls for user, calls in left.items() if f"user={user}" in found}
        assert {f"user={user}" for user, calls in left.items() if calls < 5} <= set(found)


async def test_a_hold_that_is_in_doubt_after_its_execution_leaves_nothing(base_path):
    """A turn of a thread that goes on: what the database has is all there is, as with one before the end."""
    budgets = [hard("$1", "run", window="execution"), hard("$1", "all")]
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        local, _ = ledger._opened
        for number in range(20):
            hold = await ledger.reserve({"execution": f"e{number}"}, nanousd=1_000)
            ledger.forget_execution(f"e{number}")
            hold.doubt()
        assert [(row.budget, row.in_doubt) for row in await ledger.status()] == [("all", 20_000)]
        assert (len(local._state.open_holds), len(local._in_doubt_of), len(local._state.status())) == (0, 0, 1)


async def test_leases_of_accounts_that_are_over_go_back_by_themselves(base_path):
    """Also while nobody asks for anything more of them."""
    clock = FakeClock(NOON)
    async with Ledger.open(base_path, budgets=[hard("$1", window="day")], clock=clock) as ledger:
        for _ in range(3):
            (await ledger.reserve({}, nanousd=5)).settle()
            clock.advance(DAY_S)
        leased = "SELECT coalesce(sum(amount), 0) FROM ledger_leases"
        with anyio.fail_after(20):
            while rows(base_path, leased) != [(0,)]:
                await anyio.sleep(0.05)
