"""H4 and H9: a bill is charged once and in full, wherever its turn was cut off."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from hivecost.errors import BudgetExhaustedError, ConfigError, LedgerUnavailableError
from hivecost.ledger import Budget, LedgerStore, LedgerStoreHold
from hivecost.testing.contracts.checking import (
    ACME,
    CENT,
    OpensLedgers,
    hold_of,
    one_of,
    raises,
    same,
    sums,
    total,
    until_refused,
)


class BillPromises(OpensLedgers):
    """What a bill does."""

    async def test_a_bill_is_charged_once_and_the_rest_goes_back(self, tmp_path: Path) -> None:
        """H4: settling again changes nothing; it stays so when the place is opened again."""
        async with self.opened(tmp_path) as ledger:
            async with await hold_of(ledger, usd="0.40") as hold:
                same(hold.settle(usd=0.30) is None, False)
                same((hold.settle(usd="0.90"), hold.release(), hold.doubt()), (None, False, False))
            same((hold.state, await sums(ledger)), ("settled", (30 * CENT, 0, 0)))
            same(await ledger.remaining(ACME), {"usd": 70 * CENT})
        async with self.opened(tmp_path) as ledger:
            same(await sums(ledger), (30 * CENT, 0, 0))

    async def test_what_a_bill_does_not_name_is_charged_as_held(self, tmp_path: Path) -> None:
        """A call is a call, whatever it cost."""
        tokens, calls = Budget("tokens", "100 tokens", mode="hard"), Budget("calls", "3 calls", mode="hard")
        async with self.opened(tmp_path, total(), tokens, calls) as ledger:
            (await hold_of(ledger, nanousd=CENT, tokens=70)).settle(tokens=20)
            found = await sums(ledger), await sums(ledger, "tokens"), await sums(ledger, "calls")
            same(found, ((CENT, 0, 0), (20, 0, 0), (1, 0, 0)))

    async def test_a_bill_that_cannot_be_changes_nothing(self, tmp_path: Path) -> None:
        """The hold may still be settled."""
        async with self.opened(tmp_path) as ledger:
            hold = await hold_of(ledger, usd="0.50")
            bills: list[dict[str, Any]] = [{"nanousd": -1}, {"usd": "x"}, {"tokens": 1.5}, {"usd": 1, "nanousd": 1}]
            for bill in bills:
                with raises(ConfigError):
                    hold.settle(**bill)
            same((hold.state, await sums(ledger)), ("held", (0, 50 * CENT, 0)))
            hold.settle()
            same(await sums(ledger), (50 * CENT, 0, 0))

    async def test_many_threads_settle_each_hold_once(self, tmp_path: Path) -> None:
        """H4: four threads settle the same hundred holds."""
        async with self.opened(tmp_path) as ledger:
            holds = [await hold_of(ledger, nanousd=1_000) for _ in range(100)]
            charged: list[bool] = []

            def settle_all() -> None:
                charged.extend(hold.settle(nanousd=900) is not None for hold in holds)

            threads = [Thread(target=settle_all) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                await anyio.to_thread.run_sync(thread.join)
            same((charged.count(True), await sums(ledger)), (100, (100 * 900, 0, 0)))

    async def test_a_cancelled_turn_may_still_be_settled(self, tmp_path: Path) -> None:
        """H4: `settle` waits for nothing, so nothing can divide it."""
        async with self.opened(tmp_path) as ledger:
            with anyio.CancelScope() as scope:
                async with await hold_of(ledger, usd="0.40") as hold:
                    scope.cancel()
                    try:
                        await anyio.sleep(1)
                    finally:
                        hold.settle(usd="0.10")
            same(await sums(ledger), (10 * CENT, 0, 0))

    async def test_wherever_a_turn_is_cancelled_its_money_is_known(self, tmp_path: Path) -> None:
        """H4 and H5 at one await after the other: settled or in doubt, never held for good; opened again, the same."""
        number, reached = 0, True
        while reached:
            number += 1
            place = tmp_path / str(number)
            async with self.opened(place) as ledger:
                hold, reached = await _cut_off(ledger, number)
                found = await sums(ledger)
                if hold is None:
                    one_of(found, (0, 0, 0), (0, 0, CENT), (0, 0, 51 * CENT))
                else:
                    same(found, {"settled": (7 * CENT, 0, 0), "in_doubt": (0, 0, 51 * CENT)}.get(hold.state))
            async with self.opened(place) as ledger:
                same(await sums(ledger), found)

    async def test_shielded_code_of_a_cancelled_task_may_wait_for_it(self, tmp_path: Path) -> None:
        """A cleanup reserves and looks as its caller would, on a ledger from inside the cancelled scope or outside."""
        async with self.opened(tmp_path) as ledger:
            with anyio.CancelScope() as scope:
                scope.cancel()
                with anyio.CancelScope(shield=True):
                    (await hold_of(ledger, usd="0.10")).settle()
                    same(await sums(ledger), (10 * CENT, 0, 0))
        with anyio.CancelScope() as scope:
            async with self.opened(tmp_path) as ledger:
                scope.cancel()
                with anyio.CancelScope(shield=True):
                    (await hold_of(ledger, usd="0.10")).settle()
                    same(await sums(ledger), (20 * CENT, 0, 0))
        async with self.opened(tmp_path) as ledger:
            same(await sums(ledger), (20 * CENT, 0, 0))

    async def test_a_bill_above_its_hold_is_charged_and_freezes_for_all(self, tmp_path: Path) -> None:
        """H9: in full, and nothing more for anybody, when the place is opened again too, until someone has looked."""
        async with self.opened(tmp_path) as one, self.opened_elsewhere(tmp_path) as two:
            settlement = (await hold_of(one, usd="0.10")).settle(usd="0.25")
            incidents = () if settlement is None else settlement.incidents
            same([(one.budget, one.held, one.billed) for one in incidents], [("all", 10 * CENT, 25 * CENT)])
            same(await sums(one), (25 * CENT, 0, 0))
            for ledger in (one, two):
                await until_refused(ledger, usd="0.10")
        async with self.opened(tmp_path) as ledger:
            with raises(BudgetExhaustedError):
                await hold_of(ledger, usd="0.10")
            same((await ledger.remaining(ACME), (await ledger.budgets())[0].frozen != ""), ({"usd": 0}, True))
            same(await ledger.unfreeze("all", by="ada"), True)
            (await hold_of(ledger, usd="0.10")).settle()
            same(await sums(ledger), (35 * CENT, 0, 0))

    async def test_a_bill_above_a_partial_hold_is_charged_and_freezes_nothing(self, tmp_path: Path) -> None:
        """H9: a stream is held in steps; what its provider wrote past the last one is an incident, and no mistake."""
        async with self.opened(tmp_path) as ledger:
            hold = await hold_of(ledger, usd="0.10", is_partial=True)
            await hold.extend(usd="0.05")
            settlement = hold.settle(usd="0.25")
            incidents = () if settlement is None else settlement.incidents
            found = [(one.held, one.billed, one.freezes) for one in incidents]
            same((found, await sums(ledger)), ([(15 * CENT, 25 * CENT, False)], (25 * CENT, 0, 0)))
            further = hold.settle_another(usd="0.05")
            same([one.freezes for one in further.incidents] if further else [], [False])
            doubted, resolved = [await hold_of(ledger, usd="0.10", is_partial=True) for _ in range(2)]
            same((doubted.doubt(), resolved.doubt()), (True, True))
            doubted.settle(usd="0.12")
            await ledger.resolve(resolved.hold_id, usd="0.13", by="ada")
            (row,) = await ledger.status()
            same((row.settled, row.in_doubt, row.frozen), (55 * CENT, 0, False))
        async with self.opened(tmp_path) as ledger:
            unsent = await hold_of(ledger, usd="0.10", is_partial=True)
            unsent.release()
            unsent.settle(usd="0.05")  # which is a mistake all the same
            await until_refused(ledger, usd="0.01")
            same(await sums(ledger), (60 * CENT, 0, 0))

    async def test_a_bill_above_the_limit_is_charged_all_the_same(self, tmp_path: Path) -> None:
        """What the provider bills is spent, whatever anybody wished."""
        async with self.opened(tmp_path) as ledger:
            (await hold_of(ledger, usd="0.90")).settle(usd="1.30")
            (row,) = await ledger.status()
            same((row.settled, row.limit, row.remaining, row.frozen), (130 * CENT, 100 * CENT, 0, True))

    async def test_what_was_released_and_sent_after_all_is_charged(self, tmp_path: Path) -> None:
        """H9: its hold was nothing."""
        async with self.opened(tmp_path) as ledger:
            hold = await hold_of(ledger, usd="0.10")
            hold.release()
            settlement = hold.settle(usd="0.05")
            same(settlement is not None and [one.billed for one in settlement.incidents], [5 * CENT])
            same(await sums(ledger), (5 * CENT, 0, 0))

    async def test_what_a_hold_has_left_pays_for_further_answers(self, tmp_path: Path) -> None:
        """H9: only what all of them are above the hold is an overrun, once it is settled or released before it too."""
        run = Budget("run", "$1", window="execution", mode="hard")
        async with self.opened(tmp_path, total(), run) as ledger:
            hold = await hold_of(ledger, {"execution": "e1"}, usd="0.90")
            hold.settle(usd="0.30")
            for settled, incidents in ((60, 0), (90, 0), (120, 2)):
                settlement = hold.settle_another(usd="0.30", calls=0)
                same(settlement is not None and len(settlement.incidents), incidents)
                same((await sums(ledger), await sums(ledger, "run")), ((settled * CENT, 0, 0),) * 2)
                same({row.frozen for row in await ledger.status()}, {incidents > 0})
            released = await self._released(tmp_path)
            same(released, [("all", 0, 5 * CENT)])
        async with self.opened(tmp_path) as ledger:
            same(await sums(ledger), (120 * CENT, 0, 0))

    async def _released(self, tmp_path: Path) -> list[tuple[str, int, int]]:
        """Return the incidents of an answer that came for what was never sent."""
        async with self.opened(tmp_path / "released") as ledger:
            hold = await hold_of(ledger, usd="0.10")
            hold.release()
            settlement = hold.settle_another(usd="0.05")
            return [(one.budget, one.held, one.billed) for one in settlement.incidents] if settlement else []

    async def test_a_further_answer_that_nothing_is_left_for_freezes(self, tmp_path: Path) -> None:
        """H9: others have what the hold gave back, so it is charged in full, and nothing more is granted."""
        async with self.opened(tmp_path) as ledger:
            hold = await hold_of(ledger, usd="0.90")
            hold.settle(usd="0.30")
            other = await hold_of(ledger, usd="0.70")
            same(hold.settle_another(usd="0.20") is None, False)
            same(await sums(ledger), (50 * CENT, 70 * CENT, 0))
            other.settle(usd="0.10")
            same(await sums(ledger), (60 * CENT, 0, 0))
            await until_refused(ledger, usd="0.01")

    async def test_a_further_answer_without_a_bill_is_in_doubt(self, tmp_path: Path) -> None:
        """H5: at what the hold has left, as far as there is room; someone may resolve it."""
        async with self.opened(tmp_path) as ledger:
            hold = await hold_of(ledger, usd="0.90")
            hold.settle(usd="0.30")
            hold.doubt_another()
            same(await sums(ledger), (30 * CENT, 0, 60 * CENT))
            (doubt,) = await ledger.in_doubt()
            await ledger.resolve(doubt.hold_id, usd="0.20", by="ada")
            same((await sums(ledger), await ledger.in_doubt()), ((50 * CENT, 0, 0), []))
            short = await hold_of(ledger, usd="0.40")
            short.settle(usd="0.10")
            other = await hold_of(ledger, usd="0.30")
            short.doubt_another()
            same(await sums(ledger), (60 * CENT, 30 * CENT, 10 * CENT))
            other.release()
        async with self.opened(tmp_path) as ledger:
            same(await sums(ledger), (60 * CENT, 0, 10 * CENT))
        with raises(LedgerUnavailableError):
            hold.settle_another(usd="0.01")
        await self._doubted_in_part(tmp_path / "in part")

    async def _doubted_in_part(self, place: Path) -> None:
        """Check an answer that comes for a hold whose bill is known in part."""
        async with self.opened(place, total(), Budget("tokens", "100 tokens", mode="hard")) as ledger:
            hold = await hold_of(ledger, usd="0.10", tokens=10)
            hold.settle_known(tokens=4, calls=1)
            settlement = hold.settle_another(usd="0.02", tokens=6)
            same(settlement is not None and settlement.incidents, ())
            hold.doubt_another({"usd"})
            same((await sums(ledger), await sums(ledger, "tokens")), ((2 * CENT, 0, 18 * CENT), (10, 0, 0)))

    async def test_a_bill_that_nothing_was_held_for_is_charged(self, tmp_path: Path) -> None:
        """H9: out of what the accounts have room for; the turn, of the first answer to a name, was sent without."""
        async with self.opened(tmp_path, total(warn=(0.5,))) as ledger:
            hold, settlement = await ledger.charge(ACME, usd="0.30")
            same((hold.state, settlement.incidents, settlement.crossings), ("settled", (), ()))
            _, settlement = await ledger.charge(ACME, usd="0.30")
            same([one.fraction for one in settlement.crossings], [0.5])
            same(await sums(ledger), (60 * CENT, 0, 0))
            hold.doubt_another()
            (doubt,) = await ledger.in_doubt()
            await ledger.resolve(doubt.hold_id, usd=0, by="ada")
            (await hold_of(ledger, usd="0.40")).settle()
        async with self.opened(tmp_path) as ledger:
            same(await sums(ledger), (100 * CENT, 0, 0))

    async def test_a_bill_that_nothing_is_left_for_is_charged_and_freezes(self, tmp_path: Path) -> None:
        """H9: where others hold what is left, too; frozen, by whatever, a budget is charged as ever."""
        async with self.opened(tmp_path) as ledger:
            other = await hold_of(ledger, usd="0.90")
            await ledger.charge(ACME, usd="0.30")
            await until_refused(ledger, usd="0.01")
            await ledger.charge(ACME, usd="0.50")
            same(await sums(ledger), (80 * CENT, 90 * CENT, 0))
            other.settle(usd="0.10")
            same(await ledger.unfreeze("all", by="ada"), True)
            await ledger.freeze("all", "the planner loops", by="ada")
            await until_refused(ledger, usd="0.01")
            _, settlement = await ledger.charge(ACME, usd="0.05")
            same(settlement.incidents, ())
            same((await sums(ledger), (await ledger.budgets())[0].frozen), ((95 * CENT, 0, 0), "the planner loops"))
        async with self.opened(tmp_path) as ledger:
            same(await sums(ledger), (95 * CENT, 0, 0))

    async def test_only_the_budgets_that_are_named_are_charged(self, tmp_path: Path) -> None:
        """A bill that belongs to one budget more is charged there, on the accounts around it, and nowhere else."""
        run = Budget("run", "$1", window="execution", mode="hard")
        async with self.opened(tmp_path, total(), Budget("more", "3 calls", mode="hard"), run) as ledger:
            parent = ({"execution": "e1"},)
            await ledger.charge({"execution": "e2"}, usd="0.20", ancestors=parent, budgets=["more", "run"])
            same((await sums(ledger, "more"), await sums(ledger)), ((1, 0, 0), (0, 0, 0)))
            spent = {row.scope: row.settled for row in await ledger.status() if row.budget == "run"}
            same(spent, {"execution=e1": 20 * CENT, "execution=e2": 20 * CENT})

    async def test_a_warning_is_given_once(self, tmp_path: Path) -> None:
        """With the settlement that brings the account there."""
        async with self.opened(tmp_path, total(warn=(0.5, 0.8))) as ledger:
            given = []
            for bill in ("0.49", "0.01", "0.20", "0.20"):
                settlement = (await hold_of(ledger, usd=bill)).settle()
                given.append([one.fraction for one in settlement.crossings] if settlement is not None else None)
            same(given, [[], [0.5], [], [0.8]])


class _Struck:
    """Awaits a coroutine, and calls `strike` when it is suspended for the so-and-so-manieth time."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], number: int, strike: Callable[[], None]) -> None:
        self._coroutine = coroutine
        self._number = number
        self._strike = strike
        self.reached = False

    def __await__(self) -> Generator[Any, Any, None]:
        steps, suspensions = self._coroutine.__await__(), 0
        resume: Callable[[], Any] = partial(steps.send, None)
        while True:
            try:
                awaited = resume()
            except StopIteration:
                return
            suspensions += 1
            if suspensions == self._number:
                self.reached = True
                self._strike()
            try:
                answer = yield awaited
            except BaseException as error:  # handed on to whom it is meant for
                resume = partial(steps.throw, error)
            else:
                resume = partial(steps.send, answer)


async def _cut_off(ledger: LedgerStore, number: int) -> tuple[LedgerStoreHold | None, bool]:
    """Cancel a turn at its await of this number; return its hold if it was sent, and whether it has so many awaits."""
    sent: list[LedgerStoreHold] = []

    async def turn() -> None:
        async with await ledger.reserve(ACME, nanousd=CENT) as hold:
            await hold.extend(nanousd=50 * CENT)
            sent.append(hold)
            await anyio.lowlevel.checkpoint()
            hold.settle(nanousd=7 * CENT)

    with anyio.CancelScope() as scope:
        struck = _Struck(turn(), number, scope.cancel)
        await struck
    return (sent[0] if sent else None), struck.reached
