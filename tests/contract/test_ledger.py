"""H1 to H9 as the stand-alone Ledger keeps them, in one process, over restarts, and beside others on its base path."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime

import anyio
import pytest

from hivecost.errors import (
    BudgetBusyError,
    BudgetExhaustedError,
    ConfigError,
    LedgerUnavailableError,
)
from hivecost.ledger import Budget
from hivecost.store import Ledger
from hivecost.store.ledger import folder, recovery
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

ACME = {"org": "acme", "agent": "planner"}


@pytest.fixture
def base_path(tmp_path):
    return tmp_path / "data"


def total(limit="$1", **more):
    return Budget("all", limit, mode="hard", **more)


async def row_of(ledger, budget="all"):
    return next(row for row in await ledger.status() if row.budget == budget)


async def sums(ledger, budget="all"):
    row = await row_of(ledger, budget)
    return row.settled, row.held, row.in_doubt


async def die(ledger):
    """What SIGKILL leaves of an open Ledger: its journal, without anybody who holds its lock."""
    _, visitor = ledger._opened
    visitor.stop(5.0)
    await ledger._tasks.__aexit__(None, None, None)
    ledger._database.close()
    ledger._database.let_go()


async def test_a_hold_is_set_aside_and_settled(base_path):
    """What was held is charged at the bill, once, and the rest goes back; it stays so after a restart."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        async with await ledger.reserve(ACME, usd="$0.40", key="attempt-1") as hold:
            assert await sums(ledger) == (0, 400_000_000, 0)
            assert await ledger.reserve(ACME, usd="0.40", key="attempt-1") is hold
            hold.settle(usd=0.3)
            assert hold.settle(usd="0.9") is None
        assert await sums(ledger) == (300_000_000, 0, 0)
        assert await ledger.remaining(ACME) == {"usd": 700_000_000}
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        assert await sums(ledger) == (300_000_000, 0, 0)
    assert list((base_path / "ledger").iterdir()) == []


async def test_released_costs_nothing(base_path):
    """H5: only what was surely not sent goes back in full."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        async with await ledger.reserve(ACME, usd="1") as hold:
            assert hold.release()
            assert not hold.release()
        assert await sums(ledger) == (0, 0, 0)


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
async def test_left_unsettled_it_is_in_doubt(base_path, error):
    """H5: charged at the hold, until someone who knows better resolves it."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        with suppress(ZeroDivisionError):
            async with await ledger.reserve(ACME, usd="0.40", key="k"):
                if error is not None:
                    raise error
        assert await sums(ledger) == (0, 0, 400_000_000)
        (doubt,) = await ledger.in_doubt()
        assert (doubt.key, doubt.reason, doubt.amounts[0].amount) == ("k", "left unsettled", 400_000_000)
        await ledger.resolve(doubt.hold_id, usd="0.1", by="ada")
        assert await sums(ledger) == (100_000_000, 0, 0)
        with pytest.raises(ConfigError, match="in doubt"):
            await ledger.resolve(doubt.hold_id, usd="0.1", by="ada")


async def test_all_accounts_or_none(base_path):
    """H3: what one budget refuses is held on no other."""
    budgets = [total(), Budget("planner", "$0.10", per="agent", mode="hard"), Budget("n", "2 calls", mode="hard")]
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        with pytest.raises(BudgetExhaustedError, match="'planner'"):
            await ledger.reserve(ACME, usd="0.2")
        (await ledger.reserve(ACME, usd="0.05")).settle()
        (await ledger.reserve(ACME, usd="0.05")).settle()
        with pytest.raises(BudgetExhaustedError):
            await ledger.reserve({**ACME, "agent": "other"}, usd="0.01")
        assert await sums(ledger) == (100_000_000, 0, 0)
        assert await sums(ledger, "n") == (2, 0, 0)


async def test_refusals_differ(base_path):
    """H7: busy while holds may come back, exhausted with the end of the period when none will."""
    clock = FakeClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    budget = Budget("day", "$1", window="day", timezone="Asia/Tokyo", mode="hard")
    async with Ledger.open(base_path, budgets=[budget], clock=clock) as ledger:
        hold = await ledger.reserve(ACME, usd="0.80")
        with pytest.raises(BudgetBusyError) as busy:
            await ledger.reserve(ACME, usd="0.30")
        assert busy.value.retry_after_s > 0
        hold.settle(usd="0.80")
        with pytest.raises(BudgetExhaustedError) as exhausted:
            await ledger.reserve(ACME, usd="0.30")
        assert exhausted.value.reset_at == datetime(2026, 11, 22, 15, tzinfo=UTC)
        assert "needs $0.3000, $0.2000 of $1.0000 remain" in str(exhausted.value)
        clock.advance(3 * 3600)
        async with await ledger.reserve(ACME, usd="0.30") as hold:  # H6: another period, without a reset
            hold.settle(usd="0.30")
        assert [(row.period, row.settled) for row in await ledger.status()] == [("2026-11-23", 300_000_000)]


