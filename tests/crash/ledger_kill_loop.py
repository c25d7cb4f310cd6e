"""Forks agents that are killed at random moments; run as `ledger_kill_loop.py BASE_PATH KILLS WORKERS MUTANT SEED`.

The provider emulator runs in a process of its own and writes its bill before it answers: that file is the oracle.
While agents live and after each kill, the bill is held against the ledger; prints the first problems as JSON, or [].
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

from hivecost.backends import Ledger
from hivecost.errors import ConfigError
from hivecost.testing import read_bill


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


worker = load("ledger_worker")


def billed(bill):
    """Nano-USD by turn."""
    entries = read_bill(bill) if bill.exists() else []
    return {entry.turn: entry.usage.total_tokens * worker.NANOUSD_PER_TOKEN for entry in entries if entry.billed}


def fork(work):
    """(process id, a pipe of what `work` gives as JSON)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            os.write(writing, json.dumps(work()).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    return child, reading


def outcome_of(work):
    """What `work` gives in a process of its own, because one that forks should run no event loop."""
    child, reading = fork(work)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text or '["the look itself failed"]')


async def look(base_path, bill, chance):
    """What is wrong just now; an operator raises the limit and resolves some doubts on the way."""
    before = sum(billed(bill).values())
    async with Ledger.open(base_path) as ledger:
        (row,) = [row for row in await ledger.status() if row.budget == "all"] or [None]
        turns = billed(bill)
        if row is None:
            return []
        spent = row.settled + row.held + row.in_doubt
        problems = [
            f"{name}: {row}, billed {before}"
            for name, wrong in {
                "billed is above settled + held + in_doubt": before > spent,
                "above the limit": spent > row.limit,
                "settled is above billed": row.settled > sum(turns.values()),
            }.items()
            if wrong
        ]
        for hold in await ledger.in_doubt():
            if hold.key in turns and chance.random() < 0.5:
                with suppress(ConfigError):  # its agent learnt the usage meanwhile
                    await ledger.resolve(hold.hold_id, nanousd=turns[hold.key], by="the bill")
        if row.remaining < row.limit // 10 and chance.random() < 0.5:
            await ledger.set_limit("all", f"${row.limit * 1.2 / 1e9:.9f}", by="the test")
    return problems + problems_in_tables(base_path)


def problems_in_tables(base_path):
    connection = sqlite3.connect(f"file:{base_path}/hivecost.db?mode=ro", uri=True)
    found = connection.execute(
        "SELECT 'leased beyond the limit', budget, settled, in_doubt, leased, limit_amount FROM ledger_budgets JOIN"
        " (SELECT *, (SELECT coalesce(sum(amount), 0) FROM ledger_leases WHERE account_id = id) AS leased"
        " FROM ledger_accounts) ON budget = name WHERE settled + in_doubt + leased > limit_amount + overrun"
        " UNION ALL SELECT 'in_doubt is not the sum of its holds', id, in_doubt, 0, 0, 0 FROM ledger_accounts"
        " WHERE in_doubt <> (SELECT coalesce(sum(amount), 0) FROM ledger_doubt_amounts JOIN ledger_doubts"
        " USING (hold_id) WHERE account_id = id AND resolved_ns IS NULL)"
    ).fetchall()
    found += [row for row in connection.execute("PRAGMA integrity_check") if row != ("ok",)]
    connection.close()
    return [str(row) for row in found]


def wait_for_bill(bill, chance):
    """Some more bills, or a moment when there is no money."""
    seen = bill.stat().st_size if bill.exists() else 0
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        if bill.exists() and bill.stat().st_size > seen + chance.randrange(0, 6_000):
            break
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.01))


def kill_while_recovering(base_path, chance):
    """Whoever recovers the dead may die of it."""

    async def recover():
        async with Ledger.open(base_path):
            pass

    child, pipe = fork(lambda: asyncio.run(recover()))
    time.sleep(chance.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(pipe)


def rounds(base_path, url, bill, kills, workers, mutant, chance):
    living = {}

    def looked():
        other_chance = random.Random(chance.random())
        return outcome_of(lambda: asyncio.run(look(base_path, bill, other_chance)))

    try:
        while kills > 0:
            while len(living) < workers:
                seed = chance.randrange(10**9)
                child, pipe = fork(lambda seed=seed: worker.run(base_path, url, mutant, seed))
                os.close(pipe)
                living[child] = seed
            wait_for_bill(bill, chance)
            problems = looked()
            for child in chance.sample(sorted(living), chance.randrange(1, workers + 1)):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                del living[child]
                kills -= 1
            if chance.random() < 0.3:
                kill_while_recovering(base_path, chance)
            problems = problems or looked()
            if problems:
                return problems
        return []
    finally:
        for child in living:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def main():
    base_path, kills, workers, mutant, seed = sys.argv[1:]
    logging.getLogger("hivecost").setLevel(logging.CRITICAL)
    worker.MUTANTS[mutant]()
    bill = Path(base_path) / "bill.jsonl"
    # It bills at once and answers a little later, so that kills meet holds whose money is spent.
    emulator = [sys.executable, "-m", "hivecost.testing", "--bill", str(bill), "--fsync"]
    emulator += ["--behaviour", '{"latency_s": 0.01}']
    provider = subprocess.Popen(emulator, stdout=subprocess.PIPE, text=True)
    try:
        url = provider.stdout.readline().strip()
        data = Path(base_path) / "data"
        problems = rounds(data, url, bill, int(kills), int(workers), mutant, random.Random(int(seed)))
        print(json.dumps({"problems": problems, "calls": len(billed(bill))}))
    finally:
        provider.terminate()
        provider.wait()


if __name__ == "__main__":
    main()
