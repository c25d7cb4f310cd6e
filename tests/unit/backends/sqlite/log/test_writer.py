"""The Store: queueing, group commit, backpressure, faults and closing, on asyncio and on trio."""

from __future__ import annotations

import functools
import sqlite3

import anyio
import anyio.lowlevel
import pytest
from anyio.lowlevel import checkpoint

from hivecost.backends.sqlite import Store, os_lock
from hivecost.backends.sqlite.log.appender import RETRY_WAITS_S
from hivecost.errors import StoreCorruptError, StoreError, StoreUnusablePathError
from hivecost.events import CustomEvent, LLMTurnComplete

pytestmark = pytest.mark.anyio


def turns(count, **fields):
    return [LLMTurnComplete(session_id="s", **fields) for _ in range(count)]


def full():
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def corrupt():
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


async def test_write_returns_after_the_commit_with_the_number_of_new_rows(base_path, logged):
    """What it acknowledges, another connection sees; what was known is not counted again."""
    events = turns(3)
    async with Store(base_path) as store:
        assert await store.write(events[:2]) == 2
        assert logged() == [event.event_id for event in events[:2]]
        assert await store.write([*events, events[2]]) == 1
        statistics = store.statistics()
    assert (statistics.written, statistics.duplicates, statistics.lost, statistics.queued) == (3, 3, 0, 0)


async def test_flush_returns_after_the_commit_of_all_that_was_recorded(base_path, logged):
    """S1, for record and record_nowait, and for durable=True without a flush."""
    events = turns(3)
    async with Store(base_path) as store:
        store.record_nowait(events[0])
        await store.record(events[1])
        await store.flush()
        assert len(logged()) == 2
        await store.record(events[2], durable=True)
        assert len(logged()) == 3


async def test_concurrent_writers_share_commits(base_path, logged):
    """A hundred tasks that each wait for their own commit cause far fewer than a hundred."""
    async with Store(base_path) as store:
        async with anyio.create_task_group() as tasks:
            for event in turns(100):
                tasks.start_soon(store.write, [event])
        assert len(logged()) == 100
        assert store.statistics().commits < 10


async def test_each_writer_learns_of_its_own_rows(base_path):
    """In one shared commit, the one with the duplicate and the one with the bad row are told so, and nobody else."""
    known = turns(1)
    outcomes = {}

    async def write(name, events):
        try:
            outcomes[name] = await store.write(events)
        except StoreError as error:
            outcomes[name] = error

    async with Store(base_path) as store:
        await store.write(known)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, "duplicate", [*known, *turns(1)])
            tasks.start_soon(write, "bad", [*turns(1), LLMTurnComplete(event_id="culprit", model="\ud800")])
            tasks.start_soon(write, "good", turns(2))
        assert (outcomes["duplicate"], outcomes["good"]) == (1, 2)
        assert "'culprit' cannot be logged" in str(outcomes["bad"])
        statistics = store.statistics()
    assert (statistics.written, statistics.duplicates, statistics.lost) == (5, 1, 1)


async def test_a_full_queue_refuses_and_counts(base_path):
    """record_nowait says no, record waits; nothing goes past the limit."""
    store = Store(base_path, queue_max=2)
    assert [store.record_nowait(event) for event in turns(3)] == [True, True, False]
    statistics = store.statistics()
    assert (statistics.queued, statistics.queue_max, statistics.lost) == (2, 2, 1)
    assert "2 events wait already" in statistics.last_error
    async with store:
        for event in turns(10):
            await store.record(event)
            assert store.statistics().queued <= 2
    assert store.statistics().written == 12


async def test_who_waits_for_room_sleeps(base_path, held):
    """Until the commit that makes it is through; nobody looks again and again."""
    async with Store(base_path, queue_max=1) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store.write, turns(1))
        await held.begun()
        tasks.start_soon(store.record, turns(1)[0])
        with anyio.fail_after(30):
            await anyio.wait_all_tasks_blocked()
        assert store.statistics().queued == 1
        held.let_go()
    assert store.statistics().written == 2