async def test_a_bill_above_its_hold_freezes_for_all(base_path):
    """H9: charged in full, and nothing more for anybody, after a restart too, until someone looked."""
    async with Ledger.open(base_path, budgets=[total()]) as one, Ledger.open(base_path, budgets=[total()]) as two:
        hold = await one.reserve(ACME, usd="0.10")
        settlement = hold.settle(usd="0.25")
        assert [incident.billed for incident in settlement.incidents] == [250_000_000]
        assert await sums(one) == (250_000_000, 0, 0)
        with pytest.raises(BudgetExhaustedError, match="frozen"):
            await two.reserve(ACME, usd="0.10")
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        with pytest.raises(BudgetExhaustedError, match="frozen"):
            await ledger.reserve(ACME, usd="0.10")
        assert await ledger.remaining(ACME) == {"usd": 0}
        assert await ledger.unfreeze("all", by="ada")
        (await ledger.reserve(ACME, usd="0.10")).settle()
        assert await sums(ledger) == (350_000_000, 0, 0)


async def test_one_process_gets_what_another_does_not_need(base_path):
    """A lease that is not used does not make money unusable."""
    async with Ledger.open(base_path, budgets=[total()]) as one, Ledger.open(base_path, budgets=[total()]) as two:
        (await one.reserve(ACME, usd="0.01")).settle()
        async with await two.reserve(ACME, usd="0.99") as hold:
            hold.settle()
        assert await sums(one) == (1_000_000_000, 0, 0)


async def test_what_others_hold_is_busy(base_path):
    """H7 over Ledgers: held elsewhere may come back, so it is worth asking again."""
    async with Ledger.open(base_path, budgets=[total()]) as one, Ledger.open(base_path, budgets=[total()]) as two:
        hold = await one.reserve(ACME, usd="0.90")
        with pytest.raises(BudgetBusyError):
            await two.reserve(ACME, usd="0.20")
        assert await sums(two) == (0, 900_000_000, 0)
        hold.settle(usd="0.70")
        (await two.reserve(ACME, usd="0.20")).settle()
        assert await sums(two) == (900_000_000, 0, 0)


@pytest.mark.parametrize("settled", [False, True])
async def test_the_dead_are_recovered(base_path, settled):
    """What was open is in doubt, what was settled is settled, the rest of the lease is back."""
    dead = Ledger.open(base_path, budgets=[total()])
    await dead.__aenter__()
    first = await dead.reserve(ACME, usd="0.10", key="first")
    second = await dead.reserve(ACME, usd="0.20", key="second")
    await second.extend(usd="0.10")
    if settled:
        first.settle(usd="0.05")
    await die(dead)
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        assert await sums(ledger) == ((50_000_000, 0, 300_000_000) if settled else (0, 0, 400_000_000))
        assert {hold.key for hold in await ledger.in_doubt()} == {"second"} | (
            {"first"} - ({"first"} if settled else set())
        )
        (await ledger.reserve(ACME, usd="0.60")).settle()


