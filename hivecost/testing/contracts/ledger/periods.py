"""H6: accounts are told apart by attributes and periods, and no clock has to reset them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hivecost.errors import BudgetExhaustedError
from hivecost.ledger import Budget
from hivecost.testing.clock import FakeClock
from hivecost.testing.contracts.checking import ACME, CENT, OpensLedgers, hold_of, raises, same, sums, total

#: Where the clocks of Berlin change: an instant, a window, the account's period then, and when that ends.
DST = (
    (datetime(2026, 3, 28, 23, tzinfo=UTC), "day", "2026-03-29", datetime(2026, 3, 29, 22, tzinfo=UTC)),
    (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "hour", "2026-03-29T01+01:00", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    (datetime(2026, 3, 29, 1, tzinfo=UTC), "hour", "2026-03-29T03+02:00", datetime(2026, 3, 29, 2, tzinfo=UTC)),
    (datetime(2026, 10, 24, 22, tzinfo=UTC), "day", "2026-10-25", datetime(2026, 10, 25, 23, tzinfo=UTC)),
    (datetime(2026, 10, 25, 0, tzinfo=UTC), "hour", "2026-10-25T02+02:00", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    (datetime(2026, 10, 25, 1, tzinfo=UTC), "hour", "2026-10-25T02+01:00", datetime(2026, 10, 25, 2, tzinfo=UTC)),
    (datetime(2026, 10, 25, 22, 59, tzinfo=UTC), "week", "2026-W43", datetime(2026, 10, 25, 23, tzinfo=UTC)),
    (datetime(2026, 10, 31, 23, tzinfo=UTC), "month", "2026-11", datetime(2026, 11, 30, 23, tzinfo=UTC)),
)


class PeriodPromises(OpensLedgers):
    """What an account is."""

    async def test_a_hold_counts_in_the_period_it_was_made_in(self, tmp_path: Path) -> None:
        """H6: settled or in doubt after midnight, it is of the day before; the new day is whole at its first second."""
        clock = FakeClock(datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC))
        async with self.opened(tmp_path, total(window="day"), clock=clock) as ledger:
            late, lost = await hold_of(ledger, usd="0.30"), await hold_of(ledger, usd="0.20")
            with raises(BudgetExhaustedError):
                await hold_of(ledger, usd="1.10")
            clock.advance(1)
            late.settle(usd="0.25")
            lost.doubt()
            today = await hold_of(ledger, usd=1)
            rows = [(row.period, row.settled, row.held, row.in_doubt) for row in await ledger.status()]
            expected = [("2026-11-22", 25 * CENT, 0, 20 * CENT), ("2026-11-23", 0, 100 * CENT, 0)]
            same(sorted(rows), expected)
            today.release()

    async def test_periods_that_are_over_are_left_out(self, tmp_path: Path) -> None:
        """Unless something is still held or in doubt there; opened again, it is the same."""
        day = total(window="day")
        clock = FakeClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
        async with self.opened(tmp_path, day, clock=clock) as ledger:
            (await hold_of(ledger, usd="0.30")).settle()
            clock.advance(86_400)
            same(await sums(ledger), (0, 0, 0))
            (await hold_of(ledger, usd="0.90")).settle()
        async with self.opened(tmp_path, day, clock=clock) as ledger:
            same([(row.period, row.settled) for row in await ledger.status()], [("2026-11-23", 90 * CENT)])
            with raises(BudgetExhaustedError) as refused:
                await hold_of(ledger, usd="0.20")
            same(refused.error.reset_at, datetime(2026, 11, 24, tzinfo=UTC))

    async def test_days_and_hours_are_those_of_the_zone(self, tmp_path: Path) -> None:
        """Where clocks change, days have 23 or 25 hours, and the hour that comes twice is two."""
        for number, (instant, window, period, end) in enumerate(DST):
            clock = FakeClock(instant)
            budget = total(window=window, timezone="Europe/Berlin")
            async with self.opened(tmp_path / str(number), budget, clock=clock) as ledger:
                (await hold_of(ledger, usd=1)).settle()
                same([(row.period, row.reset_at) for row in await ledger.status()], [(period, end)])
                clock.advance((end - instant - timedelta(seconds=1)).total_seconds())
                with raises(BudgetExhaustedError) as refused:
                    await hold_of(ledger, usd="0.01")
                same(refused.error.reset_at, end)
                clock.advance(1)
                (await hold_of(ledger, usd=1)).settle()

    async def test_an_execution_has_an_account_of_its_own(self, tmp_path: Path) -> None:
        """In doubt it is charged there and on the others; forgotten, it is gone once nothing is held there."""
        run = Budget("run", "$0.30", window="execution", mode="hard")
        async with self.opened(tmp_path, total(), run) as ledger:
            async with await hold_of(ledger, {"execution": "e1"}, usd="0.20"):
                pass
            same((await sums(ledger), await sums(ledger, "run")), ((0, 0, 20 * CENT), (0, 0, 20 * CENT)))
            with raises(BudgetExhaustedError) as refused:
                await hold_of(ledger, {"execution": "e1"}, usd="0.20")
            same((refused.error.budget, refused.error.scope), ("run", "execution=e1"))
            hold = await hold_of(ledger, {"execution": "e2"}, usd="0.20")
            (await hold_of(ledger, {"execution": "e3"}, usd="0.10")).settle()
            for execution_id in ("e1", "e2", "e3"):
                ledger.forget_execution(execution_id)
            scopes = {row.scope for row in await ledger.status() if row.budget == "run"}
            same(("execution=e2" in scopes, "execution=e3" in scopes), (True, False))
            hold.settle(usd="0.05")
            scopes = {row.scope for row in await ledger.status() if row.budget == "run"}
            same(("execution=e2" in scopes, await sums(ledger)), (False, (15 * CENT, 0, 20 * CENT)))

    async def test_an_execution_holds_on_those_that_it_is_inside_of(self, tmp_path: Path) -> None:
        """All of them or none: a sub-agent cannot spend what its parent, or that one's parent, has not left."""
        run = Budget("run", "$0.30", window="execution", mode="hard")
        parents = ({"execution": "e2"}, {"execution": "e1"})
        async with self.opened(tmp_path, total(), run) as ledger:
            (await hold_of(ledger, parents[1], usd="0.20")).settle()
            with raises(BudgetExhaustedError) as refused:
                await hold_of(ledger, {"execution": "e3"}, usd="0.20", ancestors=parents)
            same((refused.error.budget, refused.error.scope), ("run", "execution=e1"))
            same(await ledger.remaining({"execution": "e3"}, parents), {"usd": 10 * CENT})
            (await hold_of(ledger, {"execution": "e3"}, usd="0.10", ancestors=parents)).settle()
            spent = {row.scope: row.settled for row in await ledger.status() if row.budget == "run"}
            same(spent, {"execution=e1": 30 * CENT, "execution=e2": 10 * CENT, "execution=e3": 10 * CENT})
            same(await sums(ledger), (30 * CENT, 0, 0))

    async def test_a_budget_counts_those_it_is_about(self, tmp_path: Path) -> None:
        """`match` says whom, `per` says who has an account of their own; without the attribute they share one."""
        per_user = Budget("user", "$0.10", per="user", match={"org": ["acme", "other"]}, mode="hard")
        async with self.opened(tmp_path, per_user) as ledger:
            for who in ({**ACME, "user": "ada"}, {**ACME, "user": "bob"}, ACME):
                (await hold_of(ledger, who, usd="0.10")).settle()
                with raises(BudgetExhaustedError):
                    await hold_of(ledger, who, usd="0.01")
            same(sorted(row.scope for row in await ledger.status()), ["user=", "user=ada", "user=bob"])
            stranger = await hold_of(ledger, {"org": "nobody's"}, usd=5)
            same((list(stranger.status()), list(stranger.budgets), await ledger.remaining({})), ([], [], {}))
            stranger.settle()
