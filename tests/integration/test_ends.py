"""However an agent is ended, whatever holds it up, wherever it runs and however it asks: it ends in time, and every
turn that it began is settled or in doubt.

Faults sat where two good parts met: each is tested with each.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import hivecost as hc

#: Generous: what hangs does so for ever.
IN_TIME_S = 20.0
BEFORE = 2

ENDS = ("now", "after turn", "now after after turn", "ctrl-c", "sigterm", "closing")
MODES = ("hard", "stop_after", "pause", "throttle")
PLACES = ("async", "thread", "foreign loop", "thread pool")
SHAPES = ("plain", "streaming", "paced")

#: (end, mode, place, shape): any three of them meet in each way there is; all four do in `make soak`.
MEETINGS = [
    tuple(name for _, name in meeting)
    for meeting in itertools.product(*map(enumerate, (ENDS, MODES, PLACES, SHAPES)))
    if "HIVECOST_SOAK_KILLS" in os.environ or sum(number for number, _ in meeting) % len(SHAPES) == 0
]


def test_any_three_meet():
    """What is left out of the product loses no three of an end, a mode, a place and a shape."""
    for three in itertools.combinations(range(4), 3):
        kinds = [(ENDS, MODES, PLACES, SHAPES)[kind] for kind in three]
        assert {tuple(meeting[kind] for kind in three) for meeting in MEETINGS} == {*itertools.product(*kinds)}


def budget_of(mode):
    """With `hard` and `stop_after` the agent is ended in the middle of a turn, with the others while a turn waits."""
    if mode == "hard":
        return hc.Budget("b", "1000 calls", window="day", mode="hard")
    if mode == "stop_after":
        return hc.Budget("b", "1000 calls", window="day", mode="stop_after")
    if mode == "pause":
        return hc.Budget("b", f"{BEFORE} calls", window="day", mode="hard", on_exceed="pause")
    # The first turn of a spent account passes at once, the second an hour later.
    return hc.Budget(
        "b", f"{BEFORE - 1} calls", window="execution", on_exceed="throttle", throttle_s=3600.0, mode="stop_after"
    )


class Agent:
    """Takes some turns, and then one that goes on, or waits, until the agent is told to stop."""

    def __init__(self, shape):
        self.shape = shape
        self.begun = 0
        self.is_held_up = threading.Event()

    def _settle(self, turn):
        turn.settle(hc.Usage(input_tokens=3, output_tokens=2))

    def _chunks(self, ctx, count):
        for number in range(count) if count else itertools.count():
            if not count:
                self.is_held_up.set()
                time.sleep(0.002)
                if ctx.is_cancelled:
                    raise InterruptedError
            yield {"model": "m", "choices": [{"delta": {"content": f"{number}"}}]}

    def _asked(self, ctx, number):
        if number >= BEFORE:
            # Either it passes the gate and says so itself, or it waits there: the budget is spent.
            self.is_held_up.set()
        return ctx.turn("m", input_tokens=10, max_tokens=10**6)

    async def take(self, ctx):
        for number in range(BEFORE + 1):
            async with self._asked(ctx, number) as turn:
                self.begun += 1
                if self.shape == "streaming":
                    async for _ in turn.stream(self._chunks(ctx, 3 if number < BEFORE else 0)):
                        await asyncio.sleep(0)
                while number == BEFORE and not ctx.is_cancelled:
                    await asyncio.sleep(0.002)
                self._settle(turn)

    def take_sync(self, ctx):
        for number in range(BEFORE + 1):
            with self._asked(ctx, number) as turn:
                self.begun += 1
                if self.shape == "streaming":
                    for _ in turn.stream(self._chunks(ctx, 3 if number < BEFORE else 0)):
                        pass
                while number == BEFORE and not ctx.is_cancelled:
                    time.sleep(0.002)
                self._settle(turn)

    def at(self, place):
        """The agent as an entry point that runs there."""

        async def on_the_loop(ctx, _):
            await self.take(ctx)

        def in_a_thread(ctx, _):
            self.take_sync(ctx)

        def in_a_loop_of_its_own(ctx, _):
            asyncio.run(self.take(ctx))

        def in_a_pool(ctx, _):
            with ThreadPoolExecutor(2) as pool:
                pool.submit(self.take_sync, ctx).result()

        return dict(zip(PLACES, (on_the_loop, in_a_thread, in_a_loop_of_its_own, in_a_pool), strict=True))[place]


class BlockFailedError(Exception):
    pass


async def end(runtime, execution_id, how):
    if how in ("after turn", "now after after turn"):
        assert await runtime.cancel_execution(execution_id, "gently", after_turn=True)
    if how in ("now", "now after after turn"):
        assert await runtime.cancel_execution(execution_id, "stop")
    if how in ("ctrl-c", "sigterm"):
        signal.raise_signal(signal.SIGINT if how == "ctrl-c" else signal.SIGTERM)
        await asyncio.sleep(IN_TIME_S)
    if how == "closing":
        raise BlockFailedError
    return await runtime.wait(execution_id)


async def run(base_path, agent, how, mode, place):
    plugins = [hc.TurnPacer(1000, 60.0, max_concurrent=2)] if agent.shape == "paced" else []
    config = {"runaway": "off", "close_timeout_s": 5.0, "handle_signals": how == "sigterm"}
    prices = {"m": {"input": 1, "output": 1}}
    runtime = hc.AgentRuntime(base_path, prices=prices, budgets=[budget_of(mode)], plugins=plugins, config=config)
    runtime.entry_point("agent")(agent.at(place))
    async with asyncio.timeout(IN_TIME_S), runtime:
        execution_id = await runtime.trigger("agent")
        waits = mode in ("pause", "throttle")
        while not (agent.is_held_up.is_set() and (waits or agent.begun > BEFORE)):
            await asyncio.sleep(0.002)
        if waits:
            await asyncio.sleep(0.05)  # so that it most likely waits by now; if it does not, it must end as well
        result = await end(runtime, execution_id, how)
    assert result.status in ("cancelled", "completed", "failed")


async def calls(base_path):
    """(settled, held, in doubt) of the ledger."""
    async with hc.Ledger.open(base_path) as ledger:
        return [(row.settled, row.held, row.in_doubt) for row in await ledger.status()]


@pytest.mark.parametrize(("how", "mode", "place", "shape"), MEETINGS)
def test_it_ends_in_time_and_every_turn_is_accounted_for(tmp_path, how, mode, place, shape):
    """Nothing hangs, nothing is lost: the ledger has each turn that passed the gate once, and the log has them all."""
    agent = Agent(shape)
    errors = {"ctrl-c": KeyboardInterrupt, "sigterm": SystemExit, "closing": BlockFailedError}
    if how in errors:
        with pytest.raises(errors[how]):
            asyncio.run(run(tmp_path, agent, how, mode, place))
    else:
        asyncio.run(run(tmp_path, agent, how, mode, place))
    assert agent.begun == BEFORE + (mode in ("hard", "stop_after"))
    if mode in ("hard", "pause"):
        ((settled, held, in_doubt),) = asyncio.run(calls(tmp_path))
        assert held == 0
        assert settled + in_doubt == agent.begun
    (session,) = asyncio.run(hc.SessionStore(tmp_path).list_sessions())
    assert session.metrics.llm_calls == agent.begun
    assert session.status != "running"


INSIDES = (
    ("a node with a cap", "hard"),
    ("a sub-agent", "hard"),
    ("a sub-agent", "pause"),
    ("a sub-agent of a sub-agent with a cap", "stop_after"),
    ("a budget that names the model", "hard"),
)


def nested(runtime, agent, inside, place):
    """Register `agent`, which does its work inside of something else."""
    work = agent.at(place)

    if inside == "a node with a cap":

        async def capped(ctx, value):
            async with ctx.node("work", limit="1000 calls") as node:
                agent.cap = node._cap
                result = work(ctx, value)
                await (result if asyncio.iscoroutine(result) else asyncio.sleep(0))

        # A sync agent enters its node in its own thread.
        def capped_sync(ctx, value):
            with ctx.node("work", limit="1000 calls") as node:
                agent.cap = node._cap
                work(ctx, value)

        runtime.entry_point("agent")(capped if place == "async" else capped_sync)
        return
    depth = {"a sub-agent": 1, "a sub-agent of a sub-agent with a cap": 2}.get(inside, 0)
    runtime.entry_point("agent" if not depth else "level 0")(work)

    def start(level):
        async def parent(ctx, value):
            limit = "1000 calls" if inside.endswith("cap") else None
            result = await runtime.trigger_and_wait(f"level {level - 1}", value, limit=limit)
            if result.error is not None:
                raise result.error

        runtime.entry_point("agent" if level == depth else f"level {level}")(parent)

    for level in range(1, depth + 1):
        start(level)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("inside", "mode"), INSIDES)
@pytest.mark.parametrize("how", ENDS)
def test_what_is_inside_of_something_else_ends_as_well(tmp_path, how, inside, mode, place):
    """Sub-agents end with the run that started them, in time; caps and accounts have each turn once."""
    agent = Agent("plain")
    errors = {"ctrl-c": KeyboardInterrupt, "sigterm": SystemExit, "closing": BlockFailedError}
    budget = budget_of(mode)
    if inside == "a budget that names the model":
        budget = hc.Budget("b", "1000 calls", window="day", match={"model": "m*"}, mode="hard")
    run_budget = hc.Budget("run", "1000 calls", window="execution", mode="hard")

    async def going():
        config = {"runaway": "off", "close_timeout_s": 5.0, "handle_signals": how == "sigterm"}
        runtime = hc.AgentRuntime(
            tmp_path, prices={"m": {"input": 1, "output": 1}}, budgets=[budget, run_budget], config=config
        )
        nested(runtime, agent, inside, place)
        async with asyncio.timeout(IN_TIME_S), runtime:
            execution_id = await runtime.trigger("agent")
            while not (agent.is_held_up.is_set() and (mode == "pause" or agent.begun > BEFORE)):
                await asyncio.sleep(0.002)
            await asyncio.sleep(0.05 if mode == "pause" else 0)
            result = await end(runtime, execution_id, how)
        assert result.status in ("cancelled", "completed", "failed")

    if how in errors:
        with pytest.raises(errors[how]):
            asyncio.run(going())
    else:
        asyncio.run(going())
    assert agent.begun == BEFORE + (mode != "pause")
    if mode != "stop_after":
        ((settled, held, in_doubt),) = asyncio.run(calls(tmp_path))
        assert (held, settled + in_doubt) == (0, agent.begun)
    if inside == "a node with a cap":
        assert (agent.cap.held, agent.cap.settled + agent.cap.in_doubt) == (0, agent.begun)
    (session,) = asyncio.run(hc.SessionStore(tmp_path).list_sessions())
    assert session.metrics.llm_calls == agent.begun
    assert session.status != "running"