async def test_a_passing_fault_is_tried_again(base_path, clock, fail, logged):
    """With growing waits, until there is room; nothing is lost or doubled."""
    async with Store(base_path, clock=clock) as store:
        fail += [full(), full()]
        assert await store.write(turns(2)) == 2
        assert len(logged()) == 2
        assert store.statistics().lost == 0
    assert tuple(clock.slept_s) == RETRY_WAITS_S[:2]


async def test_a_lasting_fault_costs_the_batch_and_not_the_writer(base_path, clock, fail, logged):
    """It is raised where somebody waits, counted, and the next batch goes through."""
    async with Store(base_path, clock=clock) as store:
        fail += [full() for _ in range(len(RETRY_WAITS_S) + 1)]
        with pytest.raises(StoreUnusablePathError, match=r"hivecost\.db: .* is full; make room"):
            await store.write(turns(2))
        assert store.statistics().lost == 2
        assert await store.write(turns(1)) == 1
        assert (len(logged()), store.statistics().commits) == (1, 1)
    assert "make room" in store.statistics().last_error


async def test_flush_says_that_something_was_lost(base_path, clock, fail):
    """Events that nobody waits for are not lost in silence."""
    async with Store(base_path, clock=clock) as store:
        fail += [full() for _ in range(len(RETRY_WAITS_S) + 1)]
        store.record_nowait(turns(1)[0])
        with pytest.raises(StoreUnusablePathError):
            await store.flush()
        await store.flush()


async def test_flush_says_what_was_lost_before_it(base_path, fail):
    """S1: nobody waited for that commit, and the flush after it does not say that all is well; once."""
    async with Store(base_path) as store:
        fail.append(StoreError("no disk"))
        store.record_nowait(turns(1)[0])
        await anyio.wait_all_tasks_blocked()
        while not store.statistics().lost:
            await checkpoint()
        for _ in range(2):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await store.flush()  # one that was cancelled has told nobody
        with pytest.raises(StoreError, match="no disk"):
            await store.flush()
        await store.flush()


async def test_corruption_stops_the_writing(base_path, clock, fail):
    """Nothing more is tried on such a file; every later event is counted as lost, and closing ends."""
    async with Store(base_path, clock=clock) as store:
        fail.append(corrupt())
        for _ in range(2):
            with pytest.raises(StoreCorruptError, match="restore a backup"):
                await store.write(turns(1))
        assert store.record_nowait(turns(1)[0])
    assert (store.statistics().lost, store.statistics().written, clock.slept_s) == (3, 0, [])


async def test_a_fault_of_ours_ends_no_writer(base_path, fail, caplog):
    """It is logged with its traceback, counted, and the next batch goes through."""
    async with Store(base_path) as store:
        fail.append(RuntimeError("a bug"))
        with pytest.raises(StoreError, match="a bug"):
            await store.write(turns(1))
        assert await store.write(turns(1)) == 1
    assert "RuntimeError: a bug" in caplog.text


async def test_what_is_no_event_and_cannot_be_shown_ends_no_writer(base_path):
    """The error says what it is; those beside it are logged."""

    class Stranger:
        tags = None

        def __repr__(self):
            raise ValueError("no")

    async with Store(base_path) as store:
        with pytest.raises(StoreError, match="event of type Stranger cannot be logged"):
            await store.write([*turns(1), Stranger()])
        assert await store.write(turns(1)) == 1
    assert (store.statistics().written, store.statistics().lost) == (2, 1)


async def test_closing_drains(base_path, logged):
    """What was recorded before the end of the block is committed."""
    async with Store(base_path) as store:
        for event in turns(5000):
            store.record_nowait(event)
    assert len(logged()) == 5000


