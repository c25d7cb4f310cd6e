"""What a stop_after budget does past its soft limit, and past a limit that only slows down."""

from __future__ import annotations

from itertools import pairwise

import anyio
import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

WARNING, LIMITED = hc.EventType.BUDGET_WARNING, hc.EventType.RATE_LIMITED
TURN = ("m", hc.Usage(10, 5))


def soft(on_soft: str = "alert", **settings) -> hc.Budget:
    given = {"limit": "10 calls", "soft_limit": 3, "on_soft": on_soft, "warn": (), "mode": "stop_after", **settings}
    return hc.Budget("b", **given)


@pytest.mark.parametrize("mode", ["observe", "stop_after"])
async def test_alert_warns_once(make_runtime, collect, mode):
    """One BUDGET_WARNING for the account when it gets there; nobody is held up."""
    runtime = make_runtime(budgets=[soft(mode=mode)])
    seen = collect(runtime, WARNING)
    async with runtime:
        result = await runtime.trigger_and_wait("spend", [TURN] * 6)
    assert result.status == "completed"
    assert [(event.budget, event.used, event.limit, event.fraction) for event in seen] == [("b", 3, 10, 0.3)]


async def turns_over_time(runtime, clock, executions: int = 1, seconds: int = 6, turns: int = 6) -> list[int]:
    """How many turns had ended when the clock was advanced to each second."""
    ended: list[int] = []
    done = 0

    @runtime.entry_point("count")
    async def count(ctx, _):
        nonlocal done
        for _ in range(turns):
            async with ctx.turn("m") as turn:
                turn.settle(hc.Usage(1, 1))
            done += 1

    async with runtime:
        ids = [await runtime.trigger("count") for _ in range(executions)]
        for _ in range(seconds):
            await clock.wait_for_sleepers()
            await anyio.wait_all_tasks_blocked()
            ended.append(done)
            clock.advance(1.0)
        for execution_id in ids:
            runtime.cancel_execution_nowait(execution_id)
        for execution_id in ids:
            await runtime.wait(execution_id)
    return ended


async def test_throttle_lets_turns_pass_one_by_one(make_runtime, collect):
    """Three at once, the fourth as well, then one a second; each that waited says so with the budget's name."""
    clock = FakeClock()
    runtime = make_runtime(budgets=[soft("throttle")], clock=clock)
    seen = collect(runtime, LIMITED)
    assert await turns_over_time(runtime, clock, seconds=3, turns=9) == [4, 5, 6]
    assert [(event.limiter, event.waited_ms) for event in seen] == [("b", 1000), ("b", 1000), ("b", 1000)][: len(seen)]
    assert len(seen) >= 2


async def test_executions_of_one_account_share_its_throttle(make_runtime):
    """The account is slowed down, however many run on it."""
    clock = FakeClock()
    ended = await turns_over_time(
        make_runtime(budgets=[soft("throttle", limit="50 calls")], clock=clock), clock, executions=3, seconds=4
    )
    assert [after - before for before, after in pairwise(ended)] == [1, 1, 1]


async def test_a_turn_that_waits_can_be_cancelled(make_runtime):
    """It is refused with the reason, and was never sent."""
    clock = FakeClock()
    runtime = make_runtime(budgets=[soft("throttle", throttle_s=3600.0)], clock=clock)
    async with runtime:
        execution_id = await runtime.trigger("spend", [TURN] * 9)
        await clock.wait_for_sleepers(2)  # the watcher, between two looks into the log, and the turn
        await runtime.cancel_execution(execution_id, "enough")
        with anyio.fail_after(10):
            result = await runtime.wait(execution_id)
    assert (result.status, result.metrics["llm_calls"], str(result.error)) == ("cancelled", 4, "enough")


