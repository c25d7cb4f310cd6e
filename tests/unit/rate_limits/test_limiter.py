from __future__ import annotations

import math

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.errors import ConfigError
from hivecost.rate_limits import RateLimiter

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def run_arrivals(limiter, clock, arrivals):
    """Each arrival waits, and is cancelled at its deadline; gives (granted at, amount, place in line)."""
    grants = []

    async def ask(place, amount, scope):
        with scope:
            await limiter.acquire(amount)
            grants.append((clock.monotonic_s(), amount, place))

    async with anyio.create_task_group() as tasks:
        deadlines = []
        for place, (gap_s, amount, patience_s) in enumerate(arrivals):
            arrives_s = clock.monotonic_s() + gap_s
            await leave(clock, deadlines, arrives_s)
            await clock.advance_to(arrives_s)
            scope = anyio.CancelScope()
            tasks.start_soon(ask, place, amount, scope)
            deadlines.append((arrives_s + patience_s, scope))
            await clock.settle()
        await leave(clock, deadlines, clock.monotonic_s() + 1_000)
        await clock.advance_to(clock.monotonic_s() + 1_000)
    return grants


async def leave(clock, deadlines, until_s):
    for leaves_s, scope in sorted(deadlines, key=lambda item: item[0]):
        if leaves_s <= until_s:
            await clock.advance_to(leaves_s)
            scope.cancel()
            await clock.settle()


@BACKENDS
@settings(max_examples=40, deadline=None)
@given(
    limit=st.integers(1, 5),
    arrivals=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.0, 0.001, 0.3, 0.5, 1.0, 2.7]),
            st.integers(1, 5),
            st.sampled_from([math.inf, math.inf, 0.0, 0.4, 1.0, 1.7]),
        ),
        max_size=15,
    ),
)
def test_no_window_holds_more_than_the_limit(backend, limit, arrivals, new_clock, most_in_any_window):
    """Wherever a window is laid, under bursts, idle times and cancelled waiters; all who stay get in, in order."""
    clock = new_clock()
    arrivals = [(gap, min(amount, limit), patience) for gap, amount, patience in arrivals]
    limiter = RateLimiter(limit, 1.0, clock=clock)
    grants = anyio.run(run_arrivals, limiter, clock, arrivals, backend=backend)

    assert most_in_any_window([(at, amount) for at, amount, _ in grants], 1.0) <= limit
    places = [place for *_, place in grants]
    assert places == sorted(places)
    patient = {place for place, (*_, patience) in enumerate(arrivals) if patience == math.inf}
    assert patient <= set(places)
    assert limiter.statistics().waiting == 0


@pytest.mark.anyio
async def test_forty_waiters_at_five_a_second(clock):
    """A waiter looks again before it takes: 40 at once leave in eights of five, one second apart."""
    grants = await run_arrivals(RateLimiter(5, 1.0, clock=clock), clock, [(0.0, 1, math.inf)] * 40)
    assert [round(at) for at, *_ in grants] == [n // 5 for n in range(40)]


@pytest.mark.anyio
async def test_a_cancelled_waiter_gives_its_place_to_the_next(clock):
    """The second waiter gets in when the cancelled one would have."""
    grants = await run_arrivals(
        RateLimiter(1, 1.0, clock=clock), clock, [(0.0, 1, math.inf), (0.0, 1, 0.5), (0.0, 1, math.inf)]
    )
    assert [(at, place) for at, _, place in grants] == [(0.0, 0), (1.0, 2)]


@pytest.mark.anyio
async def test_a_heavy_request_is_not_overtaken(clock):
    """Twenty light ones that come after a heavy one wait for it."""
    arrivals = [(0.0, 3, math.inf), (0.0, 5, math.inf), *[(0.0, 1, math.inf)] * 20]
    grants = await run_arrivals(RateLimiter(5, 1.0, clock=clock), clock, arrivals)
    assert (1.0, 5, 1) in grants
    assert [place for *_, place in grants] == list(range(22))


@pytest.mark.anyio
async def test_acquire_says_how_long_it_waited(clock):
    """0.0 when there was room, else the seconds; statistics() adds them up."""
    limiter = RateLimiter(2, 1.0, clock=clock)
    waited = []

    async def ask():
        waited.append(await limiter.acquire(2))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await clock.settle()
        tasks.start_soon(ask)
        await clock.settle()
        assert limiter.statistics().waiting == 1
        await clock.advance_to(1.0)
    assert waited == [0.0, 1.0]
    statistics = limiter.statistics()
    assert (statistics.granted_total, statistics.waits, statistics.waited_s) == (4, 1, 1.0)
    assert (statistics.in_window, statistics.limit, statistics.waiting) == (2, 2, 0)


@pytest.mark.anyio
async def test_works_as_a_context_manager_on_the_real_clock():
    """`async with limiter` acquires; the default clock is the machine's."""
    limiter = RateLimiter(max_calls=2, window_seconds=0.01)
    assert (limiter.max_calls, limiter.window_seconds) == (2, 0.01)
    for _ in range(5):
        async with limiter:
            pass
    assert limiter.statistics().granted_total == 5


def test_one_limiter_serves_one_event_loop_after_the_other():
    """Made outside any loop, as a module does, and used by two runs."""
    limiter = RateLimiter(10, 60.0)
    anyio.run(limiter.acquire, backend="asyncio")
    anyio.run(limiter.acquire, backend="asyncio")
    assert limiter.statistics().granted_total == 2


@pytest.mark.parametrize(
    ("calls", "seconds", "key"),
    [
        (0, 1.0, "max_calls"),
        (-1, 1.0, "max_calls"),
        (True, 1.0, "max_calls"),
        (1.5, 1.0, "max_calls"),
        (math.nan, 1.0, "max_calls"),
        (5, 0, "window_seconds"),
        (5, -1.0, "window_seconds"),
        (5, math.nan, "window_seconds"),
        (5, math.inf, "window_seconds"),
        (5, "1", "window_seconds"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(calls, seconds, key):
    """The error names the argument."""
    with pytest.raises(ConfigError, match=key):
        RateLimiter(calls, seconds)


@pytest.mark.anyio
@pytest.mark.parametrize("amount", [0, -1, 6, 1.5, math.nan])
async def test_an_amount_that_can_never_be_granted_is_refused(amount):
    """Instead of waiting for ever."""
    with pytest.raises(ConfigError, match="amount"):
        await RateLimiter(5, 1.0).acquire(amount)