async def test_an_error_in_the_block_comes_out_as_it_is(base_path, logged):
    """Not wrapped in a group, and after what was recorded is committed."""

    async def block():
        async with Store(base_path) as store:
            store.record_nowait(turns(1)[0])
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await block()
    assert len(logged()) == 1


async def test_cancelling_the_block_drains_all_the_same(base_path, logged):
    """The writer is not cancelled with the task that opened it."""
    with anyio.CancelScope() as scope:
        async with Store(base_path) as store:
            for event in turns(10):
                store.record_nowait(event)
            scope.cancel()
            await anyio.sleep_forever()
    assert len(logged()) == 10
    assert store.statistics().lost == 0


async def test_a_cancelled_write_is_written(base_path, logged):
    """Whoever stops waiting for the commit does not undo it, nor anybody else's."""
    async with Store(base_path) as store:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.write(turns(1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.write, turns(1))
            await checkpoint()
            tasks.cancel_scope.cancel()
        await store.flush()
        assert len(logged()) >= 1
        assert store.statistics().lost == 0


async def test_closing_ends_while_the_disk_fails(base_path, clock, fail):
    """Past the deadline what is left is counted as lost, and whoever waits is told."""
    told = []

    async def write():
        with pytest.raises(StoreError, match="closed before"):
            await store.write(turns(1))
        told.append(True)

    async def forever(seconds):
        await anyio.sleep_forever()

    clock.sleep = forever
    async with anyio.create_task_group() as tasks, Store(base_path, clock=clock, close_timeout_s=0.05) as store:
        fail += [full()]
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        store.record_nowait(turns(1)[0])
    assert told == [True]
    assert store.statistics().lost == 2


async def test_closing_ends_while_another_process_keeps_the_lock(base_path, logged):
    """The events are counted as lost, and are not written behind our back when the lock is free again."""
    async with Store(base_path, close_timeout_s=0.05) as store:
        await store.write(turns(1))
        holding = os_lock.exclusive(base_path)
        holding.__enter__()
        store.record_nowait(turns(1)[0])
    holding.__exit__(None, None, None)
    assert (store.statistics().written, store.statistics().lost) == (1, 1)
    async with Store(base_path) as store:
        await store.flush()
    assert len(logged()) == 1


async def test_a_store_that_is_not_open_writes_by_itself(base_path, logged):
    """write and flush commit what is queued; nothing keeps running in between."""
    store = Store(base_path, queue_max=3)
    for event in turns(3):
        assert store.record_nowait(event)
    await store.flush()
    assert len(logged()) == 3
    assert await store.write(turns(2)) == 2
    for event in turns(7):
        await store.record(event)
    async with anyio.create_task_group() as tasks:
        for event in turns(10):
            tasks.start_soon(functools.partial(store.record, event, durable=True))
    await store.flush()
    assert len(logged()) == 22


async def test_a_store_may_be_opened_again_but_not_twice(base_path):
    """Its counts go on."""
    store = Store(base_path)
    for _ in range(2):
        async with store:
            await store.write(turns(1))
            with pytest.raises(StoreError, match="open already"):
                await store.__aenter__()
    assert store.statistics().written == 2


async def test_what_is_queued_before_opening_is_written(base_path, logged):
    """Events that came early are not lost."""
    store = Store(base_path)
    store.record_nowait(turns(1)[0])
    async with store:
        pass
    assert len(logged()) == 1


async def test_every_event_is_counted_once(base_path):
    """written + duplicates + lost + queued is what was handed over."""
    async with Store(base_path) as store:
        events = turns(20)
        await store.write([*events, *events[:5]])
        with pytest.raises(StoreError):
            await store.write([CustomEvent(payload={"x": object()})])
        counts = store.statistics()
    assert counts.written + counts.duplicates + counts.lost + counts.queued == 26
    assert (counts.written, counts.duplicates, counts.lost) == (20, 5, 1)
