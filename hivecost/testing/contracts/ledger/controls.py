"""What operators do while others spend: limits and freezes, in force for all and after the place is opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio

from hivecost.errors import BudgetExhaustedError, ConfigError
from hivecost.ledger import Budget, LedgerStore
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
    until_granted,
    until_refused,
)


class ControlPromises(OpensLedgers):
    """What an operator may count on."""

    async def test_a_higher_limit_is_in_force_for_all(self, tmp_path: Path) -> None:
        """Set or raised, in the budget's own unit unless it names one; what was spent stays."""
        async with self.opened(tmp_path) as one, self.opened_elsewhere(tmp_path) as two:
            with raises(BudgetExhaustedError):
                await hold_of(one, usd="1.50")
            same(await two.set_limit("all", "$2", by="ada"), 2 * DOLLAR)
            (await until_granted(one, usd="1.50")).settle()
            same(await one.raise_limit("all", 0.5, by="ada"), 250 * CENT)
            (await until_granted(two, usd=1)).settle()
            await self.until_sums(two, (250 * CENT, 0, 0))
            same([(row.limit, row.remaining) for row in await two.status()], [(250 * CENT, 0)])

    async def test_of_raises_at_once_every_one_counts(self, tmp_path: Path) -> None:
        """Read and written in one: none is lost."""
        seen: list[int] = []

        async def raise_often(ledger: LedgerStore) -> None:
            for _ in range(5):
                seen.append(await ledger.raise_limit("all", "$0.01", by="ada"))  # noqa: PERF401  # one after the other

        async with self.opened(tmp_path) as one, self.opened_elsewhere(tmp_path) as two:
            async with anyio.create_task_group() as group:
                for ledger in (one, one, two, two):
                    group.start_soon(raise_often, ledger)
            same(sorted(seen), [DOLLAR + step * CENT for step in range(1, 21)])
            same([(state.limit, state.configured_limit) for state in await one.budgets()], [(120 * CENT, DOLLAR)])

    async def test_a_lower_limit_binds_those_who_took_ahead(self, tmp_path: Path) -> None:
        """What a process has at hand under the old limit, and does not need, is not spent beyond the new one."""
        async with self.opened(tmp_path, total("$100")) as one, self.opened_elsewhere(tmp_path, total("$100")) as two:
            (await hold_of(one, usd=1)).settle()
            await two.set_limit("all", "$1", by="ada")
            same((await until_refused(one, usd="0.01")).limit, DOLLAR)
            same(await one.remaining(ACME), {"usd": 0})
            same(await sums(one), (DOLLAR, 0, 0))

    async def test_a_frozen_budget_grants_nothing_to_anybody(self, tmp_path: Path) -> None:
        """Until it is unfrozen; what is held may still be settled."""
        async with self.opened(tmp_path) as one, self.opened_elsewhere(tmp_path) as two:
            hold = await hold_of(one, usd="0.40")
            await two.freeze("all", "a look", by="ada")
            same([(row.frozen, row.held) for row in await one.status()], [(True, 40 * CENT)])
            for ledger in (one, two):
                await until_refused(ledger, usd="0.10")
            same(([state.frozen for state in await one.budgets()], await one.remaining(ACME)), (["a look"], {"usd": 0}))
            hold.settle(usd="0.30")
            same([await two.unfreeze("all", by="ada"), await two.unfreeze("all", by="ada")], [True, False])
            (await until_granted(one, usd="0.70")).settle()
            await self.until_sums(two, (DOLLAR, 0, 0))

    async def test_who_changed_what_is_on_record(self, tmp_path: Path) -> None:
        """The newest first, for all who have the place open and after it is opened again; nobody changes anything."""
        async with self.opened(tmp_path) as one, self.opened_elsewhere(tmp_path) as two:
            async with await hold_of(one, usd="0.10"):
                pass
            (doubt,) = await one.in_doubt()
            await one.configure([total("$2")], by="hivecost.toml")
            await two.set_limit("all", "$3", by="ada")
            await one.raise_limit("all", "$1", by="bob")
            await two.unset_limit("all", by="ada")
            await one.freeze("all", "a look", by="bob")
            await two.unfreeze("all", by="ada")
            await one.resolve(doubt.hold_id, usd=0, by="eve")
            with raises(ConfigError):
                await one.set_limit("all", "$4", by=" ")
            with raises(ConfigError):
                await one.freeze("all", "a look", by="")
            whats = ["resolve", "unfreeze", "freeze", "unset_limit", "raise_limit", "set_limit", "configure"]
            whos = ["eve", "ada", "bob", "ada", "bob", "ada", "hivecost.toml"]
            subjects = [doubt.hold_id, *["all"] * 6]
            expected = list(zip(whats, whos, subjects, strict=True))
            for ledger in (one, two):
                changes = await ledger.changes(limit=7)
                same([(change.what, change.who, change.subject) for change in changes], expected)
                same([change.what for change in await ledger.changes(limit=2)], whats[:2])
                same([state.limit for state in await ledger.budgets()], [2 * DOLLAR])
            with raises(ConfigError):
                await one.changes(limit=0)
        async with self.opened(tmp_path, total("$2")) as ledger:
            same([change.what for change in await ledger.changes()][:7], whats)

    async def test_an_operators_limit_stays_until_another_is_configured(self, tmp_path: Path) -> None:
        """Opened again with the same budgets the place keeps it; with another limit, that is in force."""
        async with self.opened(tmp_path) as ledger:
            await ledger.set_limit("all", "$2", by="ada")
            (await hold_of(ledger, usd="1.50")).settle()
        for configured, in_force in (("$1", 2 * DOLLAR), ("$3", 3 * DOLLAR)):
            async with self.opened(tmp_path, total(configured)) as ledger:
                same([(row.limit, row.settled) for row in await ledger.status()], [(in_force, 150 * CENT)])

    async def test_a_configured_limit_is_in_force_at_once(self, tmp_path: Path) -> None:
        """As opening with it would be, so that opening again changes nothing."""
        async with self.opened(tmp_path) as ledger:
            await ledger.configure([total("$3")], by="hivecost.toml")
            (await hold_of(ledger, usd=2)).settle()
            await ledger.set_limit("all", "$4", by="ada")
            await ledger.configure([total("$3")], by="hivecost.toml")
            same([(one.limit, one.configured_limit) for one in await ledger.budgets()], [(4 * DOLLAR, 3 * DOLLAR)])
        async with self.opened(tmp_path, total("$3")) as ledger:
            same([row.limit for row in await ledger.status()], [4 * DOLLAR])

    async def test_a_configuration_that_cannot_be_changes_nothing(self, tmp_path: Path) -> None:
        """All of it, or nothing: what is wrong, counts anew, differs in more than limits, or is not there to retire."""
        new = Budget("new", 1, mode="hard")
        wrong = (
            Budget("soft", 1, mode="stop_after"),
            total(window="day"),
            total("5 calls"),
            total(shadow=True),
            total(on_short="clamp"),
        )
        async with self.opened(tmp_path) as ledger:
            for budget in wrong:
                with raises(ConfigError):
                    await ledger.configure([new, budget], by="hivecost.toml")
            with raises(ConfigError):
                await ledger.configure([total("$9")], retire=["none"], by="hivecost.toml")
            same([(one.name, one.limit) for one in await ledger.budgets()], [("all", DOLLAR)])
            (await hold_of(ledger, usd="0.50")).settle()

    async def test_a_change_that_cannot_be_changes_nothing(self, tmp_path: Path) -> None:
        """No such budget, no such amount."""
        wrong: list[tuple[Any, Any]] = [("none", 1), ("all", 0), ("all", -1), ("all", "5 tokens"), ("all", "much")]
        async with self.opened(tmp_path) as ledger:
            for name, limit in wrong:
                for change in (ledger.set_limit, ledger.raise_limit):
                    with raises(ConfigError):
                        await change(name, limit, by="ada")
            with raises(ConfigError):
                await ledger.freeze("none", "a look", by="ada")
            with raises(ConfigError):
                await ledger.unfreeze("none", by="ada")
            same([(one.limit, one.frozen) for one in await ledger.budgets()], [(DOLLAR, "")])

    async def test_its_budgets_can_be_read(self, tmp_path: Path) -> None:
        """By name, as they are in force."""
        tokens = Budget("a", "9 tokens", window="day", timezone="Asia/Tokyo", per="user", shadow=True, mode="hard")
        async with self.opened(tmp_path, total(), tokens) as ledger:
            found = await ledger.budgets()
        same([state.name for state in found], ["a", "all"])
        same((found[0].unit, found[0].window, found[0].timezone), ("tokens", "day", "Asia/Tokyo"))
        same((found[0].limit, found[0].attributes, found[0].shadow), (9, ("user",), True))

    async def test_a_budget_that_counts_anew_needs_a_new_name(self, tmp_path: Path) -> None:
        """Sums of one unit, window, zone or attribute are never read as those of another."""
        async with self.opened(tmp_path) as ledger:
            (await hold_of(ledger, usd="0.10")).settle()
        for budget in (total("5 calls"), total(window="day"), total(per="user"), total(timezone="Europe/Berlin")):
            with raises(ConfigError):
                async with self.opened(tmp_path, budget):
                    pass
        async with self.opened(tmp_path) as ledger:
            same(await sums(ledger), (10 * CENT, 0, 0))
