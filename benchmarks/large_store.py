"""Reading a store of 1,000,000 turns, over reading one of 10,000: what is asked for does not grow with the log.

HIVECOST_BENCH_TURNS=10000000 makes the large one ten times larger: some minutes, and 5 GB of disk.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.figure import ratio_of
from hivecost.backends import RuntimeLogStore, SessionStore, SpendStore, read_log
from hivecost.backends.sqlite import Store, database_path
from hivecost.backends.sqlite.log.lifecycles import count_executions
from hivecost.backends.sqlite.log.rollups import fold_turns
from hivecost.log.spending import spending_since
from hivecost.reports import load_session_report

Result = tuple[str, float, float, bool]
Read = Callable[[str], Awaitable[object]]

ROUNDS = 25
SMALL, LARGE = 10_000, int(os.environ.get("HIVECOST_BENCH_TURNS", "1_000_000"))
TURNS_OF_A_SESSION = 20
#: Between two turns, from the first to END_NS; each store holds the same last day.
STEP_NS, END_NS = 10 * 10**9, 1_795_000_000_000_000_000
#: Rows of a transaction while a store is made.
CHUNK = 50_000
BYTES_PER_TURN_MAX = 600


def results() -> list[Result]:
    """(name, goal, figure, whether the goal is met); figures are medians of one run."""
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
        for folder, turns in ((small, SMALL), (large, LARGE)):
            asyncio.run(_make(folder, turns))
        rows = [asyncio.run(_compared(name, read, small, large)) for name, read in READS.items()]
        bytes_per_turn = database_path(Path(large)).stat().st_size / LARGE
    size = ("bytes in the file per turn, indexes and sums included", float(BYTES_PER_TURN_MAX), bytes_per_turn)
    return [*rows, (*size, bytes_per_turn <= BYTES_PER_TURN_MAX)]


async def _report(folder: str) -> object:
    return await load_session_report(folder)


async def _sessions(folder: str) -> object:
    return await SessionStore(folder).list_sessions(limit=20)


async def _details(folder: str) -> object:
    return await RuntimeLogStore(folder).load_details(_session_in_the_middle(SMALL))


async def _spend(folder: str) -> object:
    return await SpendStore(folder).totals(by=("hour", "model"), since="2026-11-17T08:00+00:00")


async def _recover(folder: str) -> object:
    return await read_log(folder, lambda log: list(spending_since(log, END_NS - 3600 * 10**9)))


async def _open(folder: str) -> object:
    async with Store(folder) as store:
        return store


READS: dict[str, Read] = {
    "hivecost report": _report,
    "hivecost sessions": _sessions,
    "one session with its steps": _details,
    "spending of a day by hour and model": _spend,
    "an hour's spending as a starting budget reads it": _recover,
    "opening and closing the store": _open,
}


async def _compared(name: str, read: Read, small: str, large: str) -> Result:
    small_s, large_s = [], []
    for _ in range(ROUNDS):  # by turns, so that both see the same machine
        small_s.append(await _seconds(read, small))
        large_s.append(await _seconds(read, large))
    ratio = ratio_of(large_s, small_s)
    return f"{name}, {1_000 * median(large_s):.1f} ms: from {LARGE:,} turns over {SMALL:,}", 1.5, ratio, ratio <= 1.5


async def _seconds(read: Read, folder: str) -> float:
    started_s = perf_counter()
    await read(folder)
    return perf_counter() - started_s


def _session_in_the_middle(turns: int) -> str:
    return f"session-{turns // TURNS_OF_A_SESSION // 2}"


async def _make(folder: str, turns: int) -> None:
    """A store as the log writer makes it, but for the speed: sums are folded by the same statements."""
    async with Store(folder):
        pass
    connection = sqlite3.connect(database_path(Path(folder)), isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    for start in range(0, turns, CHUNK):
        place = {"first": start, "end": min(start + CHUNK, turns), "start_ns": END_NS - turns * STEP_NS}
        connection.execute("BEGIN IMMEDIATE")
        (last_execution,) = connection.execute("SELECT coalesce(max(id), 0) FROM executions").fetchone()
        connection.execute(_INSERT, place)
        fold_turns(connection, start)
        count_executions(connection, last_execution)
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


_INSERT = f"""
    WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :end)
    INSERT INTO turns (
        event_id, timestamp_ns, session_id, execution_id, node_id, agent_id, user_id, org_id, task_id, tags, model,
        provider, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
        reasoning_tokens, input_audio_tokens, output_audio_tokens, cache_audio_read_tokens, input_image_tokens,
        output_image_tokens, tool_use_prompt_tokens, web_search_requests, cost_status, cost_nanousd, source, rate,
        snapshot, reason, input_nanousd, output_nanousd, latency_ms, stop_reason, service_tier)
    SELECT printf('b5cbdaa46cb99c0b-%x', n), :start_ns + n * {STEP_NS}, 'session-' || (n / {TURNS_OF_A_SESSION}),
           printf('exec_%016x', n / {TURNS_OF_A_SESSION // 2}),
           CASE n % 3 WHEN 0 THEN 'plan' WHEN 1 THEN 'search' ELSE 'answer' END,
           'agent-' || (n / {TURNS_OF_A_SESSION} % 5), 'user-' || (n / {TURNS_OF_A_SESSION} % 20), 'acme', '', '{{}}',
           CASE n / 10 % 2 WHEN 0 THEN 'gpt-4o' ELSE 'claude-sonnet-4-5' END,
           CASE n / 10 % 2 WHEN 0 THEN 'openai' ELSE 'anthropic' END,
           1000 + n % 977, 100 + n % 97, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'priced', 3000000 + n % 9973, 'genai-prices',
           'input=2.5 output=10 cache_read=1.25', 'genai-prices-0.2.3-1a2b3c4d', '', 2000000, 1000000 + n % 9973,
           850, 'stop', ''
    FROM numbers"""


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:6.2f} (goal {goal:g})  {name}")
