"""H5 and H8: what nobody knows the bill of stays charged, and what cannot be asked grants nothing."""

from __future__ import annotations

import gc
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hivecost.errors import ConfigError, LedgerUnavailableError
from hivecost.ledger import Budget, LedgerStore, LedgerStoreHold
from hivecost.testing.contracts.checking import (
    ACME,
    CENT,
    OpensLedgers,
    hold_of,
    raises,
    same,
    sums,
    total,
    until_refused,
)


class InDoubtPromises(OpensLedgers):
    """What is in doubt."""

    async def test_left_unsettled_it_is_in_doubt(self, tmp_path: Path) -> None:
        """H5: charged at the hold, be it left by an error or not; it cannot be released any more."""
        async with self.opened(tmp_path) as ledger:
            for error in (ZeroDivisionError, KeyboardInterrupt, None):
                with suppress(ZeroDivisionError, KeyboardInterrupt):
                    async with await hold_of(ledger, usd="0.10", key=str(error)) as hold:
                        if error is not None:
                            raise error
                same((hold.state, hold.release(), hold.doubt()), ("in_doubt", False, False))
            same(await sums(ledger), (0, 0, 30 * CENT))
            same({one.key for one in await ledger.in_doubt()}, {str(ZeroDivisionError), str(KeyboardInterrupt), "None"})
            same(await ledger.remaining(ACME), {"usd": 70 * CENT})

    async def test_what_nobody_keeps_is_in_doubt(self, tmp_path: Path) -> None:
        """H5: a hold that was dropped is charged at the hold, once the last one who had it has dropped it."""
        async with self.opened(tmp_path) as ledger:
            hold: LedgerStoreHold | None = await hold_of(ledger, usd="0.10", key="k")
            again: LedgerStoreHold | None = await hold_of(ledger, usd="0.10", key="k")
            hold = None
            gc.collect()
            same((hold, await sums(ledger)), (None, (0, 10 * CENT, 0)))
            again = None
            gc.collect()
            same((again, await sums(ledger)), (None, (0, 0, 10 * CENT)))
            same([one.key for one in await ledger.in_doubt()], ["k"])

    async def test_a_doubt_outlives_its_ledger_until_someone_resolves_it(self, tmp_path: Path) -> None:
        """Another ledger of the place sees it, and so does one that opens it later; resolved, it is so for all."""
        async with self.opened(tmp_path) as one, self.opened_elsewhere(tmp_path) as two:
            async with await hold_of(one, usd="0.40", key="k") as hold:
                pass
            same(await sums(one), (0, 0, 40 * CENT))
            same([found.hold_id for found in await two.in_doubt()], [hold.hold_id])
        async with self.opened(tmp_path) as ledger:
            (doubt,) = await ledger.in_doubt()
            same((doubt.hold_id, doubt.key, doubt.reason != ""), (hold.hold_id, "k", True))
            same([(one.budget, one.unit, one.amount) for one in doubt.amounts], [("all", "usd", 40 * CENT)])
            await ledger.resolve(doubt.hold_id, usd="0.10", by="ada")
            same((await sums(ledger), await ledger.in_doubt()), ((10 * CENT, 0, 0), []))
            for hold_id in (doubt.hold_id, "no such hold"):
                with raises(ConfigError):
                    await ledger.resolve(hold_id, usd="0.10", by="ada")
        async with self.opened(tmp_path) as ledger:
            same((await sums(ledger), await ledger.in_doubt()), ((10 * CENT, 0, 0), []))

    async def test_what_is_open_when_the_ledger_closes_is_in_doubt(self, tmp_path: Path) -> None:
        """H5: its hold says that it is too late, so that nobody believes it was charged."""
        async with self.opened(tmp_path) as ledger:
            hold = await hold_of(ledger, usd="0.40", key="k")
        with raises(LedgerUnavailableError):
            hold.settle(usd="0.10")
        async with self.opened(tmp_path) as ledger:
            same((await sums(ledger), [one.key for one in await ledger.in_doubt()]), ((0, 0, 40 * CENT), ["k"]))

    async def test_usage_that_arrives_late_settles_what_was_in_doubt(self, tmp_path: Path) -> None:
        """Before anybody looked, and after: charged at the bill, once."""
        run = Budget("run", "$0.50", window="execution", mode="hard")
        who = {"execution": "e1"}
        async with self.opened(tmp_path, total(), run) as ledger:
            for settled, look_first in ((9, False), (18, True)):
                async with await hold_of(ledger, who, usd="0.10") as hold:
                    pass
                if look_first:
                    same(await sums(ledger), (9 * CENT, 0, 10 * CENT))
                same(hold.settle(usd="0.09") is None, False)
                same((hold.settle(usd="0.10"), await ledger.in_doubt()), (None, []))
                same((await sums(ledger), await sums(ledger, "run")), ((settled * CENT, 0, 0),) * 2)

    async def test_what_is_known_of_a_bill_is_charged_and_the_rest_is_in_doubt(self, tmp_path: Path) -> None:
        """Each unit by itself, for all who open the place, now and later; what is charged stays as it was charged."""
        budgets = total(), Budget("tokens", "100 tokens", mode="hard"), Budget("calls", "9 calls", mode="hard")

        async def stand(ledger: LedgerStore) -> list[tuple[int, int, int]]:
            return [await sums(ledger, name) for name in ("all", "tokens", "calls")]

        known = [(0, 0, 10 * CENT), (7, 0, 0), (1, 0, 0)]
        async with self.opened(tmp_path, *budgets) as ledger:
            async with await hold_of(ledger, usd="0.10", tokens=70) as hold:
                same(hold.settle_known(tokens=7, calls=1) is None, False)
            same((hold.state, hold.settle_known(usd=0), hold.release()), ("in_doubt", None, False))
            for found in (hold.amounts["tokens"], (await ledger.remaining(ACME))["tokens"] - 23):
                same(found, 70)
            same(await stand(ledger), known)
        async with self.opened(tmp_path, *budgets) as one, self.opened_elsewhere(tmp_path, *budgets) as two:
            for ledger in (one, two):
                await self.until_same(partial(stand, ledger), known)
            (doubt,) = await two.in_doubt()
            same([(part.budget, part.amount) for part in doubt.amounts], [("all", 10 * CENT)])
            await two.resolve(doubt.hold_id, usd="0.04", tokens=50, by="ada")
            same((await one.in_doubt(), await stand(one)), ([], [(4 * CENT, 0, 0), (7, 0, 0), (1, 0, 0)]))

    async def test_the_rest_of_a_bill_may_come_late(self, tmp_path: Path) -> None:
        """Before anybody looked, and after: it charges what was in doubt, and nothing that was charged before."""
        run = Budget("run", "100 tokens", window="execution", mode="hard")
        day = Budget("day", "$0.50", window="execution", mode="hard")
        calls = Budget("calls", "9 calls", mode="hard")
        async with self.opened(tmp_path, total(), run, day, calls) as ledger:
            for number, look_first in enumerate((False, True), 1):
                hold = await hold_of(ledger, {"execution": "e1"}, usd="0.10", tokens=30)
                hold.settle_known(tokens=20, calls=1)
                if look_first:
                    same(await sums(ledger), (9 * CENT, 0, 10 * CENT))
                same(hold.settle(usd="0.09", tokens=25) is None, False)
                same((hold.settle(usd="0.10"), hold.state, await ledger.in_doubt()), (None, "settled", []))
                same([await sums(ledger, name) for name in ("all", "day")], [(number * 9 * CENT, 0, 0)] * 2)
                same([await sums(ledger, name) for name in ("run", "calls")], [(number * 20, 0, 0), (number, 0, 0)])

    async def test_of_a_bill_all_or_nothing_may_be_known(self, tmp_path: Path) -> None:
        """Then it is settled, or in doubt; above its hold it is an overrun all the same (H9)."""
        async with self.opened(tmp_path, total(), Budget("tokens", "100 tokens", mode="hard")) as ledger:
            settled, doubted, above = [await hold_of(ledger, usd="0.10", tokens=10) for _ in range(3)]
            with raises(ConfigError):
                settled.settle_known(tokens=-1)
            settled.settle_known(usd="0.05", tokens=5)
            doubted.settle_known(calls=1)
            same((settled.state, doubted.state), ("settled", "in_doubt"))
            settlement = above.settle_known(tokens=12)
            incidents = () if settlement is None else settlement.incidents
            same([(one.budget, one.held, one.billed) for one in incidents], [("tokens", 10, 12)])
            same((await sums(ledger), await sums(ledger, "tokens")), ((5 * CENT, 0, 20 * CENT), (17, 0, 10)))
            await until_refused(ledger, usd="0.01", tokens=1)

    async def test_a_doubt_is_resolved_at_whatever_it_cost(self, tmp_path: Path) -> None:
        """Nothing if it was never sent; as held where no bill is named; above the hold it is an overrun (H9)."""
        calls = Budget("calls", "9 calls", mode="hard")
        bills: list[tuple[dict[str, Any], int]] = [({"usd": 0}, 0), ({}, 10), ({"usd": "0.25"}, 25)]
        for number, (bill, settled) in enumerate(bills):
            place = tmp_path / str(number)
            async with (
                self.opened(place, total(), calls) as ledger,
                self.opened_elsewhere(place, total(), calls) as other,
            ):
                async with await hold_of(ledger, usd="0.10"):
                    pass
                same(await sums(ledger), (0, 0, 10 * CENT))
                (doubt,) = await other.in_doubt()
                await other.resolve(doubt.hold_id, **bill, by="ada")
                same((await sums(ledger), await sums(ledger, "calls")), ((settled * CENT, 0, 0), (1, 0, 0)))
                if settled > 10:
                    await until_refused(ledger, usd="0.10")

    async def test_a_bill_above_what_its_hold_was_resolved_at_is_charged(self, tmp_path: Path) -> None:
        """H9: what is above is an overrun, once; of a bill below it nothing is given back."""
        resolved: list[tuple[str, str, int, bool]] = [
            ("0", "0.10", 10, True),
            ("0.04", "0.10", 10, True),
            ("0.04", "0.25", 25, True),
            ("0.10", "0.10", 10, False),
            ("0.20", "0.10", 20, True),
        ]
        for number, (usd, bill, settled, frozen) in enumerate(resolved):
            place = tmp_path / str(number)
            async with self.opened(place) as ledger, self.opened_elsewhere(place) as other:
                async with await hold_of(ledger, usd="0.10") as hold:
                    pass
                same(await sums(ledger), (0, 0, 10 * CENT))
                (doubt,) = await other.in_doubt()
                await other.resolve(doubt.hold_id, usd=usd, by="ada")
                same((hold.settle(usd=bill) is None, hold.settle(usd=9)), (False, None))
                same(await sums(ledger), (settled * CENT, 0, 0))
                if frozen:
                    await until_refused(ledger, usd="0.10")
                else:
                    (await hold_of(ledger, usd="0.10")).release()

    async def test_what_is_not_open_grants_nothing(self, tmp_path: Path) -> None:
        """H8: before it is opened, and after it is closed."""
        ledger = self.opened(tmp_path)
        for _ in range(2):
            with raises(LedgerUnavailableError):
                await ledger.reserve(ACME, usd="0.01")
            with raises(LedgerUnavailableError):
                ledger.reserve_nowait(ACME, usd="0.01")
            for look in (ledger.status, ledger.in_doubt, ledger.budgets):
                with raises(LedgerUnavailableError):
                    await look()
            with raises(LedgerUnavailableError):
                await ledger.set_limit("all", 2, by="ada")
            ledger = self.opened(tmp_path)
            async with ledger:
                pass

    async def test_only_hard_budgets_can_be_held_on(self, tmp_path: Path) -> None:
        """The others hold nothing, and two of one name would be told apart by nobody."""
        for budgets in ((Budget("all", 1, mode="stop_after"),), (total(), total())):
            with raises(ConfigError):
                async with self.opened(tmp_path, *budgets):
                    pass
