"""RunawayBreaker: says what looks like a runaway, and slows it down or stops it."""

from __future__ import annotations

import anyio
import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

TURN = ("m", hc.Usage(10, 5))
RULES = hc.RunawayRules(repeats=3)


@pytest.fixture
def breaker_runtime(make_runtime):
    def make(breaker: hc.RunawayBreaker, **settings) -> hc.AgentRuntime:
        return make_runtime(plugins=[breaker], config={"log": False, "runaway": "off"}, **settings)

    return make


@pytest.mark.parametrize(
    ("action", "status", "calls", "severity"), [("warn", "completed", 6, "P2"), ("cancel", "cancelled", 3, "P1")]
)
async def test_it_warns_or_cancels(breaker_runtime, collect, action, status, calls, severity):
    """One alert for the execution, and its end where that is asked for."""
    runtime = breaker_runtime(hc.RunawayBreaker(RULES, action=action))
    alerts = collect(runtime, hc.EventType.ALERT_RAISED)
    async with runtime:
        result = await runtime.trigger_and_wait("spend", [TURN] * 6)
    assert (result.status, result.metrics["llm_calls"]) == (status, calls)
    assert [(alert.rule, alert.severity) for alert in alerts] == [("runaway.repetition", severity)]


async def test_it_slows_down_the_execution_and_no_other(breaker_runtime, collect):
    """After the verdict its turns pass one per throttle_s, each with RATE_LIMITED; others do not wait."""
    clock = FakeClock()
    runtime = breaker_runtime(hc.RunawayBreaker(RULES, action="throttle", throttle_s=2.0), clock=clock)
    limited = collect(runtime, hc.EventType.RATE_LIMITED)
    async with runtime:
        execution_id = await runtime.trigger("spend", [TURN] * 6)
        await clock.wait_for_sleepers()
        with anyio.fail_after(10):
            assert (await runtime.trigger_and_wait("spend", [TURN] * 2)).status == "completed"
        for _ in range(2):
            await clock.wait_for_sleepers()
            clock.advance(2.0)
            await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(10):
            result = await runtime.wait(execution_id)
    assert (result.status, result.metrics["llm_calls"]) == ("completed", 6)
    assert [(event.limiter, event.execution_id, event.waited_ms) for event in limited] == [
        ("runaway-breaker", execution_id, 2_000)
    ] * 2


async def test_who_is_slowed_down_can_be_cancelled(breaker_runtime):
    """In mid-wait, as anywhere."""
    clock = FakeClock()
    runtime = breaker_runtime(hc.RunawayBreaker(RULES, action="throttle", throttle_s=3600.0), clock=clock)
    async with runtime:
        execution_id = await runtime.trigger("spend", [TURN] * 6)
        await clock.wait_for_sleepers()
        await runtime.cancel_execution(execution_id, "enough")
        with anyio.fail_after(10):
            result = await runtime.wait(execution_id)
    assert (result.status, result.metrics["llm_calls"]) == ("cancelled", 4)


async def test_it_forgets_who_has_ended(breaker_runtime):
    """Nothing is kept of an execution that is over."""
    breaker = hc.RunawayBreaker(RULES, action="throttle", throttle_s=0.001)
    runtime = breaker_runtime(breaker)
    async with runtime:
        await runtime.trigger_and_wait("spend", [TURN] * 5)
        await runtime.bus.drain()
    assert not breaker._slowed


async def test_turns_that_come_after_their_end_are_not_remembered_for_ever(breaker_runtime, monkeypatch):
    """Published by hand, or by a thread that goes on: so many executions are slowed down, and no more."""
    monkeypatch.setattr("hivecost.subscribers.runaway_breaker.EXECUTIONS_MAX", 3)
    breaker = hc.RunawayBreaker(RULES, action="throttle", throttle_s=0.001)
    runtime = breaker_runtime(breaker)
    async with runtime:
        for number in range(10):
            for _ in range(3):
                await runtime.bus.publish(
                    hc.LLMTurnComplete(model="m", execution_id=f"e{number}", usage=hc.Usage(1, 1))
                )
        await runtime.bus.drain()
    assert list(breaker._slowed) == ["e7", "e8", "e9"]


@pytest.mark.parametrize("settings", [{"action": "explode"}, {"action": "throttle", "throttle_s": 0}])
def test_what_cannot_be_is_refused(settings):
    """By name, when it is made."""
    with pytest.raises(hc.ConfigError, match=r"runaway\.(action|throttle_s)"):
        hc.RunawayBreaker(**settings)
