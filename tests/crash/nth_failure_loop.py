"""Lets each system call in turn fail; run as `nth_failure_loop.py BASE_PATH ORACLE STEP ROUNDS`.

A log and a ledger are opened, used and closed. At every STEP-th of the things that they ask of the system, that one
fails, or some, or all from there on; in each round by other errors. Prints as JSON the problems, how many operations
there are, how many calls of the user ended in a named error, and how many bills were charged.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import threading
import time
import traceback
from contextlib import AsyncExitStack
from functools import partial
from itertools import count, cycle
from pathlib import Path

import anyio.lowlevel
import kill_loop
from nth_failure import Failures, failing

from hivecost.backends import Ledger, SpendStore
from hivecost.backends.sqlite import Store
from hivecost.clock import SystemClock
from hivecost.errors import HiveCostError
from hivecost.leasing import LeasePolicy
from hivecost.ledger import Budget

BUDGETS = [Budget("all", "$1", mode="hard"), Budget("user day", "100 calls", window="day", per="user", mode="hard")]
HELD, BILL = 10_000_000, 4_000_000
HOLDS = 4
WHO = {"user": "ada"}
BATCH_EVENTS = 3
DEADLINE_S = 60.0
#: Syncs are those that somebody waits for, so that runs are alike.
POLICY = LeasePolicy(tick_s=5.0, settle_s=20.0, idle_s=100.0)


class HastyClock(SystemClock):
    """Waits for no disk."""

    async def sleep(self, seconds):
        await anyio.lowlevel.checkpoint()


class Life:
    """What its user did, and was told."""

    def __init__(self, folder):
        self.folder = folder
        self.acknowledged, self.problems = [], []
        self.refused = self.settled = self.open = 0

    async def tried(self, call, *arguments):
        """What it gives; None where it fails, which must be by name."""
        try:
            return await call(*arguments)
        except HiveCostError:
            self.refused += 1
        except Exception:
            self.problems.append(f"not named: {traceback.format_exc(limit=-4)}")
        return None

    async def live(self):
        async with AsyncExitStack() as stack:
            store = Store(self.folder, clock=HastyClock(), close_timeout_s=2.0)
            if await self.tried(store.__aenter__) is not None:
                stack.push_async_callback(self.tried, store.__aexit__, None, None, None)
            await self.write(store, 0)
            ledger = Ledger.open(self.folder, budgets=BUDGETS, holds_max=16, close_timeout_s=2.0, policy=POLICY)
            if await self.tried(ledger.__aenter__) is not None:
                stack.push_async_callback(self.tried, ledger.__aexit__, None, None, None)
                await self.spend(ledger)
            await self.write(store, 1)
            await self.tried(store.flush)
            await self.tried(SpendStore(self.folder).totals)

    async def write(self, store, number):
        events = [kill_loop.event(0, number * BATCH_EVENTS + one + 1) for one in range(BATCH_EVENTS)]
        if await self.tried(store.write, events) is not None:
            self.acknowledged += [event.event_id for event in events]

    async def spend(self, ledger):
        holds = [await self.tried(partial(ledger.reserve, WHO, nanousd=HELD)) for _ in range(HOLDS)]
        holds = [hold for hold in holds if hold is not None]
        self.open += len(holds)
        for hold in holds[:2]:
            await self.settle(hold)
        for hold in holds[2:]:
            hold.doubt()
        await self.tried(ledger.in_doubt)
        for hold in holds[3:]:  # its bill comes late
            await self.settle(hold)
        await self.tried(ledger.status)
        await self.tried(partial(ledger.set_limit, "all", "$2", by="an operator"))
        await self.tried(partial(ledger.remaining, WHO))

    async def settle(self, hold):
        async def settle():
            return hold.settle(nanousd=BILL)

        if await self.tried(settle) is not None:
            self.open, self.settled = self.open - 1, self.settled + 1

    def problems_found(self, oracle):
        """With what it was told, and with what the next one finds, for whom nothing fails."""
        try:
            return self.problems + asyncio.run(asyncio.wait_for(self._problems_after(oracle), DEADLINE_S))
        except Exception:
            return [*self.problems, f"it cannot be opened again: {traceback.format_exc(limit=-4)}"]

    async def _problems_after(self, oracle):
        path = self.folder / "hivecost.db"
        async with Ledger.open(self.folder, budgets=BUDGETS, policy=POLICY) as ledger, Store(self.folder) as store:
            (row,) = [row for row in await ledger.status() if row.budget == "all"] or [None]
            (await ledger.reserve(WHO, nanousd=HELD)).settle(nanousd=BILL)
            await store.write([kill_loop.event(1, 1)])
        found = oracle.problems(path, self.acknowledged)
        settled, outstanding = (row.settled, row.held + row.in_doubt) if row else (0, 0)
        if (settled, outstanding) != (self.settled * BILL, self.open * HELD):
            found.append(f"{self.settled} were settled and {self.open} open, and the accounts have {row}")
        return found


def descriptors():
    """What each is open on."""
    with os.scandir("/proc/self/fd") as entries:
        names = [entry.name for entry in entries]
    return {name: str(Path("/proc/self/fd", name).readlink()) for name in names if is_open(name)}


def is_open(name):
    return os.path.lexists(f"/proc/self/fd/{name}")


def left_over(before):
    """Descriptors and threads that were not there, after a while."""
    until_s = time.monotonic() + 5
    while True:
        gc.collect()
        files = [path for name, path in descriptors().items() if before.get(name) != path]
        threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        if not files and not threads:
            return []
        if time.monotonic() > until_s:
            return [f"left over: {files} {threads}"]
        time.sleep(0.001)


def live(folder, failures):
    life = Life(folder)
    before = descriptors()
    with failing(failures):
        try:
            asyncio.run(asyncio.wait_for(life.live(), DEADLINE_S))
        except TimeoutError:
            life.problems.append("it hangs")
        failures.stop()
    life.problems += left_over(before)
    return life


def main():
    base_path, oracle_path, step, rounds = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    gc.freeze()  # else each look at what is left over goes through all modules
    oracle, lengths = kill_loop.load_oracle(oracle_path), cycle([1, 1, 3, 1, 10**6])
    found = {"problems": [], "operations": 0, "refused": 0, "settled": 0}
    for turn in range(int(rounds)):
        for number in count(0, int(step)):
            failures = Failures(number, next(lengths), turn + number)
            life = live(Path(base_path) / f"{turn} {number}", failures)
            found["problems"] += [
                f"{number}, {failures.failed[:3]}: {problem}" for problem in life.problems_found(oracle)
            ]
            found["refused"] += life.refused
            found["settled"] += life.settled
            if not failures.failed:
                found["operations"] = failures.operations
                break
    print(json.dumps(found | {"problems": found["problems"][:10]}))


if __name__ == "__main__":
    main()
