from __future__ import annotations

import math

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.errors import ConfigError
from hivecost.rate_limits import Permit, TokenPacer
from hivecost.rate_limits.pacer import _Taken

pytestmark = pytest.mark.anyio


class Turns:
    """Turns that ask a pacer one after the other; `granted` says when each got its permit."""

    def __init__(self, tasks, pacer, clock):
        self.tasks, self.pacer, self.clock = tasks, pacer, clock
        self.granted, self.permits = {}, {}

    async def ask(self, name, estimate):
        scope = anyio.CancelScope()

        async def turn():
            with scope:
                self.permits[name] = await self.pacer.acquire(estimate)
                self.granted[name] = self.clock.monotonic_s()

        self.tasks.start_soon(turn)
        await self.clock.settle()
        return scope


async def test_a_full_window_has_to_pass(clock):
    """What was granted counts for a window's time, wherever the window is laid; after an idle spell as well."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(100, 10.0, clock=clock), clock)
        await clock.advance_to(50.0)
        for name, estimate in [("a", 60), ("b", 40), ("c", 10), ("d", 20)]:
            await turns.ask(name, estimate)
            await clock.advance_to(clock.now_s + 1.0)
        await clock.advance_to(70.0)
    assert turns.granted == pytest.approx({"a": 50.0, "b": 51.0, "c": 60.0, "d": 60.0}, abs=0.02)
    statistics = turns.pacer.statistics()
    assert (statistics.granted_total, statistics.waits, statistics.open_permits) == (130, 2, 4)
    assert statistics.waited_s == pytest.approx(8.0 + 7.0, abs=0.02)
    assert (statistics.level, statistics.limit, statistics.burst) == (70, 100, 100)
    assert turns.permits["d"].waited_s == pytest.approx(7.0, abs=0.02)


async def test_a_burst_spreads_turns_over_the_window(clock):
    """So many tokens at once, and then each turn waits until its estimate has drained."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(100, 10.0, burst_tokens=20, clock=clock), clock)
        for name, estimate in [("a", 10), ("b", 10), ("c", 10), ("d", 20)]:
            await turns.ask(name, estimate)
        await clock.advance_to(10.0)
    assert turns.granted == pytest.approx({"a": 0.0, "b": 0.0, "c": 1.0, "d": 3.0})
    assert turns.pacer.statistics().burst == 20


async def test_more_than_the_limit_goes_alone(clock):
    """A turn that no window can hold waits for an empty one, and the next one until it has left."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(100, 10.0, clock=clock), clock)
        for name, estimate in [("a", 10), ("huge", 500), ("b", 1)]:
            await turns.ask(name, estimate)
        await clock.advance_to(30.0)
    assert turns.granted == pytest.approx({"a": 0.0, "huge": 10.0, "b": 20.0})


async def test_many_small_turns_take_no_memory(clock):
    """Not more than a thousand entries a window, also where all are corrected to nothing."""
    pacer = TokenPacer(10, 1_000.0, clock=clock)
    for n in range(20_000):
        clock.now_s = n * 0.01
        (await pacer.acquire(1)).correct(0)
    assert len(pacer._window._grants) <= 1_025
    assert pacer.statistics().level == 0


STEPS = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 3)),
        st.integers(1, 60),
        st.none() | st.integers(0, 90),
        st.integers(0, 9),
    ),
    max_size=60,
)


@given(STEPS, st.none() | st.integers(1, 60))
def test_no_window_holds_more_than_the_limit(steps, burst):
    """Against all windows there are: with what is known when a turn is granted, corrections up and down included.

    Nobody waits for more than the thousandth of a window longer than that demands.
    """
    clock, limit, window_s = StepTime(), 50, 1.0
    pacer = TokenPacer(limit, window_s, burst_tokens=burst, clock=clock)
    granted, open_turns = [], []

    def held(since_s):
        return sum(amount for at_s, amount in granted if at_s > since_s)

    for gap_s, estimate, actual, which in steps:
        clock.now_s += gap_s
        taken = _Taken(estimate)
        if pacer._try_take(taken):
            before = held(clock.now_s - window_s + 1e-9)
            assert before + estimate <= limit or before == 0
            granted.append([clock.now_s, estimate])
            open_turns.append((Permit(pacer, taken, 0.0), granted[-1]))
        elif burst is None:
            before = held(clock.now_s - window_s * (1 + 1 / 1024) - 1e-9)
            assert before > 0
            assert before + estimate > limit
        if actual is not None and open_turns:
            permit, entry = open_turns.pop(which % len(open_turns))
            assert permit.correct(actual)
            assert not permit.correct(0)
            entry[1] = actual
    assert pacer.statistics().granted_total == sum(amount for _, amount in granted)
    assert pacer.statistics().open_permits == len(open_turns)


class StepTime:
    """A clock for code that never waits."""

    now_s = 0.0

    def monotonic_s(self):
        return self.now_s


async def test_a_correction_lets_waiters_in_at_once(clock):
    """An estimate that was ten times too high does not hold anybody up once the bill is known."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(100, 10.0, clock=clock), clock)
        await turns.ask("a", 100)
        await turns.ask("b", 50)
        await clock.advance_to(1.0)
        assert "b" not in turns.granted
        assert turns.permits["a"].correct(10)
        assert not turns.permits["a"].correct(100)
        await clock.settle()
        assert turns.granted == {"a": 0.0, "b": 1.0}
    assert turns.pacer.statistics().granted_total == 60


