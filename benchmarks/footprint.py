"""What a runtime takes of a process: memory idle, with 10,000 executions and after long use, and threads."""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from benchmarks.suite import in_process

Result = tuple[str, float, float, bool]
Measure = Callable[[str], Coroutine[Any, Any, tuple[float, ...]]]

EXECUTIONS = 10_000
#: What each may take at most.
IDLE_MB, TOKENIZER_MB, EXECUTION_BYTES, THREADS, THREADS_AFTER = 40.0, 120.0, 20_000.0, 2.0, 0.0
#: What long use may add to what as much use has taken before.
GROWTH_MB = 4.0
USERS, DAYS = 1_000, 10
SESSIONS = 15_000
FAILURES = 400


def results() -> list[Result]:
    """(name, budget, figure, whether it is kept), each measured in a process of its own."""
    idle_mb, threads, threads_after = _measured(_idle_without_tokenizer)
    with_tokenizer_mb, *_ = _measured(_idle)
    execution_bytes, _ = _measured(_crowded)
    days_mb, _ = _measured(_days)
    sessions_mb, _ = _measured(_sessions)
    failures_mb, _ = _measured(_failures)
    return [
        _kept("MB of RSS that an open runtime with a log and budgets adds to Python with asyncio", IDLE_MB, idle_mb),
        _kept("MB of RSS that the same adds with the extra `tokens`", TOKENIZER_MB, with_tokenizer_mb),
        _kept("threads that an open runtime with a log and budgets keeps, beside the main one", THREADS, threads),
        _kept("threads that are left when it is closed and its loop has ended", THREADS_AFTER, threads_after),
        _kept(
            f"bytes of RSS for each of {EXECUTIONS:,} executions that wait in a turn", EXECUTION_BYTES, execution_bytes
        ),
        _kept(
            f"MB of RSS that {DAYS} more days of {USERS:,} users with a hard budget each add, over as many before",
            GROWTH_MB,
            days_mb,
        ),
        _kept(
            f"MB of RSS that {SESSIONS:,} more sessions with a budget each add, over as many before",
            GROWTH_MB,
            sessions_mb,
        ),
        _kept(
            f"MB of RSS that {FAILURES:,} more executions that fail with 100 kB in hand add, over as many before",
            GROWTH_MB,
            failures_mb,
        ),
    ]


def _kept(name: str, budget: float, figure: float) -> Result:
    return name, budget, figure, figure <= budget


def _measured(measure: Measure) -> tuple[float, ...]:
    """What a new process measures of itself; raises what it raises."""
    return in_process(_figures, measure)


def _figures(measure: Measure) -> tuple[float, ...]:
    threads_before = threading.active_count()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(folder))
    return (*figures, threading.active_count() - threads_before)


