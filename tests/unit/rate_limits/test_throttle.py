"""Throttle: one per interval and key, first come, first served."""

from __future__ import annotations

import anyio
import pytest

from hivecost.errors import ConfigError
from hivecost.rate_limits import Throttle, limiter
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio


async def test_one_passes_per_interval_in_order():
    """The first at once, the others one by one, each told how long it waited."""
    clock = FakeClock()
    gate = Throttle(clock=clock)
    passed = []

    async def one(name: int) -> None:
        waited_s = await gate.acquire("key", 2.0)
        passed.append((name, waited_s))

    async with anyio.create_task_group() as group:
        for name in range(3):
            group.start_soon(one, name)
            await anyio.wait_all_tasks_blocked()
        for seconds, expected in ((0.0, [(0, 0.0)]), (1.999, [(0, 0.0)]), (0.001, [(0, 0.0), (1, 2.0)])):
            clock.advance(seconds)
            await anyio.wait_all_tasks_blocked()
            assert passed == expected
        clock.advance(2.0)
    assert passed == [(0, 0.0), (1, 2.0), (2, 4.0)]


async def test_keys_do_not_wait_for_each_other():
    """Each has a line of its own."""
    gate = Throttle(clock=FakeClock())
    with anyio.fail_after(5):
        assert [await gate.acquire(key, 60.0) for key in ("a", "b", ("a", 1))] == [0.0] * 3


async def test_who_is_cancelled_gives_way():
    """A waiter that leaves has taken nothing: the next one passes at its time."""
    clock = FakeClock()
    gate = Throttle(clock=clock)
    await gate.acquire("key", 1.0)
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(anyio.sleep, 0)
            scope.cancel()
            await gate.acquire("key", 1.0)
        group.start_soon(gate.acquire, "key", 1.0)
        await clock.wait_for_sleepers()
        clock.advance(1.0)
    assert clock.sleepers == 0


async def test_the_keys_it_knows_are_bounded(monkeypatch):
    """The one that was idle longest gives way, and passes at once when it comes back."""
    monkeypatch.setattr(limiter, "KEYS_MAX", 2)
    gate = Throttle(clock=FakeClock())
    with anyio.fail_after(5):
        for key in ("a", "b", "c", "a"):
            assert await gate.acquire(key, 60.0) == 0.0


async def test_one_that_was_asked_for_lately_is_kept(monkeypatch):
    """Idle is who was not asked for, not who came first."""
    monkeypatch.setattr(limiter, "KEYS_MAX", 2)
    clock = FakeClock()
    gate = Throttle(clock=clock)
    await gate.acquire("a", 60.0)
    await gate.acquire("b", 60.0)
    clock.advance(60.0)
    await gate.acquire("a", 60.0)
    await gate.acquire("c", 60.0)
    waited = []

    async def again() -> None:
        waited.append(await gate.acquire("a", 60.0))

    async with anyio.create_task_group() as group:
        group.start_soon(again)
        await anyio.wait_all_tasks_blocked()
        assert waited == []
        clock.advance(60.0)
    assert waited == [60.0]


async def test_an_interval_is_above_zero():
    """Anything else is refused by name."""
    with pytest.raises(ConfigError, match="seconds"):
        await Throttle().acquire("key", 0.0)
