"""LogWriter: what it cannot write it counts and names, and the agents run on."""

from __future__ import annotations

import anyio
import pytest
from msgspec.structs import replace

import hivecost as hc
from hivecost.backends import open_log
from hivecost.backends.sqlite import os_lock
from hivecost.subscribers import log_writer

pytestmark = pytest.mark.anyio

TURN = ("m", hc.Usage(10, 5))


@pytest.fixture
def make_logged(make_runtime, tmp_path):
    """A runtime whose base path is `tmp_path / "data"`."""

    def make(**settings):
        runtime = make_runtime(config={"log": True}, **settings)
        runtime.base_path = tmp_path / "data"
        return runtime

    return make


async def test_everything_published_is_in_the_log_after_flush(make_logged):
    """`runtime.flush()` returns after the commit: readers see the turns, and nothing is lost."""
    runtime = make_logged()
    async with runtime:
        result = await runtime.trigger_and_wait("spend", [TURN] * 3)
        await runtime.flush()
        state = await hc.SessionStore(runtime.base_path).read_state(result.session_id)
        assert state.metrics.total_tokens == 45
        assert state.status == "completed"
    assert (runtime.log.lost, runtime.log.error) == (0, None)
    assert runtime.log.statistics.written == 5


async def test_a_log_that_cannot_be_opened_does_not_stop_the_agents(make_logged, tmp_path, caplog):
    """The base path is a file: agents complete, every event is counted as lost, the error names path and way out."""
    (tmp_path / "data").write_text("I am a file")
    runtime = make_logged()
    async with runtime:
        result = await runtime.trigger_and_wait("spend", [TURN] * 3)
        with pytest.raises(hc.StoreUnusablePathError, match="use a folder as base path"):
            await runtime.flush()
        assert runtime.log.lost == 5
    assert (result.status, result.metrics["llm_calls"]) == ("completed", 3)
    assert isinstance(runtime.log.error, hc.StoreUnusablePathError)
    assert str(tmp_path / "data") in str(runtime.log.error)
    assert "the runtime log is not written" in caplog.text


async def test_a_log_that_can_be_opened_later_is_written_from_then_on(make_logged, tmp_path):
    """Once the obstacle is gone, events are written again; one flush tells of the gap, which stays counted."""
    obstacle = tmp_path / "data"
    obstacle.write_text("I am a file")
    runtime = make_logged()
    async with runtime:
        await runtime.trigger_and_wait("spend", [TURN])
        await runtime.bus.drain()
        lost = runtime.log.lost
        assert lost == 3
        obstacle.unlink()
        result = await runtime.trigger_and_wait("spend", [TURN] * 2)
        with pytest.raises(hc.StoreError, match="use a folder"):
            await runtime.flush()
        await runtime.flush()
        assert runtime.log.error is None
    state = await hc.SessionStore(runtime.base_path).read_state(result.session_id)
    assert state.metrics.llm_calls == 2
    assert runtime.log.lost == lost


async def test_an_error_that_every_flush_raises_does_not_collect_their_frames(make_logged, tmp_path):
    """Agents that flush now and then while the log is broken leave nothing behind in its error."""
    (tmp_path / "data").write_text("I am a file")
    runtime, lengths = make_logged(), set()
    async with runtime:
        for _ in range(5):
            with pytest.raises(hc.StoreError) as told:
                await runtime.flush()
            lengths.add(len(told.traceback))
    assert len(lengths) == 1


async def test_what_its_queue_could_not_hold_is_counted_on_the_bus(tmp_path):
    """A writer that is too slow drops the newest, and the bus says how many."""
    runtime = hc.AgentRuntime(tmp_path, config={"log": False}, plugins=[hc.LogWriter(max_queue=10)])
    async with runtime:
        for number in range(100):
            runtime.bus.publish_nowait(hc.CustomEvent(name=str(number)))
        await runtime.bus.drain()
    writer = runtime.plugins["log-writer"].plugin
    assert writer.statistics.written + runtime.bus.statistics().dropped == 100
    assert writer.statistics.written == 10


async def test_without_a_log_there_is_nothing_to_flush(make_runtime, tmp_path):
    """`log=False` writes no file; flush returns."""
    runtime = make_runtime()
    async with runtime:
        await runtime.trigger_and_wait("spend", [TURN])
        await runtime.flush()
    assert list(tmp_path.iterdir()) == []
    assert runtime.log.statistics is None


async def test_a_writer_may_be_attached_twice_in_a_row(make_logged):
    """The same runtime, opened again, goes on writing to the same log."""
    runtime = make_logged()
    for _ in range(2):
        async with runtime:
            await runtime.trigger_and_wait("spend", [TURN], session_id="session_of_both")
    state = await hc.SessionStore(runtime.base_path).read_state("session_of_both")
    assert (state.metrics.llm_calls, state.metrics.executions) == (2, 2)


async def test_a_lock_that_somebody_keeps_loses_nothing(make_logged, monkeypatch):
    """While another process keeps it, flush() names that; when it is free, all is written, and nothing was lost."""
    options = {**os_lock.run_locked.__kwdefaults__, "timeout_s": 0.05}
    monkeypatch.setattr(os_lock.run_locked, "__kwdefaults__", options)
    runtime = make_logged()
    async with runtime:
        with os_lock.exclusive(runtime.base_path):
            await runtime.trigger_and_wait("spend", [TURN] * 3)
            for _ in range(2):
                with pytest.raises(hc.StoreLockedError, match="has held the lock"):
                    await runtime.flush()
        await runtime.flush()
        assert (runtime.log.lost, runtime.log.error, runtime.log.statistics.written) == (0, None, 5)


@pytest.fixture
def long_rest(monkeypatch):
    """A rest between small commits that no test would see the end of."""
    monkeypatch.setattr(log_writer, "_REST_S", 600)


async def test_few_events_wait_a_moment_for_more(make_logged, long_rest, monkeypatch):
    """After a small commit the next one rests; who flushes waits for no rest, and neither does who closes."""
    runtime, begun = make_logged(), []
    turn = hc.LLMTurnComplete(session_id="s", model="m", usage=hc.Usage(1, 1))

    async def publish(*ids):
        for event_id in ids:
            await runtime.bus.publish(replace(turn, event_id=event_id))
            await anyio.wait_all_tasks_blocked()

    with anyio.fail_after(60):
        async with runtime:
            write = runtime.log._store.write

            async def counted(events):
                begun.append(len(events))
                return await write(events)

            monkeypatch.setattr(runtime.log._store, "write", counted)
            await publish("first")
            await runtime.flush()
            await publish("a", "b", "c")
            assert begun == [1]
            await runtime.flush()
            assert sum(begun) == 4
            await publish("last")
            assert sum(begun) == 4
        with open_log(runtime.base_path).snapshot() as log:
            assert len(log.turns().rows) == 5


async def test_many_events_wait_for_nothing(make_logged, long_rest):
    """A commit of many events follows at once on the one before."""
    runtime = make_logged()
    turn = hc.LLMTurnComplete(session_id="s", model="m", usage=hc.Usage(1, 1))
    with anyio.fail_after(60):
        async with runtime:
            await runtime.bus.publish(turn)
            await runtime.flush()
            for number in range(200):
                await runtime.bus.publish(replace(turn, event_id=f"e{number}"))
            await runtime.bus.drain()
            assert runtime.log.statistics.written == 201
