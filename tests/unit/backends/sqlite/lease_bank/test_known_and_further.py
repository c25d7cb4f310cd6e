"""H5 and H9 where they meet: a bill that is known in part, an answer more, an operator, a budget that is retired."""

from __future__ import annotations

import gc

import pytest

import hivecost as hc
from hivecost.backends import Ledger
from hivecost.backends.sqlite.lease_bank.status import read_accounts
from hivecost.ledger import Hold, LedgerState

pytestmark = pytest.mark.anyio

USD, TOKENS = hc.Budget("usd", "$0.001", mode="hard"), hc.Budget("tokens", "1000 tokens", mode="hard")
BUDGETS = [USD, TOKENS]
WHO = {"user": "ada", "execution": "e"}


async def rows(ledger):
    return {row.budget: (row.settled, row.held, row.in_doubt) for row in await ledger.status()}


async def frozen(ledger):
    return sorted(budget.name for budget in await ledger.budgets() if budget.frozen)


def read(base_path):
    return {row.budget: (row.settled, row.in_doubt + row.held) for row in read_accounts(base_path, 0)}


async def in_part(ledger, nanousd=100_000, tokens=100, known=30):
    """A hold whose bill is known in tokens alone."""
    hold = await ledger.reserve(WHO, nanousd=nanousd, tokens=tokens)
    hold.settle_known(tokens=known, calls=1)
    return hold


@pytest.mark.parametrize("looks_first", [False, True])
async def test_a_further_answer_of_a_bill_that_is_known_in_part(base_path, tables, looks_first):
    """What is known of the first is left out of what pays for it; what is not stays in doubt beside it."""
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        hold = await in_part(ledger)
        if looks_first:
            await ledger.status()
        assert hold.settle_another(nanousd=40_000, tokens=70, calls=1).incidents == ()
        assert await rows(ledger) == {"usd": (40_000, 0, 100_000), "tokens": (100, 0, 0)}
        (incident,) = hold.settle_another(nanousd=1_000, tokens=5).incidents
        assert (incident.budget, incident.held, incident.billed) == ("tokens", 0, 5)
        assert hold.settle(nanousd=90_000, tokens=9) is not None
        assert await rows(ledger) == {"usd": (131_000, 0, 0), "tokens": (105, 0, 0)}
        assert await frozen(ledger) == ["tokens"]
    assert tables() == []


@pytest.mark.parametrize("dies", [False, True])
async def test_a_further_answer_is_in_doubt_in_the_units_that_are_not_known(base_path, tables, die, dies):
    """Tokens are charged as they were used where there is no price; dollars wait for somebody who knows."""
    ledger = await Ledger.open(base_path, budgets=BUDGETS).__aenter__()
    hold = await ledger.reserve(WHO, nanousd=100_000, tokens=100)
    hold.settle(nanousd=30_000, tokens=30, calls=1)
    hold.settle_another(tokens=20)
    hold.doubt_another({"usd"})
    assert read(base_path) == {"usd": (30_000, 70_000), "tokens": (50, 0)}
    if dies:
        await die(ledger)
    else:
        await ledger.__aexit__(None, None, None)
    async with Ledger.open(base_path) as operator:
        (doubt,) = await operator.in_doubt()
        assert [(one.budget, one.amount) for one in doubt.amounts] == [("usd", 70_000)]
        await operator.resolve(doubt.hold_id, nanousd=10_000, by="ada")
        assert await rows(operator) == {"usd": (40_000, 0, 0), "tokens": (50, 0, 0)}
    assert tables() == []


async def test_no_account_counts_the_units_that_are_not_known(base_path, tables):
    """Nothing is in doubt, and nothing is kept of it."""
    async with Ledger.open(base_path, budgets=[TOKENS]) as ledger:
        hold = await ledger.reserve(WHO, tokens=100)
        hold.settle(tokens=30)
        hold.doubt_another({"usd"})
        assert (await rows(ledger), await ledger.in_doubt()) == ({"tokens": (30, 0, 0)}, [])
    assert tables() == []


