"""Elsewhere periods end late, twice, or never. Here the clock alone says which it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

WHO = {"user": "ada"}


@pytest.mark.parametrize(
    ("zone", "spent_at", "reset_at"),
    [
        ("Asia/Tokyo", "2026-11-22T12:00", "2026-11-22T15:00"),
        ("Asia/Kathmandu", "2026-11-22T18:14", "2026-11-22T18:15"),
        ("America/New_York", "2026-03-08T05:00", "2026-03-09T04:00"),  # 23 hours
        ("America/New_York", "2026-11-01T04:00", "2026-11-02T05:00"),  # 25 hours
        ("Australia/Lord_Howe", "2026-04-04T13:00", "2026-04-05T13:30"),  # 24 hours and a half
    ],
)
async def test_a_day_ends_at_midnight_of_its_zone(base_path, hard, zone, spent_at, reset_at):
    """Elsewhere budgets reset off by the time zone. BerriAI/litellm#34896.

    Here to the second, on the days of another length too, and the refusal says when.
    """
    spent, reset = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (spent_at, reset_at))
    clock = FakeClock(spent)
    budget = hard("$1", window="day", timezone=zone)
    async with hc.Ledger.open(base_path, budgets=[budget], clock=clock) as ledger:
        (await ledger.reserve(WHO, usd="1")).settle()
        for seconds in (0, (reset - spent).total_seconds() - 1):
            clock.advance(seconds)
            with pytest.raises(hc.BudgetExhaustedError) as refused:
                await ledger.reserve(WHO, usd="1")
            assert refused.value.reset_at == reset
        clock.advance(1)
        (await ledger.reserve(WHO, usd="1")).settle()


@pytest.mark.parametrize("mode", ["hard", "stop_after"])
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_period_ends_though_nobody_was_awake(base_path, prices, mode, restarts):
    """Elsewhere a job resets budgets; where it did not run, they never are. BerriAI/litellm#7129.

    Here the period follows from the clock when a turn asks: after three days of sleep, or of being off, it is another.
    """
    clock = FakeClock()
    budget = hc.Budget("cap", "$0.005", window="day", mode=mode, on_short="refuse")

    def new_runtime() -> hc.AgentRuntime:
        runtime = hc.AgentRuntime(base_path, budgets=[budget], prices=prices, clock=clock)

        @runtime.entry_point("agent")
        async def agent(ctx, _):
            async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
                turn.settle(hc.Usage(1_000, 1_000))
            await runtime.bus.drain()

        return runtime

    async def spend_a_day(runtime: hc.AgentRuntime) -> None:
        assert (await runtime.trigger_and_wait("agent")).status == "completed"
        assert isinstance((await runtime.trigger_and_wait("agent")).error, hc.BudgetExhaustedError)

    runtime = new_runtime()
    async with runtime:
        await spend_a_day(runtime)
        if not restarts:
            clock.advance(3 * 86_400)
            await spend_a_day(runtime)
    if restarts:
        clock.advance(3 * 86_400)
        runtime = new_runtime()
        async with runtime:
            await spend_a_day(runtime)


async def test_a_period_begins_once_for_all(base_path, hard, sums):
    """Elsewhere two processes reset the same budget, the second over what was spent since. BerriAI/litellm#29576.

    Here nothing is cleared: whoever comes later counts on the same account, and a bill for the day before counts there.
    """
    clock = FakeClock(datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC))
    budgets = [hard("$1", window="day")]
    async with (
        hc.Ledger.open(base_path, budgets=budgets, clock=clock) as one,
        hc.Ledger.open(base_path, budgets=budgets, clock=clock) as two,
    ):
        late = await one.reserve(WHO, usd="0.10")
        (await two.reserve(WHO, usd="0.80")).settle()
        clock.advance(1)
        (await one.reserve(WHO, usd="0.40")).settle()
        await one.status()  # it is in the database before the other begins the day
        (await two.reserve(WHO, usd="0.50")).settle()
        late.settle(usd="0.05")
        with pytest.raises(hc.BudgetExhaustedError):
            await one.reserve(WHO, usd="0.20")
        rows = [(row.period, row.settled) for ledger in (one, two) for row in await ledger.status()]
        assert rows == [("2026-11-23", 900_000_000)] * 2
    async with hc.Ledger.open(base_path, budgets=budgets, clock=clock) as ledger:
        assert await sums(ledger) == (900_000_000, 0, 0)
