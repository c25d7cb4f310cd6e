"""The lock under which one process at a time writes."""

from __future__ import annotations

import os
import threading

import anyio
import anyio.from_thread
import pytest

from hivecost.store.os_lock import exclusive, run_locked

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
