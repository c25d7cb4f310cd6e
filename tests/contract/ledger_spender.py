"""Concurrent executions that spend one budget until it is exhausted; run as `ledger_spender.py BASE_PATH EXECUTIONS`.

Starts when a line comes in; prints what it settled, in nano-USD, and how many reservations were refused as busy.
"""

from __future__ import annotations

import asyncio
import random
import sys

from hivecost.backends import Ledger
from hivecost.errors import BudgetBusyError, BudgetExhaustedError
from hivecost.ledger import Budget

HOLD_NANOUSD = 20_000_000


async def main():
    base_path, executions = sys.argv[1], int(sys.argv[2])
    budgets = [Budget("five dollars", "$5", mode="hard"), Budget("run", "$5", window="execution", mode="hard")]
    settled = busy = 0
    async with Ledger.open(base_path, budgets=budgets) as ledger:

        async def execution(name):
            nonlocal settled, busy
            while True:
                try:
                    async with await ledger.reserve({"execution": name}, nanousd=HOLD_NANOUSD) as hold:
                        await asyncio.sleep(random.uniform(0, 0.02))
                        bill = random.randrange(HOLD_NANOUSD // 10, HOLD_NANOUSD)
                        hold.settle(nanousd=bill)
                        settled += bill
                except BudgetBusyError:
                    busy += 1
                    await asyncio.sleep(0.05)
                except BudgetExhaustedError:
                    return

        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        async with asyncio.TaskGroup() as tasks:
            for number in range(executions):
                tasks.create_task(execution(f"e{number}"))
    print(settled, busy)


asyncio.run(main())
