"""A limiter in a handler of the bus slows nobody but that handler, and says so."""

from __future__ import annotations

import logging

import anyio
import pytest

import hivecost as hc
from hivecost.handling import current_handler

pytestmark = pytest.mark.anyio

EVENT = hc.CustomEvent(name="x")


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "hivecost.rate_limits")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "hivecost.rate_limits"]


async def handle(handler, clock, *, until_s):
    async with hc.EventBus() as bus:
        bus.subscribe(handler=handler, name="exporter")
        for _ in range(4):
            await bus.publish(EVENT)
        await clock.advance_to(until_s)
        await bus.drain()


async def test_a_long_wait_in_a_handler_is_said_once(clock, warnings):
    """With the name of the handler, and of what paces agents."""
    limiter = hc.RateLimiter(1, 2.0, clock=clock)

    async def pace(event):
        async with limiter:
            pass

    await handle(pace, clock, until_s=10.0)
    assert limiter.statistics().granted_total == 4
    (said,) = warnings()
    assert "exporter" in said
    assert "TurnPacer(1, 2)" in said


async def test_a_short_wait_is_nobodys_business(clock, warnings):
    """Up to a second."""
    limiter = hc.RateLimiter(1, 1.0, clock=clock)

    async def pace(event):
        await limiter.acquire()

    await handle(pace, clock, until_s=10.0)
    assert warnings() == []


async def test_outside_of_handlers_any_wait_is_meant(clock, warnings):
    """In an agent, and in a task that a handler started and does not wait for."""
    limiter = hc.RateLimiter(1, 60.0, clock=clock)

    async def in_the_background():
        assert current_handler() == ""
        await limiter.acquire()

    async with anyio.create_task_group() as tasks:

        async def start(event):
            assert current_handler() == "exporter"
            tasks.start_soon(in_the_background)

        await handle(start, clock, until_s=1.0)
        await clock.advance_to(300.0)
    assert limiter.statistics().granted_total == 4
    assert warnings() == []
