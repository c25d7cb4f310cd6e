"""What a refusal tells those who read it: since when its budget counts, which bill froze it, and what is left."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hivecost.backends import Ledger
from hivecost.errors import BudgetExhaustedError
from hivecost.ledger import Budget
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio


def hard(**settings):
    return Budget("cap", "$1", mode="hard", **settings)


async def refusal(ledger, **amounts):
    with pytest.raises(BudgetExhaustedError) as refused:
        await ledger.reserve({}, **amounts)
    return refused.value


async def test_a_budget_that_never_resets_says_since_when_it_counts(base_path):
    """From its first configuration on, whoever opens it later, with another limit too; and how to begin anew."""
    for day, limit in ((22, "$1"), (23, "$1"), (24, "$1.01")):
        clock = FakeClock(datetime(2026, 11, day, 12, tzinfo=UTC))
        async with Ledger.open(base_path, budgets=hard().with_limit(limit), clock=clock) as ledger:
            if day == 22:
                (await ledger.reserve({}, usd="0.99")).settle()
            error = await refusal(ledger, usd="0.03")
            assert str(error).endswith(
                "remain; it counts all runs since 2026-11-22 and never resets "
                "(one with another window does: execution, session, hour, day, week, month)"
            )


async def test_one_that_resets_says_when_and_no_more(base_path):
    """A day is no count of all runs."""
    async with Ledger.open(base_path, budgets=hard(window="day")) as ledger:
        (await ledger.reserve({}, usd="0.99")).settle()
        text = str(await refusal(ledger, usd="0.02"))
        assert "it resets at" in text
        assert "all runs" not in text


@pytest.mark.parametrize("window", ["total", "day", "execution"])
@pytest.mark.parametrize("released", [False, True])
async def test_a_frozen_budget_says_which_bill_it_was_and_what_is_left(base_path, window, released):
    """The first refusal after it too, before anything is committed: what status says, to the last place."""
    async with Ledger.open(base_path, budgets=hard(window=window)) as ledger:
        (await ledger.reserve({}, usd="0.001")).settle(usd="0.0005")
        hold = await ledger.reserve({}, usd="0.0035")
        if released:
            hold.release()
        hold.settle(usd="0.0045")
        held = "0.0000" if released else "0.0035"
        for _ in range(2):
            error = await refusal(ledger, usd="0.01")
            assert str(error).startswith(
                f"budget 'cap'{' (execution=)' if window == 'execution' else ''} is frozen until someone looks "
                f"(a bill of $0.0045 was above its hold of ${held}): needs up to $0.0100, $0.9950 of $1.0000 remain"
            )
            (row,) = await ledger.status()
            assert (row.remaining, error.used, error.limit) == (995_000_000, 5_000_000, 10**9)
        await ledger.unfreeze("cap", by="ada")
        (await ledger.reserve({}, usd="0.995")).settle()


async def test_one_frozen_by_hand_gives_the_reason(base_path):
    """For those who find it so, in another process as well."""
    async with Ledger.open(base_path, budgets=hard()) as one, Ledger.open(base_path, budgets=hard()) as two:
        await one.freeze("cap", "the planner loops", by="ada")
        assert "is frozen until someone looks (the planner loops): needs" in str(await refusal(two, usd="0.01"))
