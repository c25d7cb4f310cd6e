"""Forks writers that are killed at random moments; run as `kill_loop.py BASE_PATH ORACLE KILLS WRITERS MUTANT SEED`.

A writer resends what the one before it did not acknowledge, and some that it did. It appends every acknowledged event
id to a file, which survives its death. After each kill the log is checked by the ORACLE; prints the first problems as
JSON, or [].
MUTANT is a way to be wrong that the checks must catch, or "none".
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import signal
import sys
import time
from itertools import count
from pathlib import Path

from hivecost.backends.sqlite import Store
from hivecost.backends.sqlite.log import append
from hivecost.events import Cost, CostStatus, ExecutionStarted, LLMTurnComplete, Usage

RESENT = 12


def event(writer, number):
    name = f"{writer}-{number}"
    if number % 10 == 0:
        return ExecutionStarted(event_id=name, session_id=f"s{number % 3}", execution_id=f"e{number}")
    cost = Cost(status=CostStatus.PRICED, nanousd=number) if number % 3 else None
    return LLMTurnComplete(
        event_id=name,
        timestamp_ns=number * 10**11,
        session_id=f"s{number % 3}",
        execution_id=f"e{number // 10 * 10}",
        node_id=f"n{number % 2}",
        model=f"m{number % 2}",
        usage=Usage(number, 1),
        cost=cost,
    )


class Acknowledging(Store):
    """Tells a file what it has acknowledged."""

    def __init__(self, base_path, acknowledged, early):
        super().__init__(base_path)
        self.file = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.early = early

    async def send(self, events):
        if self.early:
            self.acknowledge(events)
        await self.write(events)
        if not self.early:
            self.acknowledge(events)

    def acknowledge(self, events):
        os.write(self.file, "".join(f"{event.event_id}\n" for event in events).encode())


def sums_in_a_second_transaction():
    """Mutant: the rows are committed before their sums."""
    fold = append.fold_turns

    def late(connection, last_turn):
        connection.execute("COMMIT")
        time.sleep(0.002)  # as if the machine were busy
        connection.execute("BEGIN IMMEDIATE")
        fold(connection, last_turn)

    append.fold_turns = late


def sums_blind_to_duplicates():
    """Mutant: the sums are folded from the batch as it was sent."""
    insert = append._insert

    def blind(connection, events):
        appended = insert(connection, events)
        for event, inserted in zip(events, appended.inserted, strict=True):
            if not inserted and isinstance(event, LLMTurnComplete):
                connection.execute(
                    "UPDATE sessions SET llm_calls = llm_calls + 1 WHERE session_id = ?", [event.session_id]
                )
        return appended

    append._insert = blind


MUTANTS = {
    "none": lambda: None,
    "early": lambda: None,
    "second_transaction": sums_in_a_second_transaction,
    "blind": sums_blind_to_duplicates,
}


async def write(base_path, acknowledged, early, writer, first, ready):
    async with Acknowledging(base_path, acknowledged, early) as store:
        next_number = iter(range(first, first + 10**6)).__next__

        async def producer(size):
            while True:
                await store.send([event(writer, next_number()) for _ in range(size)])
                os.write(ready, b".")

        await asyncio.gather(*(producer(size) for size in (1, 2, 7)))


def fork_writer(*arguments):
    """(process id, a pipe that says when it has begun)."""
    begun, ready = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(begun)
        asyncio.run(write(*arguments, ready))
    os.close(ready)
    return child, begun


def load_oracle(path):
    spec = importlib.util.spec_from_file_location("log_oracle", path)
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    return oracle


def lost(oracle, path, event_ids):
    rows = oracle.rows(path, "SELECT event_id FROM turns UNION ALL SELECT event_id FROM events")
    missing = set(event_ids) - {row["event_id"] for row in rows}
    return [f"acknowledged and not there: {sorted(missing)}"] if missing else []


def first_unacknowledged(event_ids, writer):
    return next(number for number in count(1) if f"{writer}-{number}" not in event_ids)


def one_round(base_path, acknowledged, mutant, first, chance):
    """Every writer starts with its own first number; all are killed together, some commits and a moment later."""
    children = [
        fork_writer(base_path, acknowledged, mutant == "early", writer, number) for writer, number in enumerate(first)
    ]
    for _, begun in children:
        for _ in range(chance.randrange(1, 20)):
            os.read(begun, 1)
    time.sleep(chance.uniform(0, 0.004))
    for child, _ in children:
        os.kill(child, signal.SIGKILL)
    for child, begun in children:
        os.waitpid(child, 0)
        os.close(begun)


def main():
    base_path, oracle_path, kills, writers, mutant, seed = sys.argv[1:]
    MUTANTS[mutant]()
    oracle, chance = load_oracle(oracle_path), random.Random(int(seed))
    acknowledged = Path(base_path) / "acknowledged"
    first = [1] * int(writers)
    problems = []
    for _ in range(int(kills)):
        one_round(base_path, acknowledged, mutant, first, chance)
        path, event_ids = Path(base_path) / "hivecost.db", set(acknowledged.read_text().split())
        problems = lost(oracle, path, event_ids) + oracle.problems(path)
        if problems:
            break
        # All before these is acknowledged, so that resending leaves no gap.
        first = [max(1, first_unacknowledged(event_ids, writer) - RESENT) for writer in range(len(first))]
    print(json.dumps(problems))


if __name__ == "__main__":
    main()