async def test_the_dead_are_recovered_by_whoever_runs_short(base_path):
    """Nobody has to open the ledger anew."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        dead = Ledger.open(base_path, budgets=[total()])
        await dead.__aenter__()
        (await dead.reserve(ACME, usd="0.70")).release()
        await die(dead)
        async with await ledger.reserve(ACME, usd="1") as hold:
            hold.settle()


@pytest.mark.parametrize("proof", ["power loss", "torn journal", "no journal"])
async def test_without_proof_the_whole_lease_is_in_doubt(base_path, monkeypatch, proof):
    """Nothing is refunded on a guess."""
    dead = Ledger.open(base_path, budgets=[total()])
    await dead.__aenter__()
    (await dead.reserve(ACME, usd="0.10")).settle(usd="0.05")
    await die(dead)
    (journal,) = (base_path / "ledger").glob("*.journal")
    if proof == "power loss":
        monkeypatch.setattr(recovery, "boot_id", lambda: "another")
    elif proof == "torn journal":
        journal.write_bytes(b"?" * 1000)
    else:
        journal.unlink()
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        (row,) = await ledger.status()
        assert (row.settled, row.held) == (0, 0)
        assert row.in_doubt >= 100_000_000
        (doubt,) = await ledger.in_doubt()
        await ledger.resolve(doubt.hold_id, usd="0.05", by="ada")
        assert await sums(ledger) == (50_000_000, 0, 0)


async def test_an_execution_is_an_affair_of_its_process(base_path):
    """Its own account is in memory, its money counts on the others; in doubt it stays charged on both."""
    budgets = [total(), Budget("run", "$0.30", window="execution", mode="hard")]
    who = {"execution": "e1"}
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        with suppress(ZeroDivisionError):
            async with await ledger.reserve(who, usd="0.20"):
                raise ZeroDivisionError
        assert await sums(ledger) == (0, 0, 200_000_000)
        with pytest.raises(BudgetExhaustedError, match="'run'"):
            await ledger.reserve(who, usd="0.20")
        assert await sums(ledger, "run") == (0, 0, 200_000_000)
        (await ledger.reserve({"execution": "e2"}, usd="0.20")).settle()
        ledger.forget_execution("e2")
        assert [row.scope for row in await ledger.status() if row.budget == "run"] == ["execution=e1"]


async def test_changes_by_hand_hold_for_all_and_are_on_record(base_path):
    """Limits and freezes, in other Ledgers and after a restart, until another limit is configured."""
    async with Ledger.open(base_path, budgets=[total()]) as one, Ledger.open(base_path) as operator:
        with pytest.raises(BudgetExhaustedError):
            await one.reserve(ACME, usd="1.50")
        await operator.set_limit("all", "$2", by="ada")
        (await one.reserve(ACME, usd="1.50")).settle()
        await operator.freeze("all", "a look", by="ada")
        with pytest.raises(BudgetExhaustedError, match="frozen"):
            await one.reserve(ACME, usd="0.50")
        assert await operator.unfreeze("all", by="ada")
        assert not await operator.unfreeze("all", by="ada")
        with pytest.raises(ConfigError, match="one of 'all'"):
            await operator.set_limit("none", 1, by="ada")
    for configured, in_force in (("$1", 2), ("$3", 3)):
        async with Ledger.open(base_path, budgets=[total(configured)]) as ledger:
            row = await row_of(ledger)
            assert (row.limit, row.settled) == (in_force * 10**9, 1_500_000_000)


async def test_a_budget_that_counts_anew_needs_a_new_name(base_path):
    """Sums of one unit or window are never read as those of another."""
    async with Ledger.open(base_path, budgets=[total()]):
        pass
    for budget in (total("5 calls"), total(window="day"), total(per="user"), total(timezone="Europe/Berlin")):
        with pytest.raises(ConfigError, match="new name"):
            async with Ledger.open(base_path, budgets=[budget]):
                pass


async def test_a_shadow_budget_only_says_what_it_would_do(base_path):
    """Its turns pass, are counted, and carry the refusal."""
    async with Ledger.open(base_path, budgets=[total(), Budget("trial", "$0.1", mode="hard", shadow=True)]) as ledger:
        async with await ledger.reserve(ACME, usd="0.20") as hold:
            assert [refusal.budget for refusal in hold.shadowed] == ["trial"]
            hold.settle(usd="0.20")
        assert await sums(ledger, "trial") == (200_000_000, 0, 0)


async def test_settling_works_from_any_thread(base_path):
    """H4: many threads, each hold settled by two of them, and charged once."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        holds = [await ledger.reserve(ACME, nanousd=1_000) for _ in range(200)]
        threads = [threading.Thread(target=lambda: [hold.settle(nanousd=900) for hold in holds]) for _ in range(4)]
        for thread in threads:
            thread.start()
        await anyio.to_thread.run_sync(lambda: [thread.join() for thread in threads])
        assert await sums(ledger) == (200 * 900, 0, 0)


async def test_a_full_journal_is_emptied_or_refuses(base_path):
    """Settled holds make room as soon as they are committed; open ones do not."""
    async with Ledger.open(base_path, budgets=[total()], holds_max=4) as ledger:
        for _ in range(20):
            (await ledger.reserve(ACME, nanousd=10)).settle()
        holds = [await ledger.reserve(ACME, nanousd=10) for _ in range(4)]
        assert ledger.reserve_nowait(ACME, nanousd=10) is None
        with pytest.raises(LedgerUnavailableError, match="holds_max"):
            await ledger.reserve(ACME, nanousd=10)
        holds[0].settle()
        (await ledger.reserve(ACME, nanousd=10)).settle()
        assert (await sums(ledger))[0] == 220


async def test_out_of_reach_it_refuses(base_path):
    """H8: fail closed, before, while and after it is open."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        hold = await ledger.reserve(ACME, usd="0.01")
    with pytest.raises(LedgerUnavailableError, match="closed"):
        await ledger.reserve(ACME, usd="0.01")
    with pytest.raises(LedgerUnavailableError, match=r"in doubt: settle it with resolve"):
        hold.settle(usd="0.01")
    (base_path / "hivecost.db").write_bytes(b"no database at all, whatever its name says" * 100)
    with pytest.raises(LedgerUnavailableError, match=r"hivecost\.db"):
        async with Ledger.open(base_path, budgets=[total()]):
            pass
    with pytest.raises(LedgerUnavailableError):
        await Ledger.open(base_path).reserve(ACME, usd="0.01")


async def test_a_disk_that_fails_meanwhile_refuses_and_loses_nothing(base_path, monkeypatch):
    """H8: no lease, no hold; what was settled meanwhile is committed when the disk is back."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        hold = await ledger.reserve(ACME, usd="0.01")
        database = ledger._database

        def failing(work):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(database, "_transact", failing)
            hold.settle(usd="0.005")
            with pytest.raises(LedgerUnavailableError, match="make room"):
                await ledger.reserve(ACME, usd="0.90")
        (await ledger.reserve(ACME, usd="0.90")).settle()
        assert await sums(ledger) == (905_000_000, 0, 0)


