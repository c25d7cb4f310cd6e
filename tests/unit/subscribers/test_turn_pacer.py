"""TurnPacer: turns wait at the gate, in line, and say so."""

from __future__ import annotations

from types import MappingProxyType

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


async def test_tokens_are_taken_as_estimated_and_corrected_by_the_bill(make_runtime, clock):
    """100 tokens a minute: two turns that may use 50 go at once; what the first did not use lets a third go early."""
    runtime = make_runtime(clock=clock, plugins=[hc.TurnPacer(max_tokens=100, window_seconds=60.0)])
    sent = []

    @runtime.entry_point("api")
    async def api(ctx, used):
        async with ctx.turn("m", input_tokens=30, max_tokens=20) as turn:
            sent.append(clock.monotonic_s())
            turn.settle(hc.Usage(used, 0))

    async with runtime:
        await runtime.trigger_and_wait("api", 0)
        await runtime.trigger_and_wait("api", 50)
        await runtime.trigger_and_wait("api", 50)
        fourth = await runtime.trigger("api", 50)
        await clock.wait_for_sleepers()
        clock.advance(60)
        await runtime.wait(fourth)
    assert sent == [0.0, 0.0, 0.0, 60.0]


async def test_only_so_many_turns_are_under_way(make_runtime):
    """max_concurrent holds through errors and cancellations: every turn gives its place back."""
    runtime = make_runtime(plugins=[hc.TurnPacer(max_concurrent=2)])
    under_way = most = 0

    @runtime.entry_point("api")
    async def api(ctx, number):
        nonlocal under_way, most
        async with ctx.turn("m") as turn:
            under_way += 1
            most = max(most, under_way)
            try:
                await anyio.sleep(0.001)
                if number % 3 == 0:
                    raise ValueError
                if number % 3 == 1:
                    await runtime.cancel_execution(ctx.execution_id)
                    await anyio.sleep(1)
                turn.settle(hc.Usage(1, 1))
            finally:
                under_way -= 1

    async with runtime:
        ids = [await runtime.trigger("api", number) for number in range(12)]
        with anyio.fail_after(10):
            results = [await runtime.wait(execution_id) for execution_id in ids]
    assert most == 2
    assert sorted({str(result.status) for result in results}) == ["cancelled", "completed", "failed"]


async def test_retry_after_holds_up_the_whole_scope(make_runtime, clock):
    """A 429 that names its seconds closes the lane for so long, for other executions too."""

    class TooManyRequestsError(Exception):
        status_code = 429

        class response:  # noqa: N801  # as the SDKs name it
            headers = MappingProxyType({"retry-after": "7"})

    runtime = make_runtime(clock=clock, plugins=[hc.TurnPacer(100, 60.0, per="model")])

    @runtime.entry_point("refused")
    async def refused(ctx, _):
        async with ctx.turn("m"):
            raise TooManyRequestsError

    @runtime.entry_point("api")
    async def api(ctx, model):
        await settle(ctx, model)

    async with runtime:
        await runtime.trigger_and_wait("refused")
        assert (await runtime.trigger_and_wait("api", "another")).status == "completed"
        held_up = await runtime.trigger("api", "m")
        await clock.wait_for_sleepers()
        clock.advance(6.9)
        await let_run()
        assert runtime.statistics().running == 1
        clock.advance(0.1)
        assert (await runtime.wait(held_up)).status == "completed"


@pytest.mark.parametrize(
    "limits", [{}, {"max_tokens": 0}, {"max_concurrent": 0}, {"max_calls": 1, "window_seconds": 0}]
)
def test_limits_that_cannot_be_are_refused_at_once(limits):
    """Not at the first turn."""
    with pytest.raises(hc.ConfigError):
        hc.TurnPacer(**limits)


WAITING = {
    "paused": hc.Budget("org", "$0.001", window="day", per="org", mode="hard", on_exceed="pause"),
    "busy": hc.Budget("org", "$0.001", window="day", per="org", mode="hard", on_short="wait"),
    "throttled": hc.Budget(
        "org", "$1", window="day", per="org", mode="hard", soft_limit="$0.0001", on_soft="throttle", throttle_s=3600.0
    ),
}


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=True)
@pytest.mark.parametrize("why", WAITING)
async def test_who_waits_for_money_holds_no_place(make_runtime, why):
    """The last place goes to a customer whose budget is untouched; who waited takes it again, and then its money."""
    places = 2 if why == "busy" else 1  # one for what others wait for
    runtime = make_runtime(plugins=[hc.TurnPacer(max_concurrent=places)], budgets=[WAITING[why]])
    asked = []

    @runtime.entry_point("api")
    async def api(ctx, turns):
        for _ in range(turns):
            asked.append(ctx.attribution.org_id)
            async with ctx.turn("m", input_tokens=100, max_tokens=300) as turn:
                turn.settle(hc.Usage(100, 300 if why == "paused" else 50))

    @runtime.entry_point("in flight")
    async def in_flight(ctx, release):
        async with ctx.turn("m", input_tokens=100, max_tokens=300) as turn:
            await release.wait()
            turn.settle(hc.Usage(1, 1))

    async with runtime:
        with anyio.fail_after(30):
            release = anyio.Event()
            if why == "busy":
                held = await runtime.trigger("in flight", release, org_id="A")
                await let_run()
            waits = await runtime.trigger("api", 2 if why == "busy" else 3, org_id="A")
            while asked.count("A") < (1 if why == "busy" else 3 if why == "throttled" else 2):
                await anyio.sleep(0.005)
            await anyio.sleep(0.05)
            assert (await runtime.trigger_and_wait("api", 1, org_id="B")).status == "completed"
            if why == "paused":
                await runtime.budgets.raise_limit("org", "$1", by="ada")
            elif why == "busy":
                release.set()
                await runtime.wait(held)
            else:
                assert await runtime.cancel_execution(waits)
            assert (await runtime.wait(waits)).status == ("cancelled" if why == "throttled" else "completed")
