"""Those whose events share a commit share its wakeup, and nothing else."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest
from anyio.lowlevel import checkpoint

from hivecost.backends.sqlite import Store, os_lock
from hivecost.backends.sqlite.log import batches
from hivecost.errors import StoreCorruptError, StoreError
from hivecost.events import LLMTurnComplete

pytestmark = pytest.mark.anyio


def turns(count, **fields):
    return [LLMTurnComplete(session_id="s", **fields) for _ in range(count)]


def frames(error):
    traceback, count = error.__traceback__, 0
    while traceback is not None:
        traceback, count = traceback.tb_next, count + 1
    return count


class Writers:
    """Tasks that each wait for their own events."""

    def __init__(self, store, tasks):
        self._store, self._tasks = store, tasks
        self.answers = {}

    def start(self, name, events):
        scope = anyio.CancelScope()

        async def write():
            with scope:
                try:
                    self.answers[name] = await self._store.write(events)
                except StoreError as error:
                    self.answers[name] = error

        self._tasks.start_soon(write)
        return scope


async def kept_open(store):
    """A task in which the store is open until somebody cancels it."""
    opened = asyncio.Event()

    async def keep_open():
        async with store:
            opened.set()
            await asyncio.sleep(60)

    keeping = asyncio.create_task(keep_open())
    await opened.wait()
    return keeping


async def test_who_comes_during_a_commit_waits_for_the_next_one(base_path, held, logged):
    """S1: its events are not in the commit that is under way, and that one's end is not its answer."""
    async with Store(base_path) as store, anyio.create_task_group() as tasks:
        writers = Writers(store, tasks)
        writers.start("first", turns(1))
        await held.begun()
        writers.start("late", turns(2))
        await anyio.wait_all_tasks_blocked()
        assert writers.answers == {}
        held.let_go()
        tasks.start_soon(store.flush)
    assert (writers.answers, held.sizes, len(logged())) == ({"first": 1, "late": 2}, [1, 2], 3)


async def test_who_gives_up_takes_nobody_along(base_path, held, logged):
    """One of several who wait for a commit is cancelled while it is under way: all their events are logged."""
    async with Store(base_path) as store, anyio.create_task_group() as tasks:
        writers = Writers(store, tasks)
        writers.start("before", turns(1))
        await held.begun()
        scopes = [writers.start(number, turns(1)) for number in range(5)]
        await anyio.wait_all_tasks_blocked()
        held.let_go(1)
        await held.begun()
        for number in (0, 2, 4):
            scopes[number].cancel()
        await anyio.wait_all_tasks_blocked()
        held.let_go()
    assert writers.answers == {"before": 1, 1: 1, 3: 1}
    assert (held.sizes, len(logged()), store.statistics().written) == ([1, 5], 6, 6)


async def test_who_gives_up_in_line_takes_nobody_along(base_path, held, logged):
    """The same while their batch still waits for the one before it."""
    async with Store(base_path) as store, anyio.create_task_group() as tasks:
        writers = Writers(store, tasks)
        writers.start("before", turns(1))
        await held.begun()
        scopes = [writers.start(number, turns(1)) for number in range(3)]
        await anyio.wait_all_tasks_blocked()
        scopes[0].cancel()
        await anyio.wait_all_tasks_blocked()
        held.let_go()
    assert writers.answers == {"before": 1, 1: 1, 2: 1}
    assert len(logged()) == 4


async def test_an_error_reaches_those_whose_events_were_lost_and_nobody_else(base_path, fail, held, logged):
    """The batch before it and the batch after it know nothing of it."""
    fail += [None, StoreError("the disk fails once"), None]
    async with Store(base_path) as store, anyio.create_task_group() as tasks:
        writers = Writers(store, tasks)
        writers.start("before", turns(1))
        await held.begun()
        writers.start("lost", turns(2))
        writers.start("lost, too", turns(1))
        await anyio.wait_all_tasks_blocked()
        held.let_go()
        while "lost" not in writers.answers:
            await checkpoint()
        writers.start("after", turns(3))
    assert (writers.answers["before"], writers.answers["after"], held.sizes) == (1, 3, [1, 3, 3])
    assert {str(writers.answers[name]) for name in ("lost", "lost, too")} == {"the disk fails once"}
    assert (store.statistics().lost, len(logged())) == (3, 4)


