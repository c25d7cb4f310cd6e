"""FakeClock: time moves when the test says so, and sleepers wake in the order of their deadlines."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.clock import Clock, to_datetime
from hivecost.testing import FakeClock

on_both_backends = pytest.mark.anyio


def test_it_starts_where_it_is_told_and_stands_still() -> None:
    """`now_ns` is the given instant until somebody advances."""
    start = datetime(2027, 3, 28, 1, 59, 59, 500_000, tzinfo=UTC)
    clock: Clock = FakeClock(start)
    assert to_datetime(clock.now_ns()) == start
    assert clock.now_ns() == clock.now_ns()
    assert clock.monotonic_s() == 0.0


@given(st.lists(st.integers(0, 10**9)))
def test_both_readings_move_by_the_same(steps_ms: list[int]) -> None:
    """Wall and monotonic time stay in step, exactly, over any number of steps."""
    clock = FakeClock()
    start_ns = clock.now_ns()
    for step in steps_ms:
        clock.advance(step / 1000)
    assert clock.now_ns() - start_ns == sum(steps_ms) * 10**6
    assert clock.monotonic_s() == sum(steps_ms) * 10**6 / 10**9


def test_time_does_not_go_back() -> None:
    """A negative step is an error and changes nothing."""
    clock = FakeClock()
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)
    assert clock.monotonic_s() == 0.0


@on_both_backends
async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    """One advance over many deadlines wakes earliest first, equal ones in the order they fell asleep."""
    clock = FakeClock()
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    async with anyio.create_task_group() as group:
        delays = [("late", 5.0), ("first", 1.0), ("third", 3.0), ("second", 2.0)]
        for number, (name, seconds) in enumerate(delays, 1):
            group.start_soon(sleeper, name, seconds)
            await clock.wait_for_sleepers(number)
        group.start_soon(sleeper, "late too", 5.0)
        await clock.wait_for_sleepers(5)
        clock.advance(3.0)
        await anyio.wait_all_tasks_blocked()
        assert woken == ["first", "second", "third"]
        assert clock.sleepers == 2
        clock.advance(2.0)
    assert woken == ["first", "second", "third", "late", "late too"]


@on_both_backends
async def test_a_sleeper_wakes_at_its_deadline_and_not_before() -> None:
    """A nanosecond short is too short."""
    clock = FakeClock()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, 0.3)
        await clock.wait_for_sleepers()
        clock.advance(0.299_999_999)
        await anyio.wait_all_tasks_blocked()
        assert clock.sleepers == 1
        clock.advance(0.000_000_001)
    assert clock.sleepers == 0


@on_both_backends
async def test_a_cancelled_sleeper_leaves_the_others_alone() -> None:
    """Also when its turn had just come: whoever is due behind it still wakes."""
    clock = FakeClock()
    scope = anyio.CancelScope()

    async def cancelled() -> None:
        with scope:
            await clock.sleep(1)

    async with anyio.create_task_group() as group:
        group.start_soon(cancelled)
        await clock.wait_for_sleepers()
        group.start_soon(clock.sleep, 2)
        await clock.wait_for_sleepers(2)
        scope.cancel()
        clock.advance(2)
    assert clock.sleepers == 0


@on_both_backends
@pytest.mark.parametrize("seconds", [0, -1, -math.inf])
async def test_zero_and_less_return_at_once(seconds: float) -> None:
    """Nobody needs to advance."""
    clock = FakeClock()
    await clock.sleep(seconds)
    assert clock.monotonic_s() == 0.0


@on_both_backends
async def test_for_ever_is_for_ever() -> None:
    """An infinite sleep ends by cancellation only."""
    clock = FakeClock()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, math.inf)
        await clock.wait_for_sleepers()
        clock.advance(10**9)
        await anyio.wait_all_tasks_blocked()
        assert clock.sleepers == 1
        group.cancel_scope.cancel()
    assert clock.sleepers == 0
