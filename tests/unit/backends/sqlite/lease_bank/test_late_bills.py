"""H9: the bill of a hold that somebody has resolved meanwhile is charged where it is above what they said."""

from __future__ import annotations

import sqlite3

import pytest

import hivecost as hc
from hivecost.backends import Ledger
from hivecost.backends.sqlite.lease_bank import database
from hivecost.backends.sqlite.lease_bank.status import read_accounts
from hivecost.errors import LedgerUnavailableError
from hivecost.signals import settled_late

pytestmark = pytest.mark.anyio

HELD, BILL = 10_000, 7_000
#: What is resolved, what is charged then, and what stands when the bill has come.
RESOLVED = [(0, BILL), (3_000, BILL), (BILL, BILL), (9_000, 9_000), (20_000, 20_000)]


def stand(base_path):
    """(settled, held, in_doubt) of the one account, without asking the ledger."""
    (row,) = read_accounts(base_path, 0)
    return row.settled, row.held, row.in_doubt


async def resolved_by_another(base_path, hold, nanousd):
    """Its process has told of the doubt, and another one resolves it."""
    async with Ledger.open(base_path) as operator:
        assert [one.hold_id for one in await operator.in_doubt()] == [hold.hold_id]
        await operator.resolve(hold.hold_id, nanousd=nanousd, by="ada")


def disk_fails(*_):
    """In the middle of a transaction, after which another connection is opened."""
    raise sqlite3.OperationalError("disk I/O error")


@pytest.fixture
def budgets():
    return [hc.Budget("all", "$1", mode="hard")]


@pytest.mark.parametrize(("resolved", "settled"), RESOLVED)
@pytest.mark.parametrize("reopened", [False, True])
async def test_a_late_bill_is_an_overrun_of_what_was_resolved(base_path, budgets, tables, resolved, settled, reopened):
    """At once for whoever reads, and in the database; of a bill below it nothing is given back, and nothing freezes."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({}, nanousd=HELD)
        hold.doubt()
        await ledger.status()
        await resolved_by_another(base_path, hold, resolved)
        if reopened:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(database, "perform", disk_fails)
                with pytest.raises(LedgerUnavailableError):
                    await ledger.in_doubt()
        assert stand(base_path) == (resolved, 0, 0)
        assert hold.settle(nanousd=BILL) is not None
        assert stand(base_path) == (settled, 0, 0)
        assert hold.settle(nanousd=HELD) is None
        (row,) = await ledger.status()
        assert (row.settled, row.held, row.in_doubt) == (settled, 0, 0)
        (budget,) = await ledger.budgets()
        assert (budget.frozen != "") == (resolved > HELD or resolved < BILL)
    assert stand(base_path) == (settled, 0, 0)
    assert tables() == []


@pytest.mark.parametrize(("resolved", "settled"), RESOLVED)
@pytest.mark.parametrize("when", ["before it is resolved", "after it is resolved"])
async def test_a_late_bill_of_a_process_that_dies_then(base_path, budgets, tables, die, resolved, settled, when):
    """It is in the journal, and whoever recovers that charges it, once."""
    ledger = await Ledger.open(base_path, budgets=budgets).__aenter__()
    hold = await ledger.reserve({}, nanousd=HELD)
    hold.doubt()
    await ledger.status()
    if when == "after it is resolved":
        await resolved_by_another(base_path, hold, resolved)
        hold.settle(nanousd=BILL)
        await die(ledger)
    else:
        hold.settle(nanousd=BILL)
        await die(ledger)
        settled = BILL
    before = stand(base_path)
    for _ in range(2):
        async with Ledger.open(base_path) as other:
            assert await other.in_doubt() == []
        assert stand(base_path) == before == (settled, 0, 0)
    assert tables() == []


async def test_a_bill_that_comes_while_its_doubt_is_handed_over(base_path, budgets, tables):
    """The doubt is durable and resolved before its process hears that it is durable."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        sync, overtaken = ledger._bank.sync, []

        async def sync_and_be_overtaken(batch, operations):
            committed = await sync(batch, operations)
            for one in batch.in_doubt:
                overtaken.append(one)
                await resolved_by_another(base_path, hold, 2_000)
                hold.settle(nanousd=BILL)
            return committed

        ledger._bank.sync = sync_and_be_overtaken
        hold = await ledger.reserve({}, nanousd=HELD)
        hold.doubt()
        await ledger.status()
        assert overtaken == [hold._entry]
        (row,) = await ledger.status()
        assert (row.settled, row.held, row.in_doubt) == (BILL, 0, 0)
    assert stand(base_path) == (BILL, 0, 0)
    assert tables() == []


