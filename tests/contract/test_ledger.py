"""What only a ledger of files and processes has to keep; test_ledger_contract.py has what every ledger promises."""

from __future__ import annotations

import os
import subprocess
import sys

import anyio
import pytest

from hivecost.backends import Ledger
from hivecost.backends.sqlite.lease_bank import paths, recovery
from hivecost.errors import BudgetExhaustedError, ConfigError, LedgerUnavailableError
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio

ACME = {"org": "acme", "agent": "planner"}


@pytest.fixture
def base_path(tmp_path):
    return tmp_path / "data"


def total():
    return Budget("all", "$1", mode="hard")


async def sums(ledger):
    (row,) = await ledger.status()
    return row.settled, row.held, row.in_doubt


async def die(ledger):
    """What SIGKILL leaves of an open Ledger: its journal, without anybody who holds its lock."""
    _, sync = ledger._opened
    sync.stop(5.0)
    await ledger._tasks.__aexit__(None, None, None)
    ledger._bank._database.close()
    ledger._bank._database.let_go()


async def test_closed_in_order_it_leaves_no_files(base_path):
    """But the database: no journal, and no lock."""
    async with Ledger.open(base_path, budgets=[total()]) as one, Ledger.open(base_path, budgets=[total()]) as two:
        (await one.reserve(ACME, usd="0.40")).settle()
        (await two.reserve(ACME, usd="0.40")).doubt()
    assert list((base_path / "ledger").iterdir()) == []


async def test_its_refusals_and_doubts_say_why(base_path):
    """In words for people: how much was needed and is left, that it is frozen, what left a hold in doubt."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        async with await ledger.reserve(ACME, usd="0.80", key="k"):
            pass
        assert [doubt.reason for doubt in await ledger.in_doubt()] == ["left unsettled"]
        with pytest.raises(BudgetExhaustedError, match=r"needs up to \$0\.3000, \$0\.2000 of \$1\.0000 remain"):
            await ledger.reserve(ACME, usd="0.30")
        await ledger.freeze("all", "a look", by="ada")
        with pytest.raises(BudgetExhaustedError, match="frozen"):
            await ledger.reserve(ACME, usd="0.10")
    with pytest.raises(ConfigError, match="new name"):
        async with Ledger.open(base_path, budgets=[Budget("all", "5 calls", mode="hard")]):
            pass


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
        assert await sums(ledger) == (1_000_000_000, 0, 0)


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
        database = ledger._bank._database

        def failing(work):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(database, "_transact", failing)
            hold.settle(usd="0.005")
            with pytest.raises(LedgerUnavailableError, match="make room"):
                await ledger.reserve(ACME, usd="0.90")
        (await ledger.reserve(ACME, usd="0.90")).settle()
        assert await sums(ledger) == (905_000_000, 0, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_forked_child_does_not_use_its_parents_ledger(base_path):
    """Neither its holds nor its lock: when the parent is gone, others recover it."""
    script = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore")
from hivecost.errors import LedgerUnavailableError
from hivecost.ledger import Budget
from hivecost.backends import Ledger
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
    assert paths.boot_id() == paths.boot_id()


async def test_usage_that_arrives_while_its_doubt_is_committed_frees_nothing_here(base_path, monkeypatch):
    """What goes back then is the account's, not this process's lease: it is lent again before it is held again."""
    async with Ledger.open(base_path, budgets=[total()]) as ledger:
        hold = await ledger.reserve(ACME, usd="0.90")
        transact, granted = ledger._bank._database._transact, []

        def late(work):
            result = transact(work)
            if not granted:
                hold.settle(usd="0.10")
                granted.append(ledger.reserve_nowait(ACME, usd="0.50"))
            return result

        hold.doubt()
        with monkeypatch.context() as patched:
            patched.setattr(ledger._bank._database, "_transact", late)
            await ledger.status()
        assert granted == [None]
        assert await sums(ledger) == (100_000_000, 0, 0)
        (await ledger.reserve(ACME, usd="0.90")).settle()
