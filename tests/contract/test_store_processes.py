"""S1, S4 and S6: what the store promises to other processes, and to its own at the end."""

from __future__ import annotations

import subprocess
import sys

import pytest

WRITER = """
import asyncio, sys
from hivecost.events import ExecutionCompleted, ExecutionStarted, LLMTurnComplete, Usage
from hivecost.backends.sqlite import Store, delete_session
from pathlib import Path
base_path, name = sys.argv[1:]
def batch(number):
    own, shared = f"{name}-{number}", f"shared-{number}"
    session, execution = f"s{number % 5}", f"e{number % 7}"
    return [
        ExecutionStarted(event_id=own, session_id=session, execution_id=execution),
        *(
            LLMTurnComplete(event_id=event_id, session_id=session, execution_id=execution, usage=Usage(number, 1))
            for event_id in (own, shared)
        ),
        ExecutionCompleted(event_id=shared, session_id=session, execution_id=execution),
    ]
async def main():
    async with Store(base_path) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(150):
            await store.write(batch(number))
            if number == 75:
                await delete_session(Path(base_path), f"gone-{name}")
        print(store.statistics().lost, store.statistics().written)
asyncio.run(main())
"""


def start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_write_one_store(tmp_path, oracle, processes):
    """S4: all at once, with events that each of them sends: none is lost, none doubled, every sum is true."""
    writers = [start(WRITER, tmp_path, name) for name in range(processes)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    answers = [writer.communicate(timeout=60) for writer in writers]
    assert [stderr for _, stderr in answers] == [""] * processes
    counts = [tuple(map(int, stdout.split())) for stdout, _ in answers]
    assert [lost for lost, _ in counts] == [0] * processes
    path = tmp_path / "hivecost.db"
    expected = [f"shared-{number}" for number in range(150)]
    expected += [f"{name}-{number}" for name in range(processes) for number in range(150)]
    assert oracle.problems(path, expected) == []
    (rows,) = oracle.rows(path, "SELECT (SELECT count(*) FROM turns) + (SELECT count(*) FROM events) AS n")
    assert rows["n"] == sum(written for _, written in counts) == 2 * len(expected)


def test_a_commit_is_seen_by_other_processes_at_once(tmp_path, oracle):
    """S1: when flush returns, another process reads the event."""
    script = """
import asyncio, sys
from hivecost.events import LLMTurnComplete
from hivecost.backends.sqlite import Store
async def main():
    async with Store(sys.argv[1]) as store:
        store.record_nowait(LLMTurnComplete(event_id="mine"))
        await store.flush()
        print("flushed", flush=True)
        sys.stdin.readline()
asyncio.run(main())
"""
    writer = start(script, tmp_path)
    assert writer.stdout.readline() == "flushed\n"
    assert oracle.rows(tmp_path / "hivecost.db", "SELECT event_id FROM turns") == [{"event_id": "mine"}]
    writer.communicate("end\n", timeout=30)


EXITING = {
    "session store": "print(await SessionStore(base_path).list_sessions())",
    "writing without async with": "await Store(base_path).write([LLMTurnComplete()])",
    "recording without flush": "Store(base_path).record_nowait(LLMTurnComplete())",
    "opened and never closed": "kept = Store(base_path); await kept.__aenter__()\n"
    "    await kept.write([LLMTurnComplete()])",
    "cancelled while reading": "asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)\n"
    "    await SessionStore(base_path).list_sessions()",
    "waiting for a lock": "holding = exclusive(Path(base_path)); holding.__enter__()\n"
    "    with anyio.move_on_after(0.05): await Store(base_path).write([LLMTurnComplete()])",
    "closed while another holds the lock": "kept = Store(base_path, close_timeout_s=0.05); await kept.__aenter__()\n"
    "    holding = exclusive(Path(base_path)); holding.__enter__()\n"
    "    kept.record_nowait(LLMTurnComplete()); await kept.__aexit__(None, None, None)",
}


@pytest.mark.parametrize("code", EXITING.values(), ids=EXITING)
def test_the_process_exits_by_itself(tmp_path, code):
    """S6: whatever was left open or undone."""
    script = f"""
import asyncio, sys
from pathlib import Path
import anyio
from hivecost.events import LLMTurnComplete
from hivecost.backends import SessionStore
from hivecost.backends.sqlite import Store
from hivecost.backends.sqlite.os_lock import exclusive
base_path = sys.argv[1]
async def main():
    {code}
try:
    asyncio.run(main())
except asyncio.CancelledError:
    pass
print("done", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.endswith("done\n")
    assert done.returncode == 0
    assert done.stderr == ""


SWAPPER = """
import sys
from hivecost.backends import open_backend
state = open_backend(sys.argv[1]).state()
print("ready", flush=True)
sys.stdin.readline()
print(*(number for number in range(30) if state.swap("import_keys", f"{number}", None, b"mine")))
"""


def test_of_all_processes_that_swap_a_value_one_does(tmp_path):
    """S1: each key is won once, and by nobody a second time."""
    processes = [start(SWAPPER, tmp_path) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    won = [number for process in processes for number in process.communicate(timeout=60)[0].split()]
    assert sorted(map(int, won)) == list(range(30))
