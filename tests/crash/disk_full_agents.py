"""Agents whose disk is full now and then; run as `disk_full_agents.py BASE_PATH ORACLE RUNS SEED`.

Each run is a process of its own with an AgentRuntime, Python's own SQLite and a limit on the size of files, which
cuts writes off at any byte. The limit changes between executions, and is lifted for the last ones. Prints as JSON the
problems, and how many events were lost and logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import resource
import sys
from pathlib import Path

import anyio.lowlevel
import kill_loop

from hivecost import AgentRuntime, Usage, calculate_cost
from hivecost.backends.sqlite import database
from hivecost.clock import SystemClock
from hivecost.errors import StoreError

PRICES = {"gpt-4o": {"input": 2.50, "output": 10.00}}
PHASES = 5
FILE_BYTES_MAX = 600_000


class HastyClock(SystemClock):
    """Waits for no disk."""

    async def sleep(self, seconds):
        await (anyio.sleep(seconds) if seconds > 1 else anyio.lowlevel.checkpoint())


class Witness:
    """What happened by event id, what a flush acknowledged of it, and what is wrong so far."""

    def __init__(self):
        self.happened, self.acknowledged, self.problems = [], set(), []
        self._flushed = 0

    def hear(self, events):
        self.happened += [event.event_id for event in events]

    async def flush(self, runtime):
        """All that happened since the last flush is acknowledged, if this one returns."""
        await runtime.bus.drain()
        new, self._flushed = self.happened[self._flushed :], len(self.happened)
        try:
            await runtime.flush()
        except StoreError as error:
            if not str(error).startswith(f"{runtime.base_path}/hivecost.db: ") or "; " not in str(error):
                self.problems.append(f"not named: {error!r}")
        else:
            self.acknowledged.update(new)

    def problems_with(self, path, oracle, counts):
        rows = oracle.rows(path, "SELECT event_id FROM turns UNION ALL SELECT event_id FROM events")
        logged, happened = {row["event_id"] for row in rows}, len(self.happened)
        wrong = {
            "acknowledged and not there": not self.acknowledged <= logged,
            "logged, and never happened": not logged <= set(self.happened),
            "miscounted": (counts.written, counts.lost) != (len(logged), happened - len(logged)),
            "not logged again when there was room": self.happened[-1] not in self.acknowledged,
        }
        found = [f"{name}: {happened} happened, {counts}" for name, is_wrong in wrong.items() if is_wrong]
        return self.problems + oracle.problems(path) + found


async def run(base_path, chance, witness):
    """The log's own counts; the witness saw the rest."""
    runtime = AgentRuntime(base_path, prices=PRICES, clock=HastyClock())

    @runtime.entry_point("work")
    async def work(ctx, turns):
        for _ in range(turns):
            async with ctx.turn(model="gpt-4o", input_tokens=10, max_tokens=10) as turn:
                turn.settle(Usage(10, 5))

    async with runtime:
        runtime.bus.subscribe(handler=witness.hear, batch=True)
        for phase in range(PHASES):
            for turns in (1, 5, chance.randrange(60)):
                limit = chance.randrange(FILE_BYTES_MAX) if phase < PHASES - 1 else resource.RLIM_INFINITY
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                result = await runtime.trigger_and_wait("work", turns)
                if (result.status, result.metrics["llm_calls"]) != ("completed", turns):
                    witness.problems.append(f"{result} after {turns} turns")
                if chance.random() < 0.5:
                    await runtime.bus.drain()
            await witness.flush(runtime)
    return runtime.log.statistics


def in_child(base_path, oracle, seed):
    """[problems, events lost, events logged]"""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        witness = Witness()
        counts = asyncio.run(run(base_path, random.Random(seed), witness))
        problems = witness.problems_with(base_path / "hivecost.db", oracle, counts)
        os.write(writing, json.dumps([problems[:5], counts.lost, counts.written]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer or '[["the run itself failed"], 0, 0]')


def main():
    base_path, oracle_path, runs, seed = sys.argv[1:]
    logging.getLogger("hivecost").setLevel(logging.CRITICAL)
    database._CHECKPOINT_BYTES = 128 * 2**10
    calculate_cost("gpt-4o", 1, 1)  # imports the rates here, once for all runs
    oracle, found = kill_loop.load_oracle(oracle_path), {"problems": [], "lost": 0, "logged": 0}
    for number in range(int(runs)):
        problems, lost, logged = in_child(Path(base_path) / str(number), oracle, int(seed) + number)
        found["problems"] += [f"run {number}: {problem}" for problem in problems]
        found["lost"] += lost
        found["logged"] += logged
    print(json.dumps(found | {"problems": found["problems"][:10]}))


if __name__ == "__main__":
    main()