async def test_a_bill_above_its_estimate_delays_the_next(clock):
    """What is above the limit is in the window for as long as the rest."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(100, 10.0, clock=clock), clock)
        await turns.ask("a", 50)
        turns.permits["a"].correct(150)
        await turns.ask("b", 10)
        await clock.advance_to(20.0)
    assert turns.granted == pytest.approx({"a": 0.0, "b": 10.0})


async def test_a_heavy_turn_is_not_starved(clock):
    """Light turns that keep coming wait behind it."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(100, 10.0, clock=clock), clock)
        await turns.ask("first", 100)
        await turns.ask("heavy", 100)
        for n in range(20):
            await turns.ask(n, 1)
            await clock.advance_to(n * 0.1)
        await clock.advance_to(20.0)
    assert turns.granted["heavy"] == pytest.approx(10.0)
    assert list(turns.granted) == ["first", "heavy", *range(20)]


async def test_a_cancelled_waiter_has_taken_nothing(clock):
    """Those behind it move up."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(100, 10.0, clock=clock), clock)
        await turns.ask("a", 100)
        gone = await turns.ask("gone", 90)
        await turns.ask("b", 10)
        turns.permits["a"].correct(50)
        await clock.advance_to(2.0)
        gone.cancel()
        await clock.settle()
        assert turns.granted == {"a": 0.0, "b": 2.0}
    assert turns.pacer.statistics().waiting == 0


async def test_turns_under_way_are_capped(clock):
    """The next one gets in when a permit is left, however it is left."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(1_000, 1.0, max_concurrent=2, clock=clock), clock)
        for name in "abcd":
            await turns.ask(name, 10)
        assert list(turns.granted) == ["a", "b"]
        with pytest.raises(RuntimeError), turns.permits["a"]:
            raise RuntimeError
        await clock.settle()
        assert list(turns.granted) == ["a", "b", "c"]
        turns.permits["b"].correct(0)
        await clock.settle()
    assert list(turns.granted) == ["a", "b", "c", "d"]
    assert turns.pacer.statistics().granted_total == 30


async def test_a_provider_that_refused_is_left_alone(clock):
    """Nothing is granted before its Retry-After is over, to those in line neither; a shorter one takes nothing off."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(100, 10.0, clock=clock), clock)
        await turns.ask("a", 100)
        turns.pacer.penalize(5.0)
        turns.pacer.penalize(2.0)
        await turns.ask("b", 10)
        turns.permits["a"].correct(10)
        await clock.advance_to(4.9)
        assert list(turns.granted) == ["a"]
        await clock.advance_to(6.0)
    assert turns.granted == pytest.approx({"a": 0.0, "b": 5.0})
    assert turns.pacer.statistics().penalties == 2


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"tokens_per_window": 0, "window_seconds": 1.0}, "tokens_per_window"),
        ({"tokens_per_window": 5, "window_seconds": math.nan}, "window_seconds"),
        ({"tokens_per_window": 5, "window_seconds": 1.0, "burst_tokens": 0}, "burst_tokens"),
        ({"tokens_per_window": 5, "window_seconds": 1.0, "max_concurrent": -1}, "max_concurrent"),
    ],
)
def test_limits_that_cannot_be_are_refused(fields, key):
    """The error names the argument."""
    with pytest.raises(ConfigError, match=key):
        TokenPacer(**fields)


async def test_amounts_that_cannot_be_are_refused(clock):
    """Nothing is granted or changed by them."""
    pacer = TokenPacer(100, 10.0, clock=clock)
    with pytest.raises(ConfigError, match="estimate"):
        await pacer.acquire(0)
    with pytest.raises(ConfigError, match="retry_after_s"):
        pacer.penalize(math.inf)
    permit = await pacer.acquire(10)
    with pytest.raises(ConfigError, match="actual"):
        permit.correct(-1)
    assert pacer.statistics().granted_total == 10
    assert permit.correct(5)