async def test_a_late_overrun_is_told(base_path, budgets):
    """When it comes to light, with what was paid and what was billed; no settle() could have known it."""
    told = []
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({}, nanousd=HELD)
        hold.doubt()
        await ledger.status()
        await ledger.resolve(hold.hold_id, nanousd=2_000, by="ada")
        with settled_late.connected_to(lambda sender, **facts: told.append(facts), sender=ledger):
            assert hold.settle(nanousd=BILL).incidents == ()
            await ledger.status()
        (late,) = told
        assert late["hold"].hold_id == hold.hold_id
        ((incident,), crossings) = late["settlement"].incidents, late["settlement"].crossings
        assert (incident.budget, incident.held, incident.billed, crossings) == ("all", 2_000, BILL, ())


async def test_what_was_told_by_settle_is_not_told_again(base_path, budgets):
    """A bill above its hold is an incident wherever it was resolved."""
    told = []
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({}, nanousd=HELD)
        hold.doubt()
        await ledger.status()
        await ledger.resolve(hold.hold_id, nanousd=2_000, by="ada")
        with settled_late.connected_to(lambda sender, **facts: told.append(facts), sender=ledger):
            (incident,) = hold.settle(nanousd=2 * HELD).incidents
            (row,) = await ledger.status()
        assert (incident.held, incident.billed, row.settled, told) == (HELD, 2 * HELD, 2 * HELD, [])


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("when", ["held", "extended", "in doubt", "handed over", "resolved", "answered again"])
async def test_a_bill_above_a_partial_hold_freezes_nothing(base_path, budgets, tables, die, when, dies):
    """H9: its journal, its row in doubt and whoever recovers it know that more may be billed than it set aside."""
    ledger = await Ledger.open(base_path, budgets=budgets).__aenter__()
    hold = await ledger.reserve({}, nanousd=HELD, is_partial=True)
    if when == "extended":
        await hold.extend(nanousd=1_000)
    elif when == "answered again":
        hold.settle(nanousd=HELD)
    elif when != "held":
        hold.doubt()
    if when in ("handed over", "resolved"):
        await ledger.status()
    if when == "resolved":
        await resolved_by_another(base_path, hold, 2 * HELD)
    settle = hold.settle_another if when == "answered again" else hold.settle
    assert all(not incident.freezes for incident in settle(nanousd=3 * HELD).incidents)
    await (die(ledger) if dies else ledger.__aexit__(None, None, None))
    async with Ledger.open(base_path) as other:
        (row,) = await other.status()
        assert (row.settled, row.in_doubt) == ((4 if when == "answered again" else 3) * HELD, 0)
        assert [budget.frozen for budget in await other.budgets()] == [""]
    assert tables() == []


async def test_who_resolves_what_a_dead_process_held_in_steps_freezes_nothing(base_path, budgets, tables, die):
    """H9: what its provider billed above the last step is charged, and nobody has to look again."""
    ledger = await Ledger.open(base_path, budgets=budgets).__aenter__()
    hold = await ledger.reserve({}, nanousd=HELD, is_partial=True)
    await die(ledger)
    async with Ledger.open(base_path) as other:
        await other.resolve(hold.hold_id, nanousd=2 * HELD, by="ada")
        assert [(row.settled, row.frozen) for row in await other.status()] == [(2 * HELD, False)]
    assert tables() == []


async def test_a_budget_that_only_watches_is_not_frozen(base_path):
    """The bill is counted there as it is elsewhere."""
    budgets = [hc.Budget("trial", "$1", mode="hard", shadow=True)]
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({}, nanousd=HELD)
        hold.doubt()
        await ledger.status()
        await ledger.resolve(hold.hold_id, nanousd=0, by="ada")
        hold.settle(nanousd=BILL)
        (row,) = await ledger.status()
        assert (row.settled, row.frozen) == (BILL, False)