async def test_finish_lets_only_those_go_on_that_began_before(make_runtime):
    """A running execution takes turns up to the limit; a new one is refused until the period is over."""
    runtime = make_runtime(budgets=[soft("finish", window="day")])
    go, ready = anyio.Event(), anyio.Event()

    @runtime.entry_point("patient")
    async def patient(ctx, _):
        for number in range(6):
            async with ctx.turn("m") as turn:
                turn.settle(hc.Usage(1, 1))
            if number == 2:
                ready.set()
                await go.wait()

    async with runtime:
        execution_id = await runtime.trigger("patient")
        await ready.wait()
        refused = await runtime.trigger_and_wait("spend", [TURN])
        go.set()
        finished = await runtime.wait(execution_id)
        after = await runtime.trigger_and_wait("patient")
    assert isinstance(refused.error, hc.BudgetExhaustedError)
    assert refused.error.reset_at is not None
    assert "soft limit of 3 calls" in str(refused.error)
    assert (refused.error.execution_id, refused.metrics["llm_calls"]) == (refused.execution_id, 0)
    assert (finished.status, finished.metrics["llm_calls"]) == ("completed", 6)
    assert isinstance(after.error, hc.BudgetExhaustedError)


async def test_downgrade_takes_the_cheaper_model(make_runtime, collect):
    """From the soft limit on `turn.model` is the other one, and so is the model that is priced."""
    runtime = make_runtime(budgets=[soft("downgrade:n")])
    turns = collect(runtime, hc.EventType.LLM_TURN_COMPLETE)
    models = []

    @runtime.entry_point("ask")
    async def ask(ctx, _):
        for _ in range(5):
            async with ctx.turn("m", provider="house") as turn:
                models.append(turn.model)
                turn.settle(hc.Usage(1, 1))

    async with runtime:
        assert (await runtime.trigger_and_wait("ask")).status == "completed"
    assert models == ["m"] * 3 + ["n"] * 2
    assert [(turn.model, turn.provider) for turn in turns] == [("m", "house")] * 3 + [("n", "house")] * 2


@pytest.mark.parametrize("on_soft", ["throttle", "finish", "downgrade:n"])
async def test_a_shadow_budget_lets_everything_pass(make_runtime, collect, on_soft):
    """It warns, and that is all."""
    runtime = make_runtime(budgets=[soft(on_soft, shadow=True)], clock=FakeClock())
    seen = collect(runtime, WARNING)
    async with runtime:
        await runtime.trigger_and_wait("spend", [TURN] * 3)
        with anyio.fail_after(10):
            result = await runtime.trigger_and_wait("spend", [TURN] * 5)
    assert (result.status, len(seen)) == ("completed", 1)


async def test_past_its_limit_a_budget_may_slow_down_instead_of_stop(make_runtime, collect):
    """on_exceed="throttle": nobody is cancelled, one turn passes in each throttle_s, the events say what was done."""
    clock = FakeClock()
    budget = hc.Budget("b", limit="2 calls", on_exceed="throttle", throttle_s=1.0, warn=(), mode="stop_after")
    runtime = make_runtime(budgets=[budget], clock=clock)
    exceeded = collect(runtime, hc.EventType.BUDGET_EXCEEDED)
    assert await turns_over_time(runtime, clock, seconds=3, turns=9) == [3, 4, 5]
    assert {event.action for event in exceeded} == {"throttled"}
    assert exceeded[0].used == 3


async def test_what_happened_while_a_turn_waited_counts(make_runtime):
    """The last call of the budget went to somebody else meanwhile: the turn that waited is refused, not sent."""
    clock = FakeClock()
    runtime = make_runtime(budgets=[soft("throttle", limit="5 calls")], clock=clock)
    async with runtime:
        assert (await runtime.trigger_and_wait("spend", [TURN] * 4)).status == "completed"
        execution_id = await runtime.trigger("spend", [TURN])
        await clock.wait_for_sleepers(2)
        await runtime.bus.publish(hc.LLMTurnComplete(model="m", usage=hc.Usage(1, 1), execution_id="elsewhere"))
        clock.advance(1.0)
        with anyio.fail_after(10):
            result = await runtime.wait(execution_id)
    assert isinstance(result.error, hc.BudgetExhaustedError)
    assert result.metrics["llm_calls"] == 0
