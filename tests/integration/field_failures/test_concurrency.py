"""Elsewhere those who come at once get more than there is. Here they get what the limit says."""

from __future__ import annotations

from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

WHO = {"user": "ada"}


@pytest.mark.parametrize("concurrent", [32, 128, 1_000])
async def test_concurrent_turns_do_not_overshoot_the_cap(base_path, prices, hard, nanousd, concurrent):
    """Elsewhere a turn looks at what is left, and is recorded when it is over: 40%, 141% and 1,207% over a $5 cap.

    Here what it may cost is held while it is under way: never over, and all but the last turn's bound is usable.
    """
    clock = FakeClock()
    runtime = hc.AgentRuntime(
        base_path,
        budgets=[hard("$5", on_short="wait", wait_s=100_000)],
        prices=prices,
        clock=clock,
        config={"runaway": "off"},
    )
    bill = []

    @runtime.entry_point("agent")
    async def agent(ctx, number):
        while True:
            async with ctx.turn("m", input_tokens=1_000, max_tokens=4_000) as turn:
                usage = hc.Usage(1_000, (number + 997 * len(bill)) % 4_001)
                bill.append(nanousd(usage))
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                turn.settle(usage)

    async def wake_waiters() -> None:
        while True:
            await clock.wait_for_sleepers()
            clock.advance(0.05)  # slowly, as every second all of them look again
            await anyio.sleep(0.001)

    async with runtime, anyio.create_task_group() as group:
        group.start_soon(wake_waiters)
        executions = [await runtime.trigger("agent", number) for number in range(concurrent)]
        results = [await runtime.wait(execution_id) for execution_id in executions]
        group.cancel_scope.cancel()
    assert {type(result.error) for result in results} == {hc.BudgetExhaustedError}
    assert 0.95 * 5_000_000_000 <= sum(bill) <= 5_000_000_000


async def test_a_daily_limit_admits_no_more_than_it_says(base_path, hard, sums):
    """Elsewhere the count stood under another key than was looked at: a limit of 1,000 admitted 100,000.

    Here of five thousand that ask at once it admits its thousand.
    """
    budgets = [hard("1_000 calls", window="day")]
    admitted = []
    async with hc.Ledger.open(base_path, budgets=budgets, clock=FakeClock()) as ledger:

        async def ask() -> None:
            with suppress(hc.BudgetExceededError):
                admitted.append(await ledger.reserve(WHO))
                admitted[-1].settle()

        async with anyio.create_task_group() as group:
            for _ in range(5_000):
                group.start_soon(ask)
        assert (len(admitted), await sums(ledger)) == (1_000, (1_000, 0, 0))


async def test_forty_waiters_get_no_more_than_five_a_second():
    """Elsewhere a waiter sleeps and then takes without looking again: 35 in one second.

    Here any second holds five, and everybody gets in as soon as that allows.
    """
    clock = FakeClock()
    limiter = hc.RateLimiter(5, 1.0, clock=clock)
    granted = []

    async def wait() -> None:
        await limiter.acquire()
        granted.append(clock.monotonic_s())

    async with anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(wait)
        while len(granted) < 40:
            await anyio.wait_all_tasks_blocked()
            clock.advance(0.5)
    assert granted == [float(number // 5) for number in range(40)]


async def test_a_heavy_request_is_not_starved_by_light_ones():
    """Elsewhere light requests take what the heavy one waits for, for over ten seconds. Here nobody overtakes it."""
    clock = FakeClock()
    limiter = hc.RateLimiter(20, 1.0, clock=clock)
    granted_at = []

    async def light() -> None:
        while not granted_at:
            await limiter.acquire()

    async def heavy() -> None:
        await limiter.acquire(20)
        granted_at.append(clock.monotonic_s())

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(light)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(heavy)
        while not granted_at:
            await anyio.wait_all_tasks_blocked()
            clock.advance(0.5)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert granted_at[0] <= 2.0
