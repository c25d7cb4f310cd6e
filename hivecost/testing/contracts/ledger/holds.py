"""H3, H4 and H7 of single holds: made on all accounts or none, left again once, and refused for a reason."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hivecost.errors import BudgetBusyError, BudgetExceededError, BudgetExhaustedError, ConfigError
from hivecost.ledger import Budget
from hivecost.testing.clock import FakeClock
from hivecost.testing.contracts.checking import (
    ACME,
    CENT,
    OpensLedgers,
    hold_of,
    raises,
    same,
    sums,
    total,
    within,
)


class HoldPromises(OpensLedgers):
    """What a hold is."""

    async def test_what_is_held_is_set_aside(self, tmp_path: Path) -> None:
        """It shows in the account, and counts as spent until it is settled or released."""
        async with self.opened(tmp_path) as ledger:
            hold = await hold_of(ledger, usd="$0.40")
            same((hold.state, hold.amounts["usd"]), ("held", 40 * CENT))
            same(await sums(ledger), (0, 40 * CENT, 0))
            same(await ledger.remaining(ACME), {"usd": 60 * CENT})
            same(hold.release(), True)

    async def test_what_was_not_sent_costs_nothing(self, tmp_path: Path) -> None:
        """A released hold goes back whole, once."""
        async with self.opened(tmp_path) as ledger:
            async with await hold_of(ledger, usd=1) as hold:
                same((hold.release(), hold.release(), hold.doubt()), (True, False, False))
            same(hold.state, "released")
            same(await sums(ledger), (0, 0, 0))
            (await hold_of(ledger, usd=1)).release()

    async def test_all_accounts_or_none(self, tmp_path: Path) -> None:
        """H3: what one budget refuses is held on no other, in whichever order they were given."""
        agent = Budget("agent", "$0.10", per="agent", mode="hard")
        for number, budgets in enumerate(([total(), agent], [agent, total()])):
            async with self.opened(tmp_path / str(number), *budgets) as ledger:
                with raises(BudgetExhaustedError) as refused:
                    await hold_of(ledger, usd="0.20")
                same(refused.error.budget, "agent")
                same(await sums(ledger), (0, 0, 0))
                (await hold_of(ledger, usd="0.10")).settle()
                same((await sums(ledger), await sums(ledger, "agent")), ((10 * CENT, 0, 0), (10 * CENT, 0, 0)))

    async def test_each_unit_is_held_where_it_counts(self, tmp_path: Path) -> None:
        """Dollars, tokens and calls; a call is one unless said otherwise."""
        tokens, calls = Budget("tokens", "100 tokens", mode="hard"), Budget("calls", "3 calls", mode="hard")
        async with self.opened(tmp_path, total(), tokens, calls) as ledger:
            hold = await hold_of(ledger, nanousd=CENT, tokens=70)
            found = await sums(ledger), await sums(ledger, "tokens"), await sums(ledger, "calls")
            same(found, ((0, CENT, 0), (0, 70, 0), (0, 1, 0)))
            same(await ledger.remaining(ACME), {"usd": 99 * CENT, "tokens": 30, "calls": 2})
            for tokens_more, calls_more in ((40, 1), (1, 3)):
                with raises(BudgetBusyError):
                    await hold_of(ledger, nanousd=CENT, tokens=tokens_more, calls=calls_more)
            hold.release()

    async def test_a_hold_grows_on_all_accounts_or_none(self, tmp_path: Path) -> None:
        """H3 for `extend`: refused, it is what it was."""
        async with self.opened(tmp_path, total(), Budget("agent", "$0.30", per="agent", mode="hard")) as ledger:
            hold = await hold_of(ledger, usd="0.10")
            await hold.extend(usd="0.10")
            with raises(BudgetExceededError):
                await hold.extend(usd="0.15")
            same(hold.amounts["usd"], 20 * CENT)
            same((await sums(ledger), await sums(ledger, "agent")), ((0, 20 * CENT, 0), (0, 20 * CENT, 0)))
            hold.settle()
            same(await sums(ledger), (20 * CENT, 0, 0))
            with raises(ConfigError):
                await hold.extend(usd="0.01")

    async def test_a_key_gives_its_open_hold_again(self, tmp_path: Path) -> None:
        """Whoever asks twice for one attempt holds once; another attempt may have the key afterwards."""
        async with self.opened(tmp_path) as ledger:
            first = await hold_of(ledger, usd="0.40", key="attempt")
            again, other = await hold_of(ledger, usd="0.40", key="attempt"), await hold_of(ledger, usd="0.10", key="b")
            same((again.hold_id == first.hold_id, other.hold_id == first.hold_id), (True, False))
            same((again.key, other.key), ("attempt", "b"))
            same(await sums(ledger), (0, 50 * CENT, 0))
            again.settle(usd="0.20")
            same((first.state, await sums(ledger)), ("settled", (20 * CENT, 10 * CENT, 0)))
            next_one = await hold_of(ledger, usd="0.05", key="attempt")
            same((next_one.state, next_one.hold_id == first.hold_id), ("held", False))

    async def test_a_hold_knows_its_accounts(self, tmp_path: Path) -> None:
        """Those of all its budgets, with what was settled there: soft limits go by that."""
        agent = Budget("agent", "$0.50", per="agent", match={"org": "acme"}, mode="hard")
        async with self.opened(tmp_path, total(), agent, Budget("b", 1, match={"org": "b"}, mode="hard")) as ledger:
            (await hold_of(ledger, usd="0.40")).settle(usd="0.30")
            hold = await hold_of(ledger, usd="0.10")
            found = [(row.budget, row.scope, row.limit, row.settled) for row in hold.status()]
            same(found, [("all", "", 100 * CENT, 30 * CENT), ("agent", "agent=planner", 50 * CENT, 30 * CENT)])
            same([row.budget for row in hold.status(["agent"])], ["agent"])
            same((set(hold.budgets), set(hold.units)), ({"all", "agent"}, {"usd"}))

    async def test_busy_and_exhausted_differ(self, tmp_path: Path) -> None:
        """H7: busy while holds may come back, exhausted, with the end of the period, when none will."""
        clock = FakeClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
        day = total(window="day", timezone="Asia/Tokyo")
        async with self.opened(tmp_path, day, clock=clock) as ledger:
            hold = await hold_of(ledger, usd="0.80")
            with raises(BudgetBusyError) as busy:
                await hold_of(ledger, usd="0.30")
            within(0.001, busy.error.retry_after_s, 3_600)
            hold.settle()
            with raises(BudgetExhaustedError) as exhausted:
                await hold_of(ledger, {**ACME, "execution": "e1"}, usd="0.30")
            error = exhausted.error
            same(error.reset_at, datetime(2026, 11, 22, 15, tzinfo=UTC))
            same((error.budget, error.period, error.used, error.limit), ("all", "2026-11-22", 80 * CENT, 100 * CENT))
            same(error.execution_id, "e1")
            with raises(BudgetExhaustedError) as never:
                await hold_of(ledger, usd=2)
            same(never.error.reset_at, None)

    async def test_a_shadow_budget_only_says_what_it_would_do(self, tmp_path: Path) -> None:
        """Its turns pass, are counted, and carry the refusal."""
        async with self.opened(tmp_path, total(), Budget("trial", "$0.10", mode="hard", shadow=True)) as ledger:
            hold = await hold_of(ledger, usd="0.20")
            same([refusal.budget for refusal in hold.shadowed], ["trial"])
            same(await ledger.remaining(ACME), {"usd": 80 * CENT})
            hold.settle()
            same((await sums(ledger), await sums(ledger, "trial")), ((20 * CENT, 0, 0), (20 * CENT, 0, 0)))
            (await hold_of(ledger, usd="0.20")).settle()

    async def test_amounts_that_cannot_be_hold_nothing(self, tmp_path: Path) -> None:
        """Negative, given twice, of no such size, or none where a budget counts them."""
        async with self.opened(tmp_path) as ledger:
            wrong: list[dict[str, Any]]
            wrong = [{}, {"usd": -1}, {"usd": 1, "nanousd": 1}, {"nanousd": 10**30}, {"usd": 1, "tokens": -1}]
            for amounts in wrong:
                with raises(ConfigError):
                    await hold_of(ledger, **amounts)
            hold = await hold_of(ledger, usd="0.50")
            with raises(ConfigError):
                await hold.extend(nanousd=-1)
            same(await sums(ledger), (0, 50 * CENT, 0))
            hold.release()
