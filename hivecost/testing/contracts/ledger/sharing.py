"""H1: tasks and ledgers that spend one account never spend more than its limit, and can spend nearly all of it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import anyio
import anyio.lowlevel

from hivecost.errors import BudgetBusyError, BudgetExhaustedError
from hivecost.ledger import LedgerStore, LedgerStoreHold
from hivecost.testing.contracts.checking import (
    CENT,
    DOLLAR,
    OpensLedgers,
    hold_of,
    in_time,
    raises,
    same,
    sums,
    until_granted,
    within,
)


class SharingPromises(OpensLedgers):
    """What those who share an account may count on."""

    async def test_many_spend_one_account_to_its_end_and_no_further(self, tmp_path: Path) -> None:
        """H1: two ledgers, eight tasks on each: never above the limit at any look, and at least 95% of it spent."""
        settled = 0

        async def spend(ledger: LedgerStore, bills: Random) -> None:
            nonlocal settled
            while True:
                try:
                    async with await hold_of(ledger, nanousd=CENT) as hold:
                        await anyio.lowlevel.checkpoint()
                        bill = bills.randrange(CENT // 10, CENT)
                        hold.settle(nanousd=bill)
                        settled += bill
                except BudgetBusyError:
                    await anyio.sleep(0.01)
                except BudgetExhaustedError:
                    return
                if bills.random() < 0.1:
                    within(0, sum(await sums(ledger)), DOLLAR)

        async with self.opened(tmp_path) as one, self.opened_elsewhere(tmp_path) as two:
            async with in_time("spent to its end"), anyio.create_task_group() as group:
                for number in range(16):
                    group.start_soon(spend, (one, two)[number % 2], Random(number))  # noqa: S311  # no secrets
            for ledger in (one, two):
                await self.until_sums(ledger, (settled, 0, 0))
            within(95 * CENT, settled, DOLLAR)

    async def test_of_many_at_once_no_more_are_granted_than_fit(self, tmp_path: Path) -> None:
        """H1: what is granted is held before anybody else is; the others are told that it is busy."""
        granted: list[LedgerStoreHold] = []
        busy: list[BudgetBusyError] = []

        async def ask(ledger: LedgerStore) -> None:
            try:
                granted.append(await hold_of(ledger, nanousd=10 * CENT))
            except BudgetBusyError as error:
                busy.append(error)

        async with self.opened(tmp_path) as one, self.opened_elsewhere(tmp_path) as two:
            async with anyio.create_task_group() as group:
                for number in range(30):
                    group.start_soon(ask, (one, two)[number % 2])
            within(1, len(granted), 10)
            same(len(granted) + len(busy), 30)
            await self.until_sums(one, (0, len(granted) * 10 * CENT, 0))
            for hold in granted:
                hold.settle()
            await self.until_sums(two, (len(granted) * 10 * CENT, 0, 0))

    async def test_one_ledger_gets_what_another_does_not_need(self, tmp_path: Path) -> None:
        """What a process took for itself, to be quick, and does not use, is usable by the others."""
        async with self.opened(tmp_path) as one, self.opened_elsewhere(tmp_path) as two:
            (await hold_of(one, usd="0.01")).settle()
            await self.until_same(lambda: two.remaining({}), {"usd": 99 * CENT})
            (await hold_of(two, usd="0.99")).settle()
            await self.until_sums(one, (DOLLAR, 0, 0))

    async def test_what_another_ledger_holds_is_busy(self, tmp_path: Path) -> None:
        """H7 over ledgers: it may come back, so it is worth asking again."""
        async with self.opened(tmp_path) as one, self.opened_elsewhere(tmp_path) as two:
            hold = await hold_of(one, usd="0.90")
            with raises(BudgetBusyError):
                await hold_of(two, usd="0.20")
            await self.until_sums(two, (0, 90 * CENT, 0))
            hold.settle(usd="0.70")
            (await until_granted(two, usd="0.20")).settle()
            await self.until_sums(two, (90 * CENT, 0, 0))
