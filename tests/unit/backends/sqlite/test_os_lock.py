"""The lock under which one process at a time writes."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from functools import partial

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from hivecost.backends.sqlite import os_lock
from hivecost.backends.sqlite.file_locks import holder_of
from hivecost.backends.sqlite.os_lock import LOCK_NAME, do_locked, exclusive, run_locked
from hivecost.errors import StoreLockedError, StoreMovedError

pytestmark = pytest.mark.anyio


def test_it_excludes_within_a_process_too(tmp_path):
    """Two stores of one process take turns like two processes."""
    with exclusive(tmp_path) as first, exclusive(tmp_path, wait=False) as second:
        assert (first, second) == (True, False)
    with exclusive(tmp_path, wait=False) as third:
        assert third


def test_a_forked_child_does_not_keep_it(tmp_path):
    """A child that was forked while the lock was held, and lives on, does not hold it."""
    with exclusive(tmp_path):
        reading, writing = os.pipe()
        # Nothing but system calls in the child, because this process has threads.
        child = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
    try:
        with exclusive(tmp_path, wait=False) as held:
            assert held
    finally:
        os.close(writing)
        os.close(reading)
        os.kill(child, 9)
        os.waitpid(child, 0)


async def test_the_work_waits_its_turn(tmp_path):
    """It is done as soon as the holder lets go, and its result comes back."""
    order = []
    holding = exclusive(tmp_path)
    holding.__enter__()

    async def work():
        order.append(await run_locked(tmp_path, lambda: "worked"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        order.append("released")
        holding.__exit__(None, None, None)
    assert order == ["released", "worked"]


async def test_cancelling_gives_up_the_wait(tmp_path):
    """The work is then never done, not even when the lock is free again."""
    done = []
    with exclusive(tmp_path):
        with anyio.move_on_after(0.02) as scope:
            await run_locked(tmp_path, lambda: done.append(True))
        assert scope.cancelled_caught
    assert await run_locked(tmp_path, lambda: "after") == "after"
    assert done == []


async def test_nothing_is_kept_of_a_folder_that_nobody_waits_for(tmp_path):
    """A program may have a folder for each of its customers."""
    for number in range(20):
        folder = tmp_path / str(number)
        with exclusive(folder), anyio.move_on_after(0.01):
            await run_locked(folder, lambda: None)
        assert await run_locked(folder, lambda: "free") == "free"
    with anyio.fail_after(10):
        while os_lock._queues:
            gc.collect()
            await anyio.sleep(0.01)


async def test_cancelling_never_interrupts_the_work(tmp_path):
    """Work that has begun after a wait is waited for, and is done once."""
    holding, began, go_on, done = exclusive(tmp_path), anyio.Event(), threading.Event(), []
    token = anyio.lowlevel.current_token()
    holding.__enter__()

    def work():
        anyio.from_thread.run_sync(began.set, token=token)
        go_on.wait()
        done.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_locked, tmp_path, work)
        await anyio.wait_all_tasks_blocked()
        holding.__exit__(None, None, None)
        await began.wait()
        tasks.cancel_scope.cancel()
        go_on.set()
    assert done == [True]


@pytest.mark.parametrize("contended", [False, True])
async def test_an_error_comes_back_and_frees_the_lock(tmp_path, contended):
    """Whether the work had to wait or not."""
    holding = exclusive(tmp_path)
    if contended:
        holding.__enter__()

    def work():
        raise ValueError("mine")

    async def expect():
        with pytest.raises(ValueError, match="mine"):
            await run_locked(tmp_path, work)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(expect)
        if contended:
            await anyio.wait_all_tasks_blocked()
            holding.__exit__(None, None, None)
    with exclusive(tmp_path, wait=False) as held:
        assert held


@pytest.fixture
def stopped_holder(tmp_path):
    """A process that stands still while it holds the lock, as under SIGSTOP, a debugger or `docker pause`."""
    code = (
        "import os, signal, sys; from pathlib import Path; from hivecost.backends.sqlite.os_lock import exclusive\n"
        "with exclusive(Path(sys.argv[1])): print('held', flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def lock_threads():
    return [thread for thread in threading.enumerate() if "waits for its lock" in thread.name]


async def test_nobody_waits_without_end_for_a_process_that_stands_still(tmp_path, stopped_holder):
    """The wait ends at its deadline, names the holder, and never does the work; all waits share one thread."""
    done = []
    for _ in range(3):
        with pytest.raises(StoreLockedError, match=rf"process {stopped_holder.pid} has held the lock"):
            await run_locked(tmp_path, lambda: done.append(True), timeout_s=0.02)
        with pytest.raises(StoreLockedError, match=rf"process {stopped_holder.pid} has held the lock"):
            await anyio.to_thread.run_sync(partial(do_locked, tmp_path, lambda: done.append(True), timeout_s=0.02))
    assert len(lock_threads()) == 1
    stopped_holder.kill()
    stopped_holder.wait()
    assert await run_locked(tmp_path, lambda: "the kernel freed it") == "the kernel freed it"
    assert done == []


async def test_what_is_not_given_up_is_done_when_the_lock_is_free(tmp_path, stopped_holder):
    """Also after its deadline, as closing a database has to be."""
    done = threading.Event()
    with pytest.raises(StoreLockedError):
        await run_locked(tmp_path, done.set, give_up=False, timeout_s=0.02)
    assert not done.is_set()
    stopped_holder.kill()
    assert await anyio.to_thread.run_sync(done.wait, 30)


async def test_a_lock_file_that_was_removed_excludes_no_less(tmp_path):
    """Who waited for the removed one takes the one that is there now, as whoever comes next does."""
    holding, at_once = exclusive(tmp_path), []
    holding.__enter__()
    inside = threading.Semaphore(1)

    def work():
        assert inside.acquire(blocking=False), "two at once"
        at_once.append(exclusive(tmp_path, wait=False).__enter__())
        inside.release()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_locked, tmp_path, work)
        await anyio.wait_all_tasks_blocked()
        (tmp_path / LOCK_NAME).unlink()
        with exclusive(tmp_path, wait=False) as held:
            assert held
            holding.__exit__(None, None, None)
    assert at_once == [False]


def test_the_holder_is_named(tmp_path):
    """Where the system tells: on Linux."""
    with exclusive(tmp_path):
        assert holder_of(tmp_path / LOCK_NAME) == f"process {os.getpid()}"
    assert holder_of(tmp_path / LOCK_NAME) == "another process"
    assert holder_of(tmp_path / "missing") == "another process"


async def test_a_folder_that_is_gone_is_not_made_again(tmp_path):
    """Where whoever locks does not make it: that would begin a new ledger in place of the one that went."""
    gone = tmp_path / "gone"
    with pytest.raises(StoreMovedError, match="is gone; put it back"):
        await run_locked(gone, lambda: None, make=False)
    assert not gone.exists()
