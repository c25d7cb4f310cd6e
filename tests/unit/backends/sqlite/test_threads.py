"""Threads that write: theirs is no line that agents can fill, and they outlive neither forks nor loops."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from hivecost import threads
from hivecost.backends import Ledger, SpendStore
from hivecost.backends.sqlite import Store
from hivecost.backends.sqlite.log.appender import RETRY_WAITS_S
from hivecost.errors import StoreError
from hivecost.events import LLMTurnComplete
from hivecost.ledger import Budget
from hivecost.loops import current_loop
from hivecost.threads import THREAD_NAME, kept_threads, run_in_thread, start_in_thread

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def tools_that_block():
    """As many as anyio has threads for."""
    token, busy, go_on = anyio.lowlevel.current_token(), anyio.Semaphore(0), threading.Event()

    def block():
        anyio.from_thread.run_sync(busy.release, token=token)
        assert go_on.wait(60)

    async with anyio.create_task_group() as tasks:
        count = int(anyio.to_thread.current_default_thread_limiter().total_tokens)
        for _ in range(count):
            tasks.start_soon(anyio.to_thread.run_sync, block)
        for _ in range(count):
            await busy.acquire()
        try:
            with anyio.fail_after(30):
                yield
        finally:
            go_on.set()


async def test_tools_that_keep_all_threads_busy_hold_up_no_commit(tmp_path):
    """Turns are logged and reservations granted."""
    budgets = [Budget("all", "$1", mode="hard")]
    async with Store(tmp_path) as store, Ledger.open(tmp_path, budgets=budgets) as ledger, tools_that_block():
        assert await store.write([LLMTurnComplete()]) == 1
        (await ledger.reserve({"user": "ada"}, usd="0.10")).settle()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_tools_that_keep_all_threads_busy_hold_up_no_reader(tmp_path):
    """Nor whoever looks at what was spent."""
    await Store(tmp_path).write([LLMTurnComplete(model="m")])
    async with tools_that_block():
        assert len(await SpendStore(tmp_path).totals()) == 1


async def test_work_begins_before_the_loop_turns():
    """However long the loop stands still after that."""
    begun, done = threading.Event(), anyio.Event()
    ended = start_in_thread(current_loop(), begun.set, done.set)
    assert begun.wait(30)
    assert not done.is_set()
    with anyio.fail_after(30):
        await done.wait()
    assert ended.done()


async def test_threads_end_when_nobody_keeps_them(monkeypatch):
    """With the last work; while they are kept, they wait for more."""
    monkeypatch.setattr(threads, "_threads", threads._Threads())  # of which none works for anybody else
    others = set(threading.enumerate())

    def count():
        return sum(thread.name.startswith(THREAD_NAME) for thread in set(threading.enumerate()) - others)

    with anyio.fail_after(30):
        with kept_threads(), kept_threads():
            await run_in_thread(int)
            assert count() >= 1
            await anyio.sleep(0)
            assert count() >= 1
        await run_in_thread(int)
        while count():
            await anyio.sleep(0.01)


async def test_a_thread_that_cannot_be_started_costs_events_and_not_the_store(base_path, clock, monkeypatch):
    """The system has none left for a while: tried again, then counted as lost by a named error; the next is written."""
    start, refused = threading.Thread.start, []

    def refuse(thread):
        if len(refused) < 8:  # each time for the pool, and for a thread of its own
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    async with Store(base_path, clock=clock) as store:
        monkeypatch.setattr(threads, "_threads", threads._Threads())  # none waits for work
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(StoreError, match=r"no thread can be started .* raise the limits"):
            await store.write([LLMTurnComplete()] * 300)
        assert await store.write([LLMTurnComplete()]) == 1
        assert (len(refused), store.statistics().lost) == (8, 300)
    assert tuple(clock.slept_s) == RETRY_WAITS_S


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_a_loop_that_outlives_the_main_thread_goes_on(tmp_path, anyio_backend):
    """Agents in a thread of their own are logged to their end, and then the process ends."""
    script = """
