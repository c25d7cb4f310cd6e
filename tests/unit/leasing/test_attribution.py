"""A ledger is asked by an Attribution as by a mapping of its words."""

from __future__ import annotations

import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

PARENT = hc.Attribution(execution_id="e1", org_id="acme", tags={"plan": "pro"})
CHILD = hc.Attribution(execution_id="e2", org_id="acme", tags={"plan": "pro"}, parent=PARENT)


@pytest.fixture
async def ledger(tmp_path):
    budgets = [
        hc.Budget("org", "$1", per="org"),
        hc.Budget("plan", "$1", per="plan"),
        hc.Budget("run", "$0.50", window="execution"),
    ]
    async with hc.Ledger.open(tmp_path, budgets=budgets) as ledger:
        yield ledger


async def scopes(ledger):
    return {row.scope: row.settled for row in await ledger.status()}


async def test_it_counts_on_its_own_accounts_and_on_those_that_it_is_inside_of(ledger):
    """Held, settled and charged, asked for with and without waiting."""
    (await ledger.reserve(CHILD, usd="0.01")).settle()
    ledger.reserve_nowait(CHILD, usd="0.01").settle()
    await ledger.charge(CHILD, usd="0.01")
    spent = 30_000_000
    assert await scopes(ledger) == dict.fromkeys(("org=acme", "plan=pro", "execution=e1", "execution=e2"), spent)
    assert await ledger.remaining(CHILD) == {"usd": 470_000_000}


async def test_a_refusal_names_its_execution(ledger):
    """As where it is asked by a mapping."""
    with pytest.raises(hc.BudgetExhaustedError) as refused:
        await ledger.reserve(CHILD, usd="0.60")
    assert (refused.value.execution_id, refused.value.budget) == ("e2", "run")
