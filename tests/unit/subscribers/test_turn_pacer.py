"""TurnPacer: turns wait at the gate, in line, and say so."""

from __future__ import annotations

import anyio
import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

RATE_LIMITED = hc.EventType.RATE_LIMITED


@pytest.fixture
def anyio_backend(request):
    return getattr(request, "param", "asyncio")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def settle(ctx, model="m"):
    async with ctx.turn(model) as turn:
        turn.settle(hc.Usage(1, 1))


async def let_run() -> None:
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=True)
async def test_turns_past_the_limit_wait_for_the_window(make_runtime, collect, clock):
    """Two a minute: the third waits until the first leaves the window, and RATE_LIMITED tells who waited how long."""
    runtime = make_runtime(clock=clock, plugins=[hc.TurnPacer(2, 60.0)])
    seen = collect(runtime, RATE_LIMITED)
    done = []

    @runtime.entry_point("api")
    async def api(ctx, name):
        await settle(ctx)
        done.append((name, clock.monotonic_s()))

    async with runtime:
        ids = [await runtime.trigger("api", name, user_id=name) for name in "abcd"]
        with anyio.fail_after(10):
            await clock.wait_for_sleepers()
            await let_run()
            assert len(done) == 2
            clock.advance(59.9)
            await let_run()
            assert len(done) == 2
            clock.advance(0.1)
            for execution_id in ids:
                await runtime.wait(execution_id)
    assert [at for _, at in done] == [0.0, 0.0, 60.0, 60.0]
    waited = {name for name, at in done if at}
    assert {(event.user_id, event.limiter, event.waited_ms) for event in seen} == {
        (name, "turn-pacer", 60_000) for name in waited
    }
    assert {event.execution_id for event in seen} <= set(ids)


async def test_a_cancelled_waiter_gives_its_slot_back(make_runtime, clock):
    """Who is cancelled in line has taken nothing: the next one gets the slot."""
    runtime = make_runtime(clock=clock, plugins=[hc.TurnPacer(1, 60.0)])

    @runtime.entry_point("api")
    async def api(ctx, _):
        await settle(ctx)

    async with runtime:
        await runtime.trigger_and_wait("api")
        first = await runtime.trigger("api")
        await clock.wait_for_sleepers()
        second = await runtime.trigger("api")
        await let_run()
        await runtime.cancel_execution(first)
        with anyio.fail_after(10):
            assert (await runtime.wait(first)).status == "cancelled"
            await clock.wait_for_sleepers()
            clock.advance(60.0)
            assert (await runtime.wait(second)).status == "completed"


async def test_each_value_is_paced_for_itself(make_runtime, clock):
    """`per` gives every combination of user and model a window of its own."""
    runtime = make_runtime(clock=clock, plugins=[hc.TurnPacer(1, 60.0, per=["user", "model"], name="per user")])

    @runtime.entry_point("api")
    async def api(ctx, model):
        await settle(ctx, model)

    async with runtime:
        for user in ("ada", "bob"):
            for model in ("m", "n"):
                assert (await runtime.trigger_and_wait("api", model, user_id=user)).status == "completed"
        again = await runtime.trigger("api", "m", user_id="ada")
        await clock.wait_for_sleepers()
        await runtime.cancel_execution(again)


async def test_waiting_is_not_the_latency_of_the_turn(make_runtime, collect, clock):
    """The clock of a turn starts when it may be sent."""
    runtime = make_runtime(clock=clock, plugins=[hc.TurnPacer(1, 60.0)])
    seen = collect(runtime, hc.EventType.LLM_TURN_COMPLETE)

    @runtime.entry_point("api")
    async def api(ctx, _):
        for _ in range(2):
            await settle(ctx)

    async with runtime:
        execution_id = await runtime.trigger("api")
        await clock.wait_for_sleepers()
        clock.advance(60.0)
        await runtime.wait(execution_id)
    assert [event.latency_ms for event in seen] == [0, 0]


@pytest.mark.parametrize(
    "arguments",
    [{"max_calls": 0}, {"max_calls": 1.5}, {"window_seconds": 0}, {"window_seconds": float("nan")}, {"per": [""]}],
)
def test_a_limit_that_cannot_be_is_refused_when_it_is_written_down(arguments):
    """Not at the first turn."""
    with pytest.raises(hc.ConfigError):
        hc.TurnPacer(**{"max_calls": 1, "window_seconds": 1.0, **arguments})
