"""LedgerHold.observe: a hold that grows with what its turn has cost so far."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hivecost.backends import Ledger
from hivecost.errors import BudgetExceededError, ConfigError, LedgerUnavailableError

pytestmark = pytest.mark.anyio


@pytest.fixture
def base_path(tmp_path):
    return tmp_path


async def test_the_hold_keeps_ahead_of_the_cost(base_path, budgets, sums):
    """Where less than an eighth is left ahead, a quarter is; otherwise nothing changes."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({}, nanousd=1_000)
        await hold.observe(nanousd=888)
        assert (await sums(ledger))[1] == 1_000
        await hold.observe(nanousd=900)
        assert (await sums(ledger))[1] == 1_125
        await hold.observe(usd="0.000008")
        assert (await sums(ledger))[1] == 10_000
        hold.settle(nanousd=9_000)
        assert await sums(ledger) == (9_000, 0, 0)


async def test_it_raises_before_the_limit_is_passed(base_path, budgets, sums):
    """The hold stays as it was, and what was used until then is still within it."""
    used = 0
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({}, usd="0.01")
        with suppress(BudgetExceededError):
            while used < 1_000_000_000:
                used += 10_000_000
                await hold.observe(nanousd=used)
        settlement = hold.settle(nanousd=used)
        assert settlement is not None
        assert settlement.incidents == ()
        assert await sums(ledger) == (used, 0, 0)
    assert 400_000_000 <= used <= 500_000_000  # the tightest budget counts executions, $0.50 each


async def test_tokens_and_calls_may_be_observed(base_path, budgets, sums):
    """Every unit that a budget counts."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({"user": "ada"}, nanousd=1)
        await hold.observe(calls=8, tokens=50)
        assert await sums(ledger, "user day") == (0, 10, 0)
        assert hold.amounts["tokens"] == 62


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(costs=st.lists(st.integers(0, 10**6), max_size=8))
async def test_what_was_observed_is_always_held(tmp_path_factory, budgets, costs):
    """After each observe() at least an eighth more is held, and never more than a quarter more than was ever needed."""
    async with Ledger.open(tmp_path_factory.mktemp("data"), budgets=budgets) as ledger:
        hold = await ledger.reserve({}, nanousd=1_000)
        for cost in costs:
            await hold.observe(nanousd=cost)
            assert hold.amounts["usd"] >= cost + cost // 8
        assert hold.amounts["usd"] <= max(1_000, 1.25 * max(costs, default=0))


async def test_a_hold_that_is_over_grows_no_more(base_path, budgets):
    """Settled, it says so; so does a closed ledger."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({}, nanousd=1_000)
        hold.settle(nanousd=10)
        with pytest.raises(ConfigError, match="still held"):
            await hold.observe(nanousd=5_000)
        open_hold = await ledger.reserve({}, nanousd=1_000)
    with pytest.raises(LedgerUnavailableError):
        await open_hold.observe(nanousd=5_000)