import asyncio, sys, threading
from hivecost.events import LLMTurnComplete
from hivecost.backends.sqlite import Store
async def agents():
    async with Store(sys.argv[1]) as store:
        await store.write([LLMTurnComplete()])
        while threading.main_thread().is_alive():
            await asyncio.sleep(0.01)
        print(await store.write([LLMTurnComplete()]), await store.write([LLMTurnComplete() for _ in range(300)]))
threading.Thread(target=asyncio.run, args=(agents(),)).start()
"""
    arguments = [sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.run(arguments, check=True, timeout=60, capture_output=True, text=True).stdout == "1 300\n"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_a_store_that_is_left_open_does_not_keep_the_process(tmp_path, anyio_backend):
    """Its loop was stopped in the middle: its thread ends soon after the program."""
    script = """
import asyncio, sys
from hivecost.events import LLMTurnComplete
from hivecost.backends.sqlite import Store
async def main():
    await Store(sys.argv[1]).__aenter__()
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.run_until_complete(asyncio.sleep(0.1))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(tmp_path)], check=True, timeout=60)


async def test_who_is_cancelled_before_it_begins_begins_nothing():
    """As with everything that anyio waits for."""
    done = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        await run_in_thread(lambda: done.append(True))
    assert (scope.cancelled_caught, done) == (True, [])


async def test_an_error_comes_out_where_it_was_awaited():
    """And the thread takes the next work."""
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda: 1 // 0)
    assert await run_in_thread(lambda: "next") == "next"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_work_that_ends_after_its_loop(anyio_backend):
    """Nobody is told, and nothing complains."""
    go_on = threading.Event()

    async def leave():
        return start_in_thread(current_loop(), lambda: go_on.wait(30), pytest.fail)

    ended = asyncio.run(leave())
    go_on.set()
    assert ended.result(30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_a_forked_child_writes_with_threads_of_its_own(tmp_path, anyio_backend):
    """Those of its parent are not there."""
    script = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore")
from hivecost.events import LLMTurnComplete
from hivecost.backends.sqlite import Store
def write():
    return asyncio.run(Store(sys.argv[1]).write([LLMTurnComplete()]))
assert write() == 1
child = os.fork()
if child == 0:
    os._exit(write())
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)


@pytest.mark.parametrize("busy_s", [0.0003, 0.003])
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_loop_that_never_rests_lets_commits_through(tmp_path, busy_s, anyio_backend):
    """Each of its turns lets the interpreter go for a moment too short to be taken; it pauses for those at work."""
    committed = 0

    async def keep_busy():
        while committed < 20:
            until_s = time.perf_counter() + busy_s
            while time.perf_counter() < until_s:
                pass
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(30):
        async with Store(tmp_path) as store, anyio.create_task_group() as tasks:
            tasks.start_soon(keep_busy)
            while committed < 20:
                committed += await store.write([LLMTurnComplete()])


async def test_nobody_pauses_when_nothing_is_under_way(monkeypatch):
    """The pauses end with the work."""
    naps = []
    monkeypatch.setattr(threads, "time", SimpleNamespace(sleep=naps.append))
    go_on = threading.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_in_thread, go_on.wait)
        while not naps:
            await anyio.sleep(0.001)
        go_on.set()
    count = len(naps)
    await anyio.sleep(0.02)
    assert len(naps) == count


async def test_work_that_a_pool_kept_and_refused_is_done_once(monkeypatch):
    """It queues the work, and fails to start a thread for it: whoever comes first does it, and nobody twice."""
    start, done = threading.Thread.start, []

    def refuse(thread):
        monkeypatch.setattr(threading.Thread, "start", start)
        raise RuntimeError("can't start new thread")

    with kept_threads():
        monkeypatch.setattr(threads, "_threads", threads._Threads())
        with kept_threads():
            monkeypatch.setattr(threading.Thread, "start", refuse)
            await run_in_thread(lambda: done.append("first"))
            await run_in_thread(lambda: done.append("second"))
    assert done == ["first", "second"]
