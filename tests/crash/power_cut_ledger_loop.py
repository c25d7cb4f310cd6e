"""Cuts the power under agents on a hard budget; run as `power_cut_ledger_loop.py BASE_PATH CUTS MUTANT SEED`.

What the agents send is billed at once, and a list of ours remembers it. After each cut the ledger is opened with
Python's own SQLite and must know of all that was billed. Prints the first problems as JSON.
MUTANT is a way to be wrong that the checks must catch, or "none".
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import shutil
import sys
from pathlib import Path

from power_cut_disk import Disk
from power_cut_vfs import mounted

from hivecost.backends import Ledger
from hivecost.backends.sqlite.lease_bank import paths as ledger_paths
from hivecost.backends.sqlite.lease_bank.database import ACCOUNTS_SPARE
from hivecost.errors import BudgetExceededError, HiveCostError
from hivecost.leasing import LeasePolicy
from hivecost.leasing.journal import _FREE, _Layout
from hivecost.ledger import Budget

LIMIT_NANOUSD = 10**8
BUDGETS = [Budget("all", "$0.1", mode="hard"), Budget("calls", "1_000_000 calls", per="agent", mode="hard")]
AGENTS = 4
HOLDS_MAX = 64
#: Many syncs between two cuts.
POLICY = LeasePolicy(tick_s=0.002, settle_s=0.008, idle_s=0.04)
FREE_SLOT = bytes([_FREE]).ljust(_Layout(len(BUDGETS) + ACCOUNTS_SPARE).size, b"\0")


class LedgerDisk(Disk):
    """Keeps the journals, too, as they were when the power went."""

    def cut(self):
        if self.left is None:
            self._journals = {path.name: path.read_bytes() for path in self.folder.glob("ledger/*.journal")}
        super().cut()

    def save(self, folder):
        """They are memory that nobody has synced: gone, never written, as they were made, or as they last were."""
        super().save(folder)
        (folder / "ledger").mkdir()
        for name, content in self._journals.items():
            unwritten = content[:64].ljust(len(content), b"\0")
            left = self._chance.choice([None, unwritten, content[:64] + FREE_SLOT * HOLDS_MAX, content])
            if left is not None:
                (folder / "ledger" / name).write_bytes(left)


async def agent(ledger, disk, bills, name, chance):
    """Sends until the power goes, or there has been no money for a while."""
    refusals = 0
    while disk.left is None and refusals < 5:
        most = chance.randrange(1, 10**6)
        try:
            hold = await ledger.reserve({"agent": name}, nanousd=most)
        except BudgetExceededError:
            refusals += 1
            await asyncio.sleep(0.002)
            continue
        except HiveCostError:  # the power went, and the disk with it
            return
        async with hold:
            if disk.left is not None:
                return
            if chance.random() < 0.1:
                hold.release()
                continue
            bill = chance.randrange(most + 1)
            bills.append(bill)
            await asyncio.sleep(0)
            if chance.random() < 0.9:  # else left in doubt
                hold.settle(nanousd=bill)


async def send_until_cut(disk, bills, chance):
    async with Ledger.open(disk.folder, budgets=BUDGETS, holds_max=HOLDS_MAX, policy=POLICY) as ledger:
        async with asyncio.TaskGroup() as tasks:
            for number in range(AGENTS):
                tasks.create_task(agent(ledger, disk, bills, f"a{number}", random.Random(chance.random())))
        disk.cut()


async def problems_of(folder, billed):
    async with Ledger.open(folder) as ledger:
        rows = [row for row in await ledger.status() if row.budget == "all"]
        spent = sum(row.settled + row.held + row.in_doubt for row in rows)
    wrong = {"billed is above settled + held + in_doubt": billed > spent, "above the limit": spent > LIMIT_NANOUSD}
    return [f"{name}: billed {billed}, {rows}" for name, is_wrong in wrong.items() if is_wrong]


class Lineage:
    """A ledger through some power cuts."""

    def __init__(self, base_path):
        self.folder = base_path / "0"
        self.folder.mkdir(parents=True)
        self.bills = []

    def send_until_cut(self, synchronous, chance):
        disk = LedgerDisk(self.folder, chance, changes_max=chance.randrange(chance.choice([120, 400])))
        with mounted(disk, synchronous):
            asyncio.run(send_until_cut(disk, self.bills, chance))
        shutil.rmtree(self.folder)
        self.folder = self.folder.with_name(str(int(self.folder.name) + 1))
        disk.save(self.folder)

    def problems(self):
        """Of a copy, so that the next agents find what the cut left."""
        copy = self.folder.with_name(f"{self.folder.name}-looked-at")
        shutil.copytree(self.folder, copy)
        return asyncio.run(problems_of(copy, sum(self.bills)))


def main():
    base_path, cuts, mutant, seed = sys.argv[1:]
    logging.getLogger("hivecost").setLevel(logging.CRITICAL)
    chance, base_path = random.Random(int(seed)), Path(base_path)
    ledger_paths._BOOT_ID = base_path / "boot_id"
    lineage, sent, problems = None, 0, []
    for number in range(int(cuts)):
        ledger_paths._BOOT_ID.write_text("the same" if mutant == "same_boot" else f"{number}")
        if lineage is None:
            lineage = Lineage(base_path / str(number))
        sent -= len(lineage.bills)
        lineage.send_until_cut("NORMAL" if mutant == "normal" else "FULL", chance)
        sent += len(lineage.bills)
        ledger_paths._BOOT_ID.write_text("the same" if mutant == "same_boot" else f"{number} after")
        problems += [f"cut {number}: {problem}" for problem in lineage.problems()]
        if problems:
            break
        if chance.random() < 0.2:
            lineage = None
    print(json.dumps({"problems": problems, "sent": sent}))


if __name__ == "__main__":
    main()
