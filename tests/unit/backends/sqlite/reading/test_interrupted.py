"""Runs whose process is gone read as interrupted; nothing is written for it, and nobody is accused without proof."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hivecost.backends import RuntimeLogStore, SessionStore
from hivecost.backends.sqlite import liveness, living
from hivecost.events import ExecutionCompleted, ExecutionStarted, LLMTurnComplete

pytestmark = pytest.mark.anyio

GONE = "0123456789abcdef"


def started(session_id="s", execution_id="e", runtime_id=GONE, **fields):
    return ExecutionStarted(session_id=session_id, execution_id=execution_id, runtime_id=runtime_id, **fields)


async def statuses(base_path) -> tuple[str, list[str]]:
    """Of the session and of its runs, oldest first."""
    state = await SessionStore(base_path).read_state("s")
    (listed,) = await SessionStore(base_path).list_sessions()
    assert listed == state
    assert (await SessionStore(base_path).list_sessions(status=state.status)) == [state]
    runs = await RuntimeLogStore(base_path).list_runs(session_id="s")
    for run in runs:
        assert run in await RuntimeLogStore(base_path).list_runs(status=run.status)
    return state.status, [run.status for run in reversed(runs)]


@pytest.fixture
def runtimes(tmp_path):
    """A folder in which a runtime ran once."""
    (tmp_path / "runtimes").mkdir()
    return tmp_path / "runtimes"


async def test_a_run_is_running_while_its_process_lives(tmp_path, write):
    """And interrupted as soon as that is gone, in sessions and in runs, and in what they are filtered by."""
    async with living(tmp_path) as runtime_id:
        await write(started(runtime_id=runtime_id), LLMTurnComplete(session_id="s", execution_id="e"))
        assert await statuses(tmp_path) == ("running", ["running"])
        assert await SessionStore(tmp_path).list_sessions(status="interrupted") == []
    assert await statuses(tmp_path) == ("interrupted", ["interrupted"])
    assert await SessionStore(tmp_path).list_sessions(status="running") == []
    assert (await SessionStore(tmp_path).read_state("s")).timestamps.ended_at is None


async def test_a_session_is_what_its_last_run_is(tmp_path, write, runtimes):
    """Resumed by another process, it runs; then it is how that one ended, not how the one before was interrupted."""
    await write(started(execution_id="a", timestamp_ns=1))
    assert await statuses(tmp_path) == ("interrupted", ["interrupted"])
    async with living(tmp_path) as runtime_id:
        await write(started(execution_id="b", timestamp_ns=2, runtime_id=runtime_id))
        assert await statuses(tmp_path) == ("running", ["interrupted", "running"])
        await write(ExecutionCompleted(session_id="s", execution_id="b", timestamp_ns=3))
        assert await statuses(tmp_path) == ("completed", ["interrupted", "completed"])
        assert (await SessionStore(tmp_path).read_state("s")).timestamps.ended_at is not None
    await write(started(execution_id="c", timestamp_ns=4))
    assert await statuses(tmp_path) == ("interrupted", ["interrupted", "completed", "interrupted"])


@pytest.mark.parametrize("runtime_id", ["", "x", "../hivecost", "0123456789ABCDEF", f"{GONE}\n", f"{GONE}.lock/.."])
async def test_what_nobody_can_tell_stays_running(tmp_path, write, runtimes, runtime_id):
    """Runs that name no runtime, as those of 0.1.0, and those that name what none is called."""
    await write(started(runtime_id=runtime_id))
    assert await statuses(tmp_path) == ("running", ["running"])


async def test_a_copy_of_the_log_alone_accuses_nobody(tmp_path, write):
    """What it says may run still, elsewhere."""
    await write(started())
    assert await statuses(tmp_path) == ("running", ["running"])


async def test_an_ended_run_stays_as_it_ended(tmp_path, write, runtimes):
    """Whatever became of its process."""
    await write(started(), ExecutionCompleted(session_id="s", execution_id="e", status="failed"))
    assert await statuses(tmp_path) == ("failed", ["failed"])


async def test_reading_writes_nothing(tmp_path, write, runtimes, monkeypatch):
    """Neither a file, nor into one; a lock is asked for with a right to read alone."""
    await write(started())
    (runtimes / f"{GONE}.lock").touch()
    opened, real = [], os.open

    def watched(path, flags, *more, **named):
        opened.append((str(path), flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", watched)
    assert await statuses(tmp_path) == ("interrupted", ["interrupted"])
    locks = [flags for path, flags in opened if path.endswith(".lock")]
    assert locks
    assert not any(locks)
    assert (runtimes / f"{GONE}.lock").stat().st_size == 0


async def test_who_starts_clears_away_what_is_free(tmp_path, runtimes):
    """And leaves alone what others hold."""
    (runtimes / f"{GONE}.lock").touch()
    async with living(tmp_path) as one, living(tmp_path) as other:
        assert {path.stem for path in runtimes.iterdir()} == {one, other}
    assert list(runtimes.iterdir()) == []


async def test_where_no_lock_can_be_made_nobody_can_tell(tmp_path):
    """The runtime runs all the same."""
    (tmp_path / "runtimes").write_text("in the way")
    async with living(tmp_path) as runtime_id:
        assert runtime_id == ""


async def test_a_run_that_ends_while_it_is_read_was_never_interrupted(tmp_path, write, monkeypatch):
    """Who lives is asked before the log is read: it ends between the two, and its end is seen or it runs."""
    lock = living(tmp_path)
    runtime_id = await lock.__aenter__()
    await write(started(runtime_id=runtime_id))
    real = liveness.is_locked
    asked = []

    def is_held(path):
        asked.append(path)
        return real(path) if len(asked) == 1 else False  # it has ended since

    monkeypatch.setattr(liveness, "is_locked", is_held)
    assert (await SessionStore(tmp_path).read_state("s")).status == "running"
    await lock.__aexit__(None, None, None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_killed_runtime_is_interrupted_though_its_child_lives(tmp_path):
    """By SIGKILL, in the middle of a turn; a forked child that goes on does not keep it alive."""
    script = """
import os, sys, time, warnings
import anyio
import hivecost as hc
warnings.simplefilter("ignore")
runtime = hc.AgentRuntime(sys.argv[1])
@runtime.entry_point("a")
async def agent(ctx, _):
    async with ctx.turn("gpt-4o") as turn:
        turn.settle(hc.Usage(1, 1))
    await runtime.flush()
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print((await hc.SessionStore(sys.argv[1]).read_state("s")).status, flush=True)
    os.kill(os.getpid(), 9)
async def main():
    async with runtime:
        await runtime.trigger_and_wait("a", session_id="s")
anyio.run(main)
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], **pipes) as process:
        assert process.stdout.readline() == "running\n"
        assert process.wait(30) == -9
        assert await statuses(tmp_path) == ("interrupted", ["interrupted"])
        process.stdin.close()