@pytest.mark.parametrize(("resolved", "settled"), [(0, 80_000), (50_000, 80_000), (80_000, 80_000), (90_000, 90_000)])
@pytest.mark.parametrize("dies", [False, True])
async def test_a_late_bill_of_a_part_that_was_resolved(base_path, tables, die, resolved, settled, dies):
    """Only in the units that were in doubt: what was known before stays as it was charged, whatever the bill says."""
    ledger = await Ledger.open(base_path, budgets=BUDGETS).__aenter__()
    hold = await in_part(ledger)
    await ledger.status()
    async with Ledger.open(base_path) as operator:
        await operator.resolve(hold.hold_id, nanousd=resolved, by="ada")
    assert hold.settle(nanousd=80_000, tokens=77, calls=1) is not None
    stands = {"usd": (settled, 0), "tokens": (30, 0)}
    assert read(base_path) == stands
    if dies:
        await die(ledger)
    else:
        await ledger.__aexit__(None, None, None)
    async with Ledger.open(base_path) as after:
        assert await rows(after) == {"usd": (settled, 0, 0), "tokens": (30, 0, 0)}
        assert await frozen(after) == (["usd"] if resolved < 80_000 else [])
    assert read(base_path) == stands
    assert tables() == []


def test_the_same_where_all_is_in_memory():
    """The known part stays, and what the bill is above the operator's amount is an overrun."""
    state = LedgerState(BUDGETS)
    hold = state.reserve(WHO, 0, {"usd": 100, "tokens": 100})
    assert isinstance(hold, Hold)
    state.settle_known(hold, {"tokens": 30})
    state.resolve(hold.hold_id, {"usd": 50})
    settlement = state.settle(hold, {"usd": 80, "tokens": 77})
    assert settlement is not None
    assert [(one.budget, one.held, one.billed) for one in settlement.incidents] == [("usd", 50, 80)]
    assert [(row.budget, row.settled) for row in state.status()] == [("usd", 80), ("tokens", 30)]
    assert state.settle(hold, {"usd": 99}) is None


@pytest.mark.parametrize("looks_first", [False, True])
async def test_a_hold_that_is_known_in_part_and_dropped(base_path, tables, looks_first):
    """It was in doubt already: nothing is charged again, and somebody may resolve it."""
    async with Ledger.open(base_path, budgets=[*BUDGETS, hc.Budget("run", "$1", window="execution", mode="hard")]) as (
        ledger
    ):
        hold = await in_part(ledger)
        if looks_first:
            await ledger.status()
        hold_id = hold.hold_id
        del hold
        gc.collect()
        found = await rows(ledger)
        assert found == {"usd": (0, 0, 100_000), "tokens": (30, 0, 0), "run": (0, 0, 100_000)}
        await ledger.resolve(hold_id, nanousd=20_000, by="ada")
        ledger.forget_execution("e")
        assert await rows(ledger) == {"usd": (20_000, 0, 0), "tokens": (30, 0, 0)}
    assert tables() == []


@pytest.mark.parametrize("comes_again", [False, True])
@pytest.mark.parametrize("is_above", [False, True])
async def test_a_further_answer_for_a_budget_that_was_retired(base_path, tables, comes_again, is_above):
    """It is charged where its hold was made, out of what is lent to nobody; above that it freezes the budget there."""
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        hold = await ledger.reserve(WHO, nanousd=100_000, tokens=100)
        hold.settle(nanousd=30_000, tokens=30)
        await ledger.configure(retire="usd", by="eve")
        await ledger.status()
        if comes_again:
            await ledger.configure([USD], by="eve")
        hold.settle_another(nanousd=80_000 if is_above else 70_000, tokens=10)
        hold.doubt_another()
        used = 110_000 if is_above else 100_000
        await ledger.status()
        assert read(base_path) == {"usd": (used, 0), "tokens": (40, 60)}
        assert await frozen(ledger) == (["usd"] if is_above else [])
    assert tables() == []


@pytest.mark.parametrize(("user", "limit"), [("ada", 1_000_000), ("eve", 50_000), ("bob", 100_000)])
@pytest.mark.parametrize("above", [0, 1])
async def test_a_value_with_a_limit_of_its_own(base_path, tables, user, limit, above):
    """What is lent to nobody is what its own limit has left, be that more or less than the budget's."""
    budget = hc.Budget("user", "$0.0001", per="user", limits={"ada": "$0.001", "eve": "$0.00005"}, mode="hard")
    async with Ledger.open(base_path, budgets=[budget]) as ledger, Ledger.open(base_path, budgets=[budget]) as other:
        hold = await ledger.reserve({"user": user}, nanousd=limit)
        hold.settle(nanousd=10_000)
        theirs = await other.reserve({"user": user}, nanousd=limit - 30_000)
        hold.settle_another(nanousd=20_000 + above, calls=0)
        assert await rows(ledger) == {"user": (30_000 + above, limit - 30_000, 0)}
        assert await frozen(ledger) == (["user"] if above else [])
        theirs.release()
    assert tables() == []
