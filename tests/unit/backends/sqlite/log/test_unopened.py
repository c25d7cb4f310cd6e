"""A Store outside of `async with`: whoever waits commits, one at a time, and nothing is lost when they give up."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest

from hivecost.backends.sqlite import Store, os_lock
from hivecost.backends.sqlite.log import appender as appender_module
from hivecost.backends.sqlite.log.appender import Appender
from hivecost.clock import SYSTEM_CLOCK
from hivecost.errors import StoreError
from hivecost.events import LLMTurnComplete

pytestmark = pytest.mark.anyio


def turns(count):
    return [LLMTurnComplete(session_id="s") for _ in range(count)]


async def test_flush_waits_for_what_another_task_commits(base_path, held, logged):
    """S1: its events may have been taken by somebody else, who is not through yet."""
    store, seen = Store(base_path), []

    async def flush():
        await store.flush()
        seen.append(len(logged()))

    store.record_nowait(turns(1)[0])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.write, turns(1))
        await held.begun()
        tasks.start_soon(flush)
        await anyio.wait_all_tasks_blocked()
        held.let_go()
    assert seen == [2]


async def test_tasks_share_commits(base_path, held, logged):
    """Those who come while one commits are committed together."""
    store = Store(base_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.write, turns(1))
        await held.begun()
        for _ in range(10):
            tasks.start_soon(store.write, turns(1))
        await anyio.wait_all_tasks_blocked()
        held.let_go()
    assert (held.sizes, len(logged())) == ([1, 10], 11)


async def test_who_is_cancelled_loses_nothing_of_others(base_path, held, logged):
    """What came while it committed stays in the queue, and is written by the next who waits."""
    store = Store(base_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.write, turns(1))
        await held.begun()
        store.record_nowait(turns(1)[0])
        tasks.cancel_scope.cancel()
        held.let_go()
    assert (store.statistics().lost, store.statistics().queued) == (0, 1)
    await store.flush()
    assert len(logged()) == 2


async def test_who_is_cancelled_leaves_the_work_to_who_is_in_line(base_path, held):
    """The one who commits gives up; those who share its later batches are answered all the same."""
    store, answers = Store(base_path), []

    async def write():
        answers.append(await store.write(turns(2)))

    async with anyio.create_task_group() as tasks, anyio.create_task_group() as given_up:
        given_up.start_soon(store.write, turns(1))
        await held.begun()
        tasks.start_soon(write)
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        given_up.cancel_scope.cancel()
        held.let_go()
    assert (answers, store.statistics().lost) == ([2, 2], 0)


async def test_a_write_that_is_cancelled_before_it_begins_stays_queued(base_path, logged):
    """Nothing is counted as lost that can still be written."""
    store = Store(base_path)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.write(turns(1))
    assert (store.statistics().lost, store.statistics().queued) == (0, 1)
    await store.flush()
    assert len(logged()) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_native_cancellation_in_the_middle_of_a_commit(base_path, held, logged):
    """It leaves the thread to itself: the events are there once, whether or not it got through; none is lost."""
    store = Store(base_path)
    store.record_nowait(turns(1)[0])
    task = asyncio.create_task(store.write(turns(1)))
    await held.begun()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    held.let_go()
    await store.flush()
    assert (store.statistics().lost, store.statistics().queued, len(logged())) == (0, 0, 2)


async def test_a_full_queue_waits_for_who_commits(base_path, held):
    """There is room when the other's commit is through."""
    store = Store(base_path, queue_max=2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.write, turns(2))
        await held.begun()
        tasks.start_soon(store.record, turns(1)[0])
        await anyio.wait_all_tasks_blocked()
        assert store.statistics().queued == 2
        held.let_go()
    assert (store.statistics().queued, store.statistics().written) == (1, 2)


async def test_opening_waits_for_who_commits(base_path, held, logged):
    """Then its writer is the only one that commits, for those who were in line too."""
    store, writing = Store(base_path), anyio.Event()

    async def open_it():
        async with store:
            await writing.wait()

    async with anyio.create_task_group() as opened:
        async with anyio.create_task_group() as tasks, anyio.create_task_group() as given_up:
            given_up.start_soon(store.write, turns(1))
            await held.begun()
            opened.start_soon(open_it)
            await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                tasks.start_soon(store.write, turns(1))
            await anyio.wait_all_tasks_blocked()
            given_up.cancel_scope.cancel()
            held.let_go()
        writing.set()
    assert (len(logged()), store.statistics().written, sum(held.sizes)) == (4, 4, 4)


async def test_two_who_open_at_once(base_path):
    """One of them does; the other is told."""
    store, told = Store(base_path), []

    async def open_it():
        try:
            async with store:
                await store.write(turns(1))
                await anyio.wait_all_tasks_blocked()
        except StoreError as error:
            told.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(open_it)
        tasks.start_soon(open_it)
    assert len(told) == 1
    assert "open already" in told[0]


async def test_an_append_that_waited_behind_close_leaves_nothing_open(base_path, monkeypatch):
    """It was begun before closing, and has the lock after it: no connection is left."""
    appender, closed, real = Appender(base_path, SYSTEM_CLOCK), anyio.Event(), os_lock.run_locked
    await appender.open()

    async def after_close(*args, **options):
        await closed.wait()
        return await real(*args, **options)

    async with anyio.create_task_group() as tasks:
        monkeypatch.setattr(appender_module, "run_locked", after_close)
        tasks.start_soon(appender.append, turns(1))
        await anyio.wait_all_tasks_blocked()
        monkeypatch.setattr(appender_module, "run_locked", real)
        await appender.close()
        closed.set()
    assert appender._log._connection is None


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_one_store_in_several_loops(base_path, held, logged, anyio_backend):
    """Loops come and go, cancelling who waits; what they leave is written in the next."""
    store = Store(base_path)

    async def give_up():
        for _ in range(2):
            asyncio.create_task(store.write(turns(1)))  # noqa: RUF006  # the end of the loop cancels them
        await held.begun()
        store.record_nowait(turns(1)[0])
        threading.Timer(0, held.let_go).start()

    asyncio.run(give_up())
    asyncio.run(store.flush())
    assert (store.statistics().lost, len(logged())) == (0, 3)

    async def open_it():
        async with store:
            await store.write(turns(1))

    for _ in range(2):
        asyncio.run(open_it())
    asyncio.run(store.record(turns(1)[0], durable=True))
    assert (store.statistics().lost, len(logged())) == (0, 6)


async def test_who_commits_does_not_stay_to_commit_what_came_after(base_path, held):
    """Under a steady load a writer would never come back."""
    store, back = Store(base_path), []

    async def write(number):
        await store.write(turns(1))
        back.append(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, 1)
        await held.begun()
        tasks.start_soon(write, 2)
        await anyio.wait_all_tasks_blocked()
        held.let_go(1)
        await held.begun()
        while not back:
            await anyio.lowlevel.checkpoint()
        assert back == [1]
        held.let_go()