async def test_each_learns_of_its_own_rows_where_batches_meet(base_path, monkeypatch):
    """However the events are divided into commits, each number is that of the writer's own new rows."""
    monkeypatch.setattr(batches, "BATCH_EVENTS_MAX", 4)
    known = turns(1)
    async with Store(base_path) as store:
        await store.write(known)
        async with anyio.create_task_group() as tasks:
            writers = Writers(store, tasks)
            for size in range(8):
                writers.start(size, [*known, *turns(size)])
        assert store.statistics().commits > 2
    assert writers.answers == {size: size for size in range(8)}


async def test_closing_past_its_deadline_tells_everybody_who_waits(base_path, clock, fail):
    """Those of the batch that was being tried, and those in line behind it."""

    async def forever(_seconds):
        await anyio.sleep_forever()

    clock.sleep = forever
    fail.append(OSError(28, "No space left on device"))
    async with anyio.create_task_group() as tasks, Store(base_path, clock=clock, close_timeout_s=0.05) as store:
        writers = Writers(store, tasks)
        for number in range(3):
            writers.start(number, turns(1))
        await anyio.wait_all_tasks_blocked()
        while fail:
            await checkpoint()
        for number in range(3, 6):
            writers.start(number, turns(1))
        await anyio.wait_all_tasks_blocked()
    assert ["closed before" in str(writers.answers[number]) for number in range(6)] == [True] * 6
    assert store.statistics().lost == 6


async def test_an_error_that_many_wait_for_does_not_collect_their_frames(base_path, fail, held):
    """Each has its own way in the traceback, not that of all who were told before; frames hold what agents work on."""
    fail += [None, StoreError("no disk")]
    async with Store(base_path) as store, anyio.create_task_group() as tasks:
        writers = Writers(store, tasks)
        tasks.start_soon(store.write, turns(1))
        await held.begun()
        for number in range(20):
            writers.start(number, turns(1))
        await anyio.wait_all_tasks_blocked()
        held.let_go()
    assert {type(error) for error in writers.answers.values()} == {StoreError}
    assert max(frames(error) for error in writers.answers.values()) < 10


async def test_an_error_of_every_batch_does_not_collect_their_events(base_path, fail):
    """A corrupt file says the same with each; what was lost is not kept by the error that says so."""
    fail.append(StoreCorruptError("malformed"))
    async with Store(base_path) as store:
        for number in range(20):
            store.record_nowait(turns(1)[0])
            while store.statistics().lost <= number:
                await checkpoint()
        with pytest.raises(StoreCorruptError) as told:
            await store.flush()
    assert frames(told.value) < 10


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("count", "begins"), [(255, False), (256, True)])
async def test_many_events_at_once_wait_for_no_turn_of_the_loop(base_path, held, count, begins):
    """Their commit begins where they are handed over; few wait for those that others bring until the loop turns."""
    async with Store(base_path) as store:
        writing = store.write(turns(count))
        writing.send(None)  # as far as it comes while the loop stands still
        assert held.has_begun(30 if begins else 0.05) is begins
        writing.close()
        store.record_nowait(turns(1)[0])
        held.let_go()
        await store.flush()
    assert held.sizes == ([256, 1] if begins else [256])


async def test_who_flushes_behind_a_large_batch_waits_for_it(base_path, held):
    """S1, with nothing of its own to write."""
    done = []

    async def flush():
        await store.flush()
        done.append(True)

    async with Store(base_path) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store.write, turns(300))
        await held.begun()
        tasks.start_soon(flush)
        await anyio.wait_all_tasks_blocked()
        assert done == []
        held.let_go()
    assert done == [True]


