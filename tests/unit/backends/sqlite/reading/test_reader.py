"""`reading`: the log is read on asyncio and on trio alike."""

from __future__ import annotations

import threading

import anyio
import pytest

from hivecost.backends.sqlite.reading.connection import reading
from hivecost.errors import StoreCorruptError, StoreUnusablePathError
from hivecost.events import LLMTurnComplete, Usage
from hivecost.loops import is_asyncio
from hivecost.threads import kept_threads, run_in_thread

pytestmark = pytest.mark.anyio

COUNT = "SELECT count(*) FROM turns WHERE model = :model"
#: Some seconds of work for SQLite.
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT count(*) FROM n"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


async def count(base_path) -> int:
    async with reading(base_path) as log:
        ((turns,),) = await log.rows(COUNT, {"model": "m"})
    return turns


async def test_what_is_logged_is_read(tmp_path, write):
    """Names bind values, and each reader stands in one snapshot."""
    await write(LLMTurnComplete(model="m", usage=Usage(1)), LLMTurnComplete(model="n", usage=Usage(1)))
    async with reading(tmp_path) as log:
        assert await log.rows(COUNT, {"model": "m"}) == [(1,)]
        await write(LLMTurnComplete(model="m", usage=Usage(1)))
        assert await log.rows(COUNT, {"model": "m"}) == [(1,)]
    assert await count(tmp_path) == 2


async def test_a_database_that_is_missing_reads_as_empty(tmp_path):
    assert await count(tmp_path / "nothing") == 0
    assert not (tmp_path / "nothing").exists()


async def test_faults_are_store_errors(tmp_path):
    (tmp_path / "hivecost.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreCorruptError, match=r"hivecost\.db"):
        await count(tmp_path)


async def test_the_loop_goes_on_while_a_query_takes_its_time(tmp_path, write):
    """Other tasks have their turns, and a cancelled query leaves no thread of its own behind."""
    await write(LLMTurnComplete(model="m", usage=Usage(1)))
    before = threading.active_count()
    turns = 0
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def read() -> None:
                async with reading(tmp_path) as log:
                    await log.rows(SLOW, {})

            group.start_soon(read)
            for _ in range(20):
                await anyio.sleep(0.001)
                turns += 1
            scope.cancel()
    assert turns == 20
    with anyio.fail_after(10):
        while threading.active_count() > before:
            await anyio.sleep(0.01)


async def test_a_reader_for_whom_there_is_no_thread(tmp_path, write, monkeypatch):
    """Named, with the way out; where threads wait for work already, it is read on trio all the same."""
    both = threading.Barrier(2)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    await write(LLMTurnComplete(model="m", usage=Usage(1)))
    with kept_threads():
        # Two, because one that has just told of its end takes a moment until it waits for more.
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(run_in_thread, both.wait)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        if is_asyncio():
            with pytest.raises(StoreUnusablePathError, match=r"no thread can be started .* raise the limits"):
                await count(tmp_path)
        else:
            assert await count(tmp_path) == 1