def _rss_bytes() -> int:
    """Of this process now; Linux only, as are the budgets."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmRSS")


async def _idle_without_tokenizer(folder: str) -> tuple[float, ...]:
    """The same where the extra `tokens` is not installed."""
    sys.modules["bpe_openai"] = None  # type: ignore[assignment]  # how Python says that there is no such module
    return await _idle(folder)


async def _idle(folder: str) -> tuple[float, ...]:
    """(MB, threads while open); the imports are part of the MB."""
    bare_bytes, bare_threads = _rss_bytes(), threading.active_count()
    import hivecost as hc  # noqa: PLC0415  # measured

    budgets = [
        hc.Budget("run", "$1", window="execution", mode="hard"),
        hc.Budget("day", "$9", window="day", mode="stop_after"),
    ]
    async with hc.AgentRuntime(folder, budgets=budgets) as runtime:
        await runtime.bus.publish(hc.LLMTurnComplete(model="gpt-4o", provider="openai", usage=hc.Usage(1_200, 300)))
        await runtime.flush()
        idle_mb = (_rss_bytes() - bare_bytes) / 2**20
        threads = threading.active_count() - bare_threads
    return idle_mb, threads


async def _crowded(folder: str) -> tuple[float, ...]:
    import hivecost as hc  # noqa: PLC0415  # as above

    budgets = [
        hc.Budget("run", "$1", window="execution", mode="hard"),
        hc.Budget("day", "$99999", window="day", mode="stop_after"),
    ]
    runtime = hc.AgentRuntime(folder, budgets=budgets)
    all_wait, go, waiting = asyncio.Event(), asyncio.Event(), 0

    @runtime.entry_point("agent")
    async def agent(ctx: hc.Execution, _: Any) -> None:
        nonlocal waiting
        async with ctx.turn("gpt-4o", input_tokens=1_200, max_tokens=800, provider="openai") as turn:
            waiting += 1
            if waiting == EXECUTIONS:
                all_wait.set()
            await go.wait()
            turn.settle(hc.Usage(1_200, 300))

    async with runtime:
        before_bytes = _rss_bytes()
        for _number in range(EXECUTIONS):
            await runtime.trigger("agent")
        await all_wait.wait()
        await runtime.flush()
        each_bytes = (_rss_bytes() - before_bytes) / EXECUTIONS
        go.set()
    return (each_bytes,)


async def _growth_mb(use: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """What it adds the second time."""
    await use()
    gc.collect()
    before_bytes = _rss_bytes()
    await use()
    gc.collect()
    return (_rss_bytes() - before_bytes) / 2**20


class _Calendar:
    """Any day, at noon; what is waited for takes its time."""

    def __init__(self) -> None:
        self.day = 20_000

    def now_ns(self) -> int:
        return (self.day * 86_400 + 43_200) * 10**9

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _days(folder: str) -> tuple[float, ...]:
    import hivecost as hc  # noqa: PLC0415  # as above

    clock = _Calendar()
    budgets = [hc.Budget("user day", "$1", window="day", per="user", mode="hard")]
    async with hc.Ledger.open(folder, budgets=budgets, clock=clock) as ledger:

        async def spend(user: str) -> None:
            (await ledger.reserve({"user": user}, nanousd=1_000)).settle(nanousd=700)

        async def some_days() -> None:
            for _ in range(DAYS):
                clock.day += 1
                await asyncio.gather(*(spend(f"user {number}") for number in range(USERS)))
                await ledger.status()

        return (await _growth_mb(some_days),)


async def _sessions(folder: str) -> tuple[float, ...]:
    import hivecost as hc  # noqa: PLC0415  # as above

    budgets = [hc.Budget("session", "$1", window="session", mode="stop_after")]
    async with hc.AgentRuntime(folder, budgets=budgets) as runtime:

        async def some_sessions() -> None:
            for number in range(SESSIONS):
                session_id = hc.new_session_id(runtime.clock.now_ns())
                turn = hc.LLMTurnComplete(model="gpt-4o", session_id=session_id, usage=hc.Usage(1_200, 300))
                await runtime.bus.publish(turn)
                if number % 100 == 0:
                    await runtime.flush()
            await runtime.flush()
            await asyncio.sleep(3)  # the watcher looks every two seconds into the log, and lets go of what it finds

        return (await _growth_mb(some_sessions),)


async def _failures(folder: str) -> tuple[float, ...]:
    import hivecost as hc  # noqa: PLC0415  # as above

    runtime = hc.AgentRuntime(folder)

    @runtime.entry_point("agent")
    async def agent(ctx: hc.Execution, _: Any) -> None:
        conversation = bytearray(100_000)
        raise ValueError(len(conversation))

    async with runtime:

        async def some_failures() -> None:
            for number in range(FAILURES):
                await runtime.trigger_and_wait("agent")
                if number % 100 == 0:
                    gc.collect()
            await runtime.flush()

        return (await _growth_mb(some_failures),)


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:8.2f} (goal {goal:g})  {name}")
