"""A forked child gets nothing of its parent's runtime, is told so at once, and harms nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PROGRAM = Path(__file__).with_name("forking_agents.py")
BACKENDS = "asyncio", "trio"


def run(base_path: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(base_path), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("where", ["thread", "loop", "block"])
def test_a_child_is_refused_with_the_reason(base_path, backend, where):
    """Turns, publishing, waiting, triggering, cancelling and the store: none hangs, and none is lost in silence."""
    *child, parent = run(base_path, backend, where, "refused")
    assert {line.partition(" refused")[0] for line in child if line.endswith(" refused")} == {
        *("sync turn", "async turn", "publish", "publish_nowait", "subscribe", "drain", "wait_for"),
        *("trigger", "trigger_and_wait", "wait", "cancel", "cancel_nowait", "flush", "status", "enter"),
        *("store.write", "store.record", "store.record_nowait", "store.flush", "store.enter"),
    }
    assert len(child) == 20
    assert parent == "parent 0 completed 2 True"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("where", ["thread", "loop", "block"])
def test_a_child_ends_as_it_wants_to(base_path, backend, where):
    """Its exit code is its own; the parent goes on and keeps every turn."""
    ways = "process", "_exit", "exit", "text"
    assert run(base_path, backend, where, *ways) == ["parent 3 3 3 1 completed 2 True"]


@pytest.mark.parametrize("where", ["thread", "loop"])
def test_a_child_ends_where_the_agent_does(base_path, where):
    """Nobody is there to return to."""
    assert run(base_path, "asyncio", where, "return", "raise") == ["parent 0 1 completed 2 True"]


def test_what_was_not_open_is_the_childs_to_open(base_path):
    """As a server does that forks its workers after it has made everything: a runtime, a bus, a store and a ledger."""
    script = """
import os, sys, warnings
import anyio
import hivecost as hc
from hivecost.events import CustomEvent
sys.modules["bpe_openai"] = None  # as without the extra `tokens`: importing it takes longer than all else here
warnings.simplefilter("ignore")
budgets = [hc.Budget("b", limit="$1", window="day", mode="hard")]
runtime, bus, store = hc.AgentRuntime(sys.argv[1], budgets=budgets), hc.EventBus(), hc.Store(sys.argv[1])
ledger = hc.Ledger.open(sys.argv[1])
@runtime.entry_point("a")
def agent(ctx, _):
    with ctx.turn("gpt-4o", input_tokens=1, max_tokens=1) as turn:
        turn.settle(hc.Usage(1, 1))
async def work():
    seen = []
    bus.subscribe(handler=seen.append)
    async with bus:
        await bus.publish(CustomEvent(name="x"))
        await bus.drain()
    async with store, ledger, runtime:
        assert await store.write([CustomEvent(name="x")]) == 1
        result = await runtime.trigger_and_wait("a")
    assert (len(seen), result.status) == (1, "completed"), (seen, result)
anyio.run(store.write, [CustomEvent(name="before")])
for _ in range(2):
    if os.fork() == 0:
        anyio.run(work)
        sys.exit(5)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 5
anyio.run(work)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(base_path)], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_locks_that_threads_hold_at_the_fork_are_no_ones_in_the_child(base_path):
    """Children of a process whose threads publish, count and price all the time end, whenever they were forked."""
    script = """
import os, sys, threading, time, warnings
import anyio
import hivecost as hc
from hivecost.events import LLMTurnComplete
warnings.simplefilter("ignore")
runtime = hc.AgentRuntime(sys.argv[1], config={"log": False})
stop = threading.Event()
def busy():
    number = 0
    while not stop.is_set():
        number += 1
        runtime.bus.publish_nowait(LLMTurnComplete(model=f"gpt-4o-{number}", usage=hc.Usage(1, 1)))
        runtime.usage.total
        runtime.prices.price(f"unknown {number}", hc.Usage(1, 1))
def child():
    runtime.usage.total
    runtime.usage.add([LLMTurnComplete(model="gpt-4o", usage=hc.Usage(1, 1))])
    runtime.prices.price(f"unknown to the parent {os.getpid()}", hc.Usage(1, 1))
    try:
        runtime.bus.publish_nowait(LLMTurnComplete())
    except hc.BusClosedError:
        os._exit(7)
async def main():
    async with runtime:
        threads = [threading.Thread(target=busy) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                child()
            deadline = time.monotonic() + 5
            while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
                time.sleep(0.01)
            if ended == (0, 0):
                os.kill(pid, 9)
            print(os.waitstatus_to_exitcode(ended[1]) if ended[0] else "hangs")
        stop.set()
anyio.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(base_path)], check=False, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["7"] * 10
