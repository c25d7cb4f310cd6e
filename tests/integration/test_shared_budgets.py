"""One budget, several processes: what each of them spends is seen by the others while they run."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Does what it is told, a line each: `spend N` answers with the turns it could take, `wait` lets two seconds pass.
AGENT = """
import asyncio, sys
import anyio
import hivecost as hc
from hivecost.testing import FakeClock
sys.modules["bpe_openai"] = None  # as without the extra `tokens`: importing it takes longer than all else here

async def main(base_path, mode):
    clock = FakeClock()
    budgets = [hc.Budget("team", "10 calls", window="day", mode=mode)]
    runtime = hc.AgentRuntime(base_path, budgets=budgets, prices={"m": {"input": 1, "output": 1}}, clock=clock)

    @runtime.entry_point("agent")
    async def agent(ctx, turns):
        for _ in range(turns):
            async with ctx.turn("m") as turn:
                turn.settle(hc.Usage(10, 5))

    async with runtime:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            word, _, number = line.partition(" ")
            if word == "wait\\n":
                clock.advance(2.0)
                await anyio.wait_all_tasks_blocked()
                await clock.wait_for_sleepers()  # the look is over when the watcher sleeps again
                print("waited", flush=True)
                continue
            result = await runtime.trigger_and_wait("agent", int(number))
            await runtime.flush()
            rows = {row.budget: row.settled for row in await runtime.budgets.status()}
            print(result.metrics["llm_calls"], result.status, rows["team"], flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def start(base_path):
    started = []

    def start(mode: str) -> Agent:
        agent = Agent(base_path, mode)
        started.append(agent)
        return agent

    yield start
    for agent in started:
        _, errors = agent.process.communicate(timeout=30)
        assert errors == ""


class Agent:
    def __init__(self, base_path, mode) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", AGENT, str(base_path), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def tell(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def spend(self, turns: int) -> str:
        """`turns taken, how it ended, what it knows of the team's budget`"""
        self.tell(f"spend {turns}")
        return self.process.stdout.readline().strip()

    def wait(self) -> None:
        self.tell("wait")
        assert self.process.stdout.readline() == "waited\n"


def test_a_budget_of_several_processes_is_spent_once(start):
    """Both run from the start; after two seconds each knows what the other spent, and nobody's turn counts twice."""
    one, two = start("stop_after"), start("stop_after")
    assert one.spend(4) == "4 completed 4"
    assert two.spend(3) == "3 completed 3"
    two.wait()
    assert two.spend(1) == "1 completed 8"
    one.wait()
    assert one.spend(1) == "1 completed 9"
    two.wait()
    assert two.spend(5) == "1 cancelled 10"
    one.wait()
    assert one.spend(5) == "0 cancelled 10"
    for agent in (one, two):
        agent.wait()
        assert agent.spend(1) == "0 cancelled 10"


def test_the_overshoot_is_what_others_spent_in_the_last_seconds(start):
    """Within them each goes on with what it knows; then all that was spent counts, and nothing more is."""
    one, two = start("stop_after"), start("stop_after")
    assert one.spend(8) == "8 completed 8"
    assert two.spend(8) == "8 completed 8"
    for agent in (one, two):
        agent.wait()
        assert agent.spend(1) == "0 cancelled 16"


def test_budgets_that_observe_see_the_others_too(start):
    """Their status is that of the team."""
    one, two = start("observe"), start("observe")
    assert one.spend(8) == "8 completed 8"
    two.wait()
    assert two.spend(8) == "8 completed 16"
