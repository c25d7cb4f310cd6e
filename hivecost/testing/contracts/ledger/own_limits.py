"""Limits of single values: one customer's, one agent's, one session's, beside the limit that all others have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hivecost.errors import BudgetExhaustedError, ConfigError
from hivecost.ledger import Budget, LedgerStore
from hivecost.testing.clock import FakeClock
from hivecost.testing.contracts.checking import (
    CENT,
    DOLLAR,
    OpensLedgers,
    hold_of,
    raises,
    same,
    total,
    until_granted,
    until_refused,
)

ADA, BOB = {"user": "ada"}, {"user": "bob"}
_PER_USER = total(per="user")


async def limits(ledger: LedgerStore) -> dict[str, tuple[int, int, bool]]:
    """Return the limit in force, what is settled, and whether the limit is its own, by the scope of the accounts."""
    return {row.scope: (row.limit, row.settled, row.has_own_limit) for row in await ledger.status()}


class OwnLimitPromises(OpensLedgers):
    """What those may count on who have a limit of their own."""

    async def test_a_value_has_a_limit_of_its_own(self, tmp_path: Path) -> None:
        """Set or raised, above or below the budget's: in force at once, in all ledgers; others keep it."""
        async with self.opened(tmp_path, _PER_USER) as one, self.opened_elsewhere(tmp_path, _PER_USER) as two:
            for who in (ADA, BOB):
                (await hold_of(one, who, usd="0.50")).settle()
            same(await two.set_limit("all", "$3", scope=ADA, by="eve"), 3 * DOLLAR)
            (await until_granted(one, ADA, usd="2.50")).settle()
            same(await one.set_limit("all", "$0.60", scope=BOB, by="eve"), 60 * CENT)
            same((await until_refused(two, BOB, usd="0.20")).limit, 60 * CENT)
            same(await two.raise_limit("all", "$0.20", scope=BOB, by="eve"), 80 * CENT)
            (await until_granted(one, BOB, usd="0.30")).settle()
            same(await one.raise_limit("all", 1, scope={"user": "new"}, by="eve"), 2 * DOLLAR)
            (await until_granted(two, {"user": "new"}, usd=2)).settle()
            for who in (ADA, BOB, {"user": "new"}):
                refused = await until_refused(two, who, usd="0.01")
                same(refused.used, refused.limit)
            with raises(BudgetExhaustedError):
                await hold_of(two, {"user": "other"}, usd="1.01")
            same((await two.remaining(ADA), await two.remaining({"user": "else"})), ({"usd": 0}, {"usd": DOLLAR}))
            found = await limits(one)
            same(found["user=ada"], (3 * DOLLAR, 3 * DOLLAR, True))
            same(found["user=bob"], (80 * CENT, 80 * CENT, True))
            same([state.limit for state in await one.budgets()], [DOLLAR])

    async def test_a_limit_of_a_value_outlives_its_accounts(self, tmp_path: Path) -> None:
        """It is that of every period, and it is there when the place is opened again."""
        clock, budget = FakeClock(), total(per="user", window="day")
        async with self.opened(tmp_path, budget, clock=clock) as ledger:
            await ledger.set_limit("all", "$0.10", scope=ADA, by="eve")
            for _ in range(2):
                (await hold_of(ledger, ADA, usd="0.10")).settle()
                with raises(BudgetExhaustedError):
                    await hold_of(ledger, ADA, usd="0.01")
                clock.advance(86_400)
        async with self.opened(tmp_path, budget, clock=clock) as ledger:
            with raises(BudgetExhaustedError):
                await hold_of(ledger, ADA, usd="0.11")
            (await hold_of(ledger, BOB, usd=1)).settle()

    async def test_configured_limits_of_values_are_in_force(self, tmp_path: Path) -> None:
        """`Budget.limits`; of several attributes the key names them."""
        two = Budget("all", "$1", per=("user", "model"), limits={"user=ada,model=m": "$2"}, mode="hard")
        async with self.opened(tmp_path, two) as ledger:
            (await hold_of(ledger, {**ADA, "model": "m"}, usd=2)).settle()
            with raises(BudgetExhaustedError):
                await hold_of(ledger, {**ADA, "model": "n"}, usd=2)
            same((await limits(ledger))["user=ada,model=m"], (2 * DOLLAR, 2 * DOLLAR, True))

    async def test_an_operators_limit_of_a_value_stays_until_another_is_configured(self, tmp_path: Path) -> None:
        """For that value: another limit of the budget, or of another value, changes nothing about it."""
        configured = [
            ({"ada": "$2"}, "$1", 5),
            ({"ada": "$2", "bob": "$3"}, "$1", 5),
            ({"ada": "$2"}, "$1.50", 5),
            ({"ada": "$4"}, "$1.50", 4),
            ({}, "$3", 3),
        ]
        async with self.opened(tmp_path, total(per="user", limits={"ada": "$2"})) as ledger:
            await ledger.set_limit("all", "$5", scope=ADA, by="eve")
            (await hold_of(ledger, ADA, usd="0.10")).settle()
        for own, limit, in_force in configured:
            async with self.opened(tmp_path, total(limit, per="user", limits=own)) as ledger:
                same([row.limit for row in await ledger.status()], [in_force * DOLLAR])
        async with self.opened(tmp_path, total("$3", per="user")) as ledger:
            await ledger.configure([total("$3", per="user", limits={"ada": "$0.50"})], by="hivecost.toml")
            same([row.limit for row in await ledger.status()], [50 * CENT])
            with raises(BudgetExhaustedError):
                await hold_of(ledger, ADA, usd="0.50")

    async def test_what_was_set_for_a_value_can_be_taken_back(self, tmp_path: Path) -> None:
        """What is configured for it is in force again, or else the budget's limit; so can what was set for a budget."""
        async with self.opened(tmp_path, total(per="user", limits={"ada": "$2"})) as ledger:
            for who, back in ((ADA, 2), (BOB, 1), (None, 1)):
                await ledger.set_limit("all", "$5", scope=who, by="eve")
                for _ in range(2):
                    same(await ledger.unset_limit("all", scope=who, by="eve"), back * DOLLAR)
            with raises(BudgetExhaustedError):
                await hold_of(ledger, ADA, usd="2.01")
            (await hold_of(ledger, ADA, usd=2)).settle()
            with raises(BudgetExhaustedError):
                await hold_of(ledger, BOB, usd="1.01")

    async def test_one_session_of_many_has_a_limit_of_its_own(self, tmp_path: Path) -> None:
        """Where the window has accounts of its own, for each of them or for one: of both, that of the one counts."""
        for window in ("session", "execution"):
            budget = Budget(window, "$1", per="user", window=window, limits={"bob": "$2"}, mode="hard")
            async with self.opened(tmp_path / window, budget) as ledger:
                await ledger.set_limit(window, "$3", scope={window: "s", **ADA}, by="eve")
                await ledger.set_limit(window, "$0.50", scope=ADA, by="eve")
                most: list[tuple[dict[str, str], Any]] = [
                    ({window: "s", **ADA}, 3),
                    ({window: "t", **ADA}, "0.50"),
                    ({window: "t", **BOB}, 2),
                    ({window: "t", "user": "cyd"}, 1),
                ]
                for who, limit in most:
                    (await hold_of(ledger, who, usd=limit)).settle()
                    with raises(BudgetExhaustedError):
                        await hold_of(ledger, who, usd="0.01")
                await ledger.raise_limit(window, "$1", scope=ADA, by="eve")
                same(await ledger.raise_limit(window, "$1", scope={window: "t", **ADA}, by="eve"), 250 * CENT)
                (await until_granted(ledger, {window: "t", **ADA}, usd=2)).settle()
                (await hold_of(ledger, {window: "u", **ADA}, usd="1.50")).settle()

    async def test_a_scope_names_the_attributes_of_the_accounts(self, tmp_path: Path) -> None:
        """No fewer, no others, and texts; the error names them. Nothing is changed."""
        wrong: list[Any] = [{}, {"agent": "x"}, {"user": "ada", "agent": "x"}, {"user": 1}, {"user": None}, "user=ada"]
        async with self.opened(tmp_path, _PER_USER, Budget("one", "$1", mode="hard")) as ledger:
            changes: list[tuple[str, Any]] = [*(("all", scope) for scope in wrong), ("one", ADA), ("one", {})]
            for name, scope in changes:
                for change in (ledger.set_limit, ledger.raise_limit):
                    with raises(ConfigError) as refused:
                        await change(name, "$5", scope=scope, by="eve")
                    same("'user'" in str(refused.error) or name == "one", True)
                with raises(ConfigError):
                    await ledger.unset_limit(name, scope=scope, by="eve")
            for amount in (0, -1, "5 tokens"):
                with raises(ConfigError):
                    await ledger.set_limit("all", amount, scope=ADA, by="eve")
            same([(state.limit, state.configured_limit) for state in await ledger.budgets()], [(DOLLAR, DOLLAR)] * 2)
            with raises(BudgetExhaustedError):
                await hold_of(ledger, ADA, usd="1.01")
