"""The documented ways to stop and slow spending, and the faults of others that must not come back."""

from __future__ import annotations

import threading

import anyio
import pytest

import hivecost as hc
from hivecost import BudgetExceededError, EventType, RateLimiter
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio


async def test_hard_limit_in_a_handler(runtime, ask, provider):
    """A handler that awaits cancel_execution and raises BudgetExceededError stops the run.

    The documented handler: elsewhere it hangs, because cancelling waits for the handler that cancels.
    """
    total_tokens = 0
    MAX_BUDGET = 100  # noqa: N806  # as documented

    async def enforce_budget(event):
        nonlocal total_tokens
        tokens = event.data.get("input_tokens", 0) + event.data.get("output_tokens", 0)
        total_tokens += tokens
        if total_tokens > MAX_BUDGET:
            await runtime.cancel_execution(event.execution_id)
            raise BudgetExceededError(f"Token budget exhausted: {total_tokens:,} tokens")

    runtime.bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=enforce_budget)

    @runtime.entry_point("runaway")
    async def runaway(ctx, _):
        while True:
            await ask()

    async with runtime:
        with anyio.fail_after(30):
            result = await runtime.trigger_and_wait("runaway")
    assert result.status == "cancelled"
    assert isinstance(result.error, BudgetExceededError)
    assert str(result.error).startswith("Token budget exhausted: ")
    per_call = provider.bill[0].usage.total_tokens
    needed = 100 // per_call + 1
    assert needed <= provider.billed_tokens().calls <= needed + 1  # at most the one turn in flight


async def test_the_error_alone_is_enough(runtime, ask, provider):
    """BudgetExceededError raised in a handler cancels the execution its event is about; elsewhere it is swallowed."""

    async def enforce(event):
        raise BudgetExceededError("not one token more")

    runtime.bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=enforce)

    @runtime.entry_point("runaway")
    async def runaway(ctx, _):
        while True:
            await ask()

    async with runtime:
        with anyio.fail_after(30):
            result = await runtime.trigger_and_wait("runaway")
    assert (result.status, str(result.error)) == ("cancelled", "not one token more")
    assert provider.billed_tokens().calls <= 2


async def test_a_handler_stops_the_one_execution_only(runtime, ask):
    """Of two executions the one over its limit is cancelled; the other completes."""

    def enforce(event):
        if event.agent_id == "greedy":
            raise BudgetExceededError("greedy")

    runtime.bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=enforce)

    @runtime.entry_point("greedy")
    async def greedy(ctx, _):
        while True:
            await ask()

    @runtime.entry_point("modest")
    async def modest(ctx, _):
        for _ in range(5):
            await ask()
        return "done"

    async with runtime:
        ids = [await runtime.trigger(name) for name in ("greedy", "modest")]
        with anyio.fail_after(30):
            results = [await runtime.wait(execution_id) for execution_id in ids]
    assert [result.status for result in results] == ["cancelled", "completed"]


async def test_a_rate_limited_handler_slows_nobody(runtime, ask):
    """The documented handler waits for its limiter on its own time: the agent is not held up by it."""
    clock = FakeClock()
    limiter = RateLimiter(max_calls=2, window_seconds=60.0, clock=clock)
    handled = []

    async def rate_limited_handler(event):
        if event.type == EventType.LLM_TURN_COMPLETE:
            await limiter.acquire()
            handled.append(clock.monotonic_s())

    runtime.bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=rate_limited_handler)

    @runtime.entry_point("api")
    async def api(ctx, _):
        for _ in range(5):
            await ask()

    async with runtime:
        result = await runtime.trigger_and_wait("api")
        assert (result.status, result.metrics["llm_calls"]) == ("completed", 5)
        with anyio.fail_after(30):
            for granted in (4, 5):
                await clock.wait_for_sleepers()
                clock.advance(60.0)
                while len(handled) < granted:
                    await anyio.lowlevel.checkpoint()
            await runtime.bus.drain()
    assert handled == [0.0, 0.0, 60.0, 60.0, 120.0]


# -- what hangs, loses or lies elsewhere ---------------------------------------------------------------------------


async def test_regression_ten_handlers_that_publish_do_not_hang():
    """Handlers that publish wait for no slot of a shared semaphore: twenty of them, three rounds deep, end."""
    seen = []
    async with hc.EventBus() as bus:

        async def publish_again(event):
            seen.append(event.name)
            if len(event.name) < 3:
                await bus.publish(hc.CustomEvent(name=event.name + "x"))

        for _ in range(20):
            bus.subscribe(event_types=[EventType.CUSTOM], handler=publish_again, max_queue=100_000)
        with anyio.fail_after(30):
            await bus.publish(hc.CustomEvent(name="x"))
            await bus.drain()
    assert len(seen) == 20 + 20 * 20 + 20 * 20 * 20


