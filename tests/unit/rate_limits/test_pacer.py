from __future__ import annotations

import math

import anyio
import pytest

from hivecost.errors import ConfigError
from hivecost.rate_limits import TokenPacer

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


async def test_tokens_drain_evenly(clock):
    """After the burst, each turn waits until its estimate has drained."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(100, 10.0, clock=clock), clock)
        for name, estimate in [("a", 60), ("b", 40), ("c", 10), ("d", 20)]:
            await turns.ask(name, estimate)
        await clock.advance_to(10.0)
    assert turns.granted == pytest.approx({"a": 0.0, "b": 0.0, "c": 1.0, "d": 3.0})
    statistics = turns.pacer.statistics()
    assert (statistics.granted_total, statistics.waits, statistics.open_permits) == (130, 2, 4)
    assert statistics.waited_s == pytest.approx(4.0)
    assert statistics.level == 30
    assert turns.permits["d"].waited_s == pytest.approx(3.0)


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
    """Debt is paid before anyone else gets in."""
    async with anyio.create_task_group() as tasks:
        turns = Turns(tasks, TokenPacer(100, 10.0, clock=clock), clock)
        await turns.ask("a", 50)
        turns.permits["a"].correct(150)
        await turns.ask("b", 10)
        await clock.advance_to(20.0)
    assert turns.granted == pytest.approx({"a": 0.0, "b": 6.0})


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
        await turns.ask("b", 10)
        turns.pacer.penalize(5.0)
        turns.pacer.penalize(2.0)
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