async def test_amounts_that_cannot_be(base_path):
    """Named, and nothing is held."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        for amounts in ({}, {"usd": -1}, {"usd": 1, "nanousd": 1}, {"nanousd": 10**30}, {"usd": 1, "tokens": -1}):
            with pytest.raises(ConfigError):
                await ledger.reserve(ACME, **amounts)
        hold = await ledger.reserve(ACME, usd="0.5")
        for amounts in ({"nanousd": -1}, {"usd": "x"}, {"tokens": 1.5}):
            with pytest.raises(ConfigError):
                hold.settle(**amounts)
        hold.settle()
        assert await sums(ledger) == (500_000_000, 0, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_forked_child_does_not_use_its_parents_ledger(base_path):
    """Neither its holds nor its lock: when the parent is gone, others recover it."""
    script = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore")
from hivecost.errors import LedgerUnavailableError
from hivecost.ledger import Budget
from hivecost.store import Ledger
async def main():
    async with Ledger.open(sys.argv[1], budgets=[Budget("all", "$1", mode="hard")]) as ledger:
        hold = await ledger.reserve({}, usd="0.10")
        if os.fork() == 0:
            for work in (lambda: ledger.reserve_nowait({}, usd="0.01"), lambda: hold.settle(usd="0.1")):
                try:
                    work()
                except LedgerUnavailableError as error:
                    os.write(1, f"{'parent' in str(error)} ".encode())
            sys.stdin.read()
            os._exit(0)
        await asyncio.sleep(0.2)
        os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(base_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    await anyio.to_thread.run_sync(parent.wait)
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        assert await sums(ledger) == (0, 0, 100_000_000)
    assert parent.communicate()[0] == b"True True "


async def test_the_boot_id_is_the_machines(base_path):
    """It is the same at every look, so that only another boot makes a difference."""
    assert folder.boot_id() == folder.boot_id()


async def test_under_a_lower_limit_nobody_keeps_an_unused_lease(base_path):
    """What one Ledger leased under the old limit and does not need is not spent beyond the new one."""
    async with Ledger.open(base_path, budgets=[total("$100")]) as one, Ledger.open(base_path) as operator:
        (await one.reserve(ACME, usd="1")).settle()
        await operator.set_limit("all", "$1", by="ada")
        with anyio.fail_after(10):
            while one.reserve_nowait(ACME, usd="0.01") is not None:  # within a beat or two
                await anyio.sleep(0.02)
        with pytest.raises(BudgetExhaustedError):
            await one.reserve(ACME, usd="0.01")


async def test_cancelled_surroundings_may_still_wait_for_it(base_path):
    """A shielded cleanup reserves and looks, as its caller would."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.sleep(1)
            finally:
                with anyio.CancelScope(shield=True):
                    (await ledger.reserve(ACME, usd="0.1")).settle()
                    assert await sums(ledger) == (100_000_000, 0, 0)
    with anyio.CancelScope() as scope:
        async with Ledger.open(base_path, budgets=[total()]) as ledger:
            scope.cancel()
            with anyio.CancelScope(shield=True):
                (await ledger.reserve(ACME, usd="0.1")).settle()
                assert await sums(ledger) == (200_000_000, 0, 0)
    async with Ledger.open(base_path) as ledger:
        assert await sums(ledger) == (200_000_000, 0, 0)


async def test_usage_that_arrives_while_its_doubt_is_committed_frees_nothing_here(base_path, monkeypatch):
    """What goes back then is the account's, not this process's lease: it is lent again before it is held again."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        hold = await ledger.reserve(ACME, usd="0.90")
        transact, granted = ledger._database._transact, []

        def late(work):
            result = transact(work)
            if not granted:
                hold.settle(usd="0.10")
                granted.append(ledger.reserve_nowait(ACME, usd="0.50"))
            return result

        hold.doubt()
        with monkeypatch.context() as patched:
            patched.setattr(ledger._database, "_transact", late)
            await ledger.status()
        assert granted == [None]
        assert await sums(ledger) == (100_000_000, 0, 0)
        (await ledger.reserve(ACME, usd="0.90")).settle()