async def test_closing_past_its_deadline_waits_for_the_commit_under_way(base_path, held, logged):
    """What it commits is not lost; what stands in line behind it is."""
    async with anyio.create_task_group() as tasks, Store(base_path, close_timeout_s=0.05) as store:
        writers = Writers(store, tasks)
        writers.start("under way", turns(1))
        await held.begun()
        writers.start("in line", turns(2))
        await anyio.wait_all_tasks_blocked()
        threading.Timer(0.3, held.let_go).start()
    assert writers.answers["under way"] == 1
    assert "closed before" in str(writers.answers["in line"])
    assert (store.statistics().written, store.statistics().lost, len(logged())) == (1, 2, 1)


async def test_a_store_that_gave_up_may_be_used_again(base_path, held, logged):
    """S1: what stood in line when it was closed is lost, and nobody who comes later is answered with that."""
    async with anyio.create_task_group() as tasks, Store(base_path, close_timeout_s=0.05) as store:
        tasks.start_soon(store.write, turns(1))
        await held.begun()
        store.record_nowait(turns(1)[0])
        threading.Timer(0.3, held.let_go).start()
    assert await store.write(turns(3)) == 3
    async with store:
        assert await store.write(turns(2)) == 2
    assert (store.statistics().written, store.statistics().lost, len(logged())) == (6, 1, 6)


async def test_a_commit_that_began_after_a_wait_counts_past_the_deadline(base_path, held, logged):
    """Somebody else held the lock first; closing waits for the commit, and its rows are not called lost."""
    holding = os_lock.exclusive(base_path)
    async with anyio.create_task_group() as tasks, Store(base_path, close_timeout_s=0.05) as store:
        writers = Writers(store, tasks)
        holding.__enter__()
        writers.start("late", turns(1))
        await anyio.wait_all_tasks_blocked()
        holding.__exit__(None, None, None)
        await held.begun()
        threading.Timer(0.3, held.let_go).start()
    assert writers.answers == {"late": 1}
    assert (store.statistics().written, store.statistics().lost, len(logged())) == (1, 0, 1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_end_that_comes_when_all_is_given_up_ends_nothing_else(base_path, held, logged):
    """The writer was cancelled twice, and the Store is open again when the loop hears of that commit."""
    store, ends = Store(base_path), []
    attempt = store._appender.attempt
    store._appender.attempt = lambda loop, events, then: attempt(loop, events, lambda: ends.append(then))
    keeping = await kept_open(store)
    store.record_nowait(turns(1)[0])
    await held.begun()
    (writer,) = [task for task in asyncio.all_tasks() if task.get_name().startswith("writer of")]
    while not writer.done():
        writer.cancel()
        await asyncio.sleep(0)
    held.let_go(1)
    while not ends:
        await asyncio.sleep(0.001)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    store._appender.attempt = attempt
    async with store:
        writing = asyncio.create_task(store.write(turns(2)))
        await held.begun()
        ends.pop()()
        await anyio.wait_all_tasks_blocked()
        assert not writing.done()
        held.let_go()
        assert await writing == 2
    assert (held.sizes, len(logged())) == ([1, 2], 3)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_writer_task_that_is_cancelled_counts_what_it_commits(base_path, held, logged):
    """As asyncio does when its loop ends: the commit under way is waited for, and its rows count as written."""
    store = Store(base_path)
    keeping = await kept_open(store)
    store.record_nowait(turns(1)[0])
    await held.begun()
    store.record_nowait(turns(1)[0])
    (writer,) = [task for task in asyncio.all_tasks() if task.get_name().startswith("writer of")]
    writer.cancel()
    await anyio.wait_all_tasks_blocked()
    held.let_go()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert (store.statistics().written, store.statistics().lost, len(logged())) == (1, 1, 1)
