"""Budgets that are added and retired while others hold."""

from __future__ import annotations

from pathlib import Path

from hivecost.errors import BudgetExhaustedError
from hivecost.ledger import Budget
from hivecost.testing.contracts.checking import (
    ACME,
    CENT,
    DOLLAR,
    OpensLedgers,
    hold_of,
    raises,
    same,
    sums,
    total,
)


class ComingAndGoingPromises(OpensLedgers):
    """What those may count on who hold meanwhile."""

    async def test_a_budget_is_added_while_others_hold(self, tmp_path: Path) -> None:
        """It binds the next hold, not those that are open; it may count in another unit, and by other attributes."""
        calls = Budget("calls", "2 calls", per="agent", match={"org": "acme"}, mode="hard")
        async with self.opened(tmp_path) as ledger:
            before = await hold_of(ledger, usd="0.10")
            await ledger.configure([calls], by="hivecost.toml")
            before.settle()
            same(await sums(ledger, "calls"), (0, 0, 0))
            for _ in range(2):
                (await hold_of(ledger, usd="0.10")).settle()
            with raises(BudgetExhaustedError) as refused:
                await hold_of(ledger, usd="0.10")
            same((refused.error.budget, refused.error.scope), ("calls", "agent=planner"))
            for who in ({**ACME, "agent": "other"}, {"org": "other"}):
                (await hold_of(ledger, who, usd="0.10")).settle()
            same(await sums(ledger), (50 * CENT, 0, 0))
            same([state.name for state in await ledger.budgets()], ["all", "calls"])
        async with self.opened(tmp_path, total(), calls) as ledger:
            with raises(BudgetExhaustedError):
                await hold_of(ledger, usd="0.10")

    async def test_a_retired_budget_refuses_no_more(self, tmp_path: Path) -> None:
        """Spent or frozen; nothing more is charged there."""
        more = Budget("more", "$9", mode="hard")
        async with self.opened(tmp_path, total(), more) as ledger:
            (await hold_of(ledger, usd=1)).settle()
            with raises(BudgetExhaustedError):
                await hold_of(ledger, usd="0.01")
            await ledger.freeze("more", "a look", by="ada")
            await ledger.configure(retire=["all", "more"], by="hivecost.toml")
            (await hold_of(ledger, usd=5)).settle()
            same(await ledger.remaining(ACME), {})
            await ledger.configure([total("$2")], by="hivecost.toml")
            same(await ledger.remaining(ACME), {"usd": DOLLAR})

    async def test_what_is_held_on_a_retired_budget_is_settled(self, tmp_path: Path) -> None:
        """At its bill, once, or it stays in doubt: its account says so when the budget is back."""
        async with self.opened(tmp_path) as ledger:
            settled, released, doubted = [await hold_of(ledger, usd="0.20") for _ in range(3)]
            late = await hold_of(ledger, usd="0.10")
            late.doubt()
            await ledger.configure(retire=["all"], by="hivecost.toml")
            settled.settle(usd="0.15")
            same(settled.settle(usd="0.15"), None)
            released.release()
            doubted.doubt()
            late.settle(usd="0.05")
            (await hold_of(ledger, usd=5)).settle()
        async with self.opened(tmp_path) as ledger:
            same(await sums(ledger), (20 * CENT, 0, 20 * CENT))
            (hold,) = await ledger.in_doubt()
            same([(part.budget, part.amount) for part in hold.amounts], [("all", 20 * CENT)])

    async def test_a_retired_budget_that_comes_again_has_what_was_spent(self, tmp_path: Path) -> None:
        """In this ledger, at once: also what an operator had set, and what was held when it was retired."""
        budget = total(per="agent", window="day")
        async with self.opened(tmp_path, budget) as ledger:
            (await hold_of(ledger, usd="0.30")).settle()
            held = await hold_of(ledger, usd="0.20")
            await ledger.set_limit("all", "$0.60", scope={"agent": "planner"}, by="ada")
            for _ in range(2):
                await ledger.configure(retire=["all"], by="hivecost.toml")
                (await hold_of(ledger, usd=5)).settle()
                await ledger.configure([budget], by="hivecost.toml")
                same(await sums(ledger), (30 * CENT, 20 * CENT, 0))
                with raises(BudgetExhaustedError):
                    await hold_of(ledger, usd="0.40")
            held.settle()
            (await hold_of(ledger, usd="0.10")).settle()
            with raises(BudgetExhaustedError):
                await hold_of(ledger, usd="0.01")
            same(await sums(ledger), (60 * CENT, 0, 0))
