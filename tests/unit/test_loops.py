"""Awaiting on another event loop than one's own."""

from __future__ import annotations

import asyncio
import threading

import anyio
import anyio.to_thread
import pytest

from hivecost import loops
from hivecost.errors import HiveCostError
from hivecost.loops import current_loop, run_on, wait_on

pytestmark = pytest.mark.anyio

BACKENDS = ["asyncio", "trio"]


@pytest.fixture(params=BACKENDS)
def elsewhere(request):
    """Run an async function on a loop of this kind, in another thread, and return its result."""

    async def run(function):
        return await anyio.to_thread.run_sync(lambda: anyio.run(function, backend=request.param))

    return run


async def test_its_result_comes_back(elsewhere):
    """And it ran on the thread of the loop that was asked."""
    home, mine = current_loop(), threading.get_ident()

    async def work():
        await anyio.sleep(0.001)
        return threading.get_ident()

    async def foreign():
        return await run_on(home, work), threading.get_ident()

    there, here = await elsewhere(foreign)
    assert there == mine != here


async def test_its_error_comes_back(elsewhere):
    """As it was raised."""
    home = current_loop()

    async def work():
        raise LookupError("mine")

    async def foreign():
        with pytest.raises(LookupError, match="mine"):
            await run_on(home, work)

    await elsewhere(foreign)


@pytest.mark.parametrize("when", ["at once", "while it runs"])
async def test_cancelling_here_ends_it_there(elsewhere, when):
    """It is waited for: nothing of it goes on behind the canceller's back."""
    home, begun, ended = current_loop(), threading.Event(), []

    async def work():
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(when)

    async def foreign():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_on, home, work)
            if when == "while it runs":
                await anyio.to_thread.run_sync(begun.wait)
            tasks.cancel_scope.cancel()

    await elsewhere(foreign)
    assert ended == ([when] if begun.is_set() else [])


async def test_a_loop_that_is_blocked_is_named(elsewhere, monkeypatch):
    """By code that waits for the very thread that asks, say: an error after a while, where it would hang for ever."""
    monkeypatch.setattr(loops, "ANSWER_TIMEOUT_S", 0.05)
    home, blocked, free = current_loop(), threading.Event(), threading.Event()

    async def foreign():
        await anyio.to_thread.run_sync(blocked.wait)
        with pytest.raises(HiveCostError, match="did not answer"):
            await run_on(home, anyio.sleep_forever)
        free.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(elsewhere, foreign)
        await anyio.wait_all_tasks_blocked()
        blocked.set()
        assert free.wait(30)  # the loop stands still meanwhile


async def test_a_loop_that_has_ended_is_named():
    """There is nobody who could do it."""
    gone = await anyio.to_thread.run_sync(lambda: asyncio.run(_loop_of_this()))
    with pytest.raises(HiveCostError, match="has ended"):
        await run_on(gone, anyio.sleep_forever)


async def _loop_of_this():
    return current_loop()


async def test_a_thread_waits_for_what_another_loop_does():
    """For its result, or its error."""
    home, mine = current_loop(), threading.get_ident()

    async def work():
        await anyio.sleep(0.001)
        return threading.get_ident()

    async def fail():
        raise LookupError("mine")

    def foreign():
        with pytest.raises(LookupError, match="mine"):
            wait_on(home, fail)
        return wait_on(home, work), threading.get_ident()

    there, here = await anyio.to_thread.run_sync(foreign)
    assert there == mine != here


async def test_a_thread_is_told_of_a_loop_that_is_blocked_or_has_ended(monkeypatch):
    """As another loop is; unless it will not be put off, as at the end of something."""
    monkeypatch.setattr(loops, "ANSWER_TIMEOUT_S", 0.05)
    home, free, done = current_loop(), threading.Event(), []

    async def work():
        done.append(True)

    def foreign():
        with pytest.raises(HiveCostError, match="did not answer"):
            wait_on(home, anyio.sleep_forever)
        free.set()
        wait_on(home, work, withdraws=False)

    thread = threading.Thread(target=foreign)
    thread.start()
    assert free.wait(30)  # the loop stands still meanwhile
    await anyio.to_thread.run_sync(thread.join)
    gone = await anyio.to_thread.run_sync(lambda: asyncio.run(_loop_of_this()))
    with pytest.raises(HiveCostError, match="has ended"):
        wait_on(gone, work)
    assert done == [True]


@pytest.mark.parametrize("anyio_backend", BACKENDS)
async def test_a_turn_of_the_loop_comes_after_what_was_asked_for_before():
    """Whoever waits for one finds done what the loop was asked to call, here or by another thread; each time."""
    loop, called = current_loop(), []
    for number in range(50):
        loop.call_soon(lambda number=number: called.append(number))
        thread = threading.Thread(target=loop.call_threadsafe, args=(lambda number=number: called.append(-number),))
        thread.start()
        thread.join()
        await loop.turn()
        assert called == [number, -number]
        called.clear()