async def test_regression_cancelling_the_own_execution_in_a_handler_returns(runtime, ask):
    """Every handler of every turn may cancel its execution; none waits for itself."""
    answers = []

    async def cancel(event):
        answers.append(await runtime.cancel_execution(event.execution_id))

    for _ in range(10):
        runtime.bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=cancel)

    @runtime.entry_point("api")
    async def api(ctx, _):
        await ask()
        await anyio.sleep_forever()

    async with runtime:
        with anyio.fail_after(30):
            result = await runtime.trigger_and_wait("api")
            await runtime.bus.drain()
    assert result.status == "cancelled"
    assert len(answers) == 10
    assert answers[0] is True


async def test_regression_order_is_kept_under_concurrent_publishers(runtime, ask, base_path):
    """Two handlers and the log agree on one order of the turns of twenty concurrent executions."""
    first, second = [], []

    async def slow(event):
        await anyio.lowlevel.checkpoint()
        first.append(event.event_id)

    runtime.bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=slow)
    runtime.bus.subscribe(
        event_types=[EventType.LLM_TURN_COMPLETE], handler=lambda event: second.append(event.event_id)
    )

    @runtime.entry_point("api")
    async def api(ctx, _):
        for _ in range(3):
            await ask()

    session_id = hc.new_session_id(runtime.clock.now_ns())
    async with runtime:
        for _ in range(20):
            await runtime.trigger("api", session_id=session_id)
    steps = await hc.RuntimeLogStore(base_path).load_steps(session_id)
    assert len(first) == 60
    assert first == second == [step.event_id for step in steps]


async def test_regression_a_cancelled_publisher_loses_no_event(runtime, base_path):
    """Whoever is cancelled around publish(): what was accepted reaches every subscriber and the log."""
    accepted = []
    session_id = hc.new_session_id(runtime.clock.now_ns())
    async with runtime:
        for number in range(50):
            with anyio.CancelScope() as scope:
                if number % 2:
                    scope.cancel()
                event = hc.LLMTurnComplete(model="gpt-4o", usage=hc.Usage(1, 1), session_id=session_id)
                await runtime.bus.publish(event)
                accepted.append(event.event_id)
                await anyio.sleep(0)
        await runtime.bus.drain()
        assert runtime.usage.total.llm_calls == len(accepted) == 50
    steps = await hc.RuntimeLogStore(base_path).load_steps(session_id)
    assert [step.event_id for step in steps] == accepted


async def test_regression_the_limiter_grants_no_more_than_its_limit():
    """Forty waiters at five a second: five in any second, where a limiter that does not look again grants 35."""
    clock = FakeClock()
    limiter = RateLimiter(max_calls=5, window_seconds=1.0, clock=clock)
    grants: list[float] = []

    async def waiter() -> None:
        await limiter.acquire()
        grants.append(clock.monotonic_s())

    async with anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(waiter)
        with anyio.fail_after(30):
            while len(grants) < 40:
                await clock.wait_for_sleepers()
                clock.advance(0.1)
                for _ in range(100):
                    await anyio.lowlevel.checkpoint()
    assert len(grants) == 40
    for start in grants:
        assert sum(start <= at < start + 1.0 - 1e-9 for at in grants) <= 5


async def test_regression_a_daily_limit_admits_no_more_than_it_says(tmp_path):
    """A thousand tokens a day: of a hundred calls of a thousand each one passes; counted by another key, all did."""
    budget = hc.Budget("daily", limit="1_000 tokens", window="day", mode="stop_after")
    runtime = hc.AgentRuntime(tmp_path, budgets=[budget])

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("gpt-4o", input_tokens=1_000) as turn:
            turn.settle(hc.Usage(1_000, 0))
        await runtime.bus.drain()

    async with runtime:
        results = [await runtime.trigger_and_wait("api") for _ in range(100)]
    assert sum(result.metrics["total_tokens"] for result in results) == 1_000
    assert [result.status for result in results] == ["completed"] + ["cancelled"] * 99
    assert {type(result.error) for result in results[1:]} == {hc.BudgetExhaustedError}


def test_regression_top_agents_does_not_deadlock():
    """Asking for the top while totals are asked for, from several threads: no lock is taken twice."""
    usage = hc.UsageAggregator()
    usage.add(hc.LLMTurnComplete(agent_id=f"a{n}", usage=hc.Usage(n, 0)) for n in range(100))
    found = []

    def ask_for_top() -> None:
        for _ in range(50):
            found.append(usage.top("agent", 3, key="total_tokens")[0][0])

    threads = [threading.Thread(target=ask_for_top, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert found == ["a99"] * 200


async def test_regression_usage_of_a_task_is_added_not_overwritten(runtime, ask, provider):
    """Several calls of one agent for one task count together; recording the last one only is a lie."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        for _ in range(4):
            await ask()

    async with runtime:
        await runtime.trigger_and_wait("api", task_id="t1")
        await runtime.trigger_and_wait("api", task_id="t1")
        await runtime.bus.drain()
    billed = provider.billed_tokens()
    assert billed.calls == 8
    assert runtime.usage.by("task")["t1"].total_tokens == billed.total_tokens
    assert runtime.usage.by("agent")["api"].total_tokens == billed.total_tokens
