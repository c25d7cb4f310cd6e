"""Sums of 90 days with 1,000,000 turns, over those of the same days with 10,000: reports do not grow with the log.

60 users, 8 agents and 6 models vary independently, as do 4 features and 4 tasks; every hour that is over is summed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from datetime import datetime, time, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from zoneinfo import ZoneInfo

from benchmarks.figure import ratio_of
from benchmarks.store import turn
from hivecost.backends import open_log
from hivecost.backends.sqlite import Store, database_path
from hivecost.backends.sqlite.log.appender import Appender
from hivecost.backends.sqlite.log.rollups import fold_turns
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.backends.sqlite.log.summing.upkeep import Upkeep
from hivecost.clock import to_datetime, to_ns
from hivecost.ledger import Budget
from hivecost.log import EVERYTHING, Filter, Window

Result = tuple[str, float, float, bool]

ROUNDS = 15
WRITER_ROUNDS, WRITTEN = 5, 40_000
SMALL, LARGE = 10_000, int(os.environ.get("HIVECOST_BENCH_TURNS", "1_000_000"))
DAYS = 90
DAY_NS = 86_400 * 10**9
END_NS = 1_795_000_000_000_000_000 // DAY_NS * DAY_NS + 15 * 3600 * 10**9 + 20 * 60 * 10**9
START_NS = END_NS - DAYS * DAY_NS
#: Rows of a transaction while a store is made.
CHUNK = 50_000

#: (dimensions, zone, filter, days) → the goal.
QUESTIONS: list[tuple[tuple[str, ...], str, Filter, int, float]] = [
    (("day",), "UTC", EVERYTHING, DAYS, 1.5),
    (("day", "model"), "UTC", EVERYTHING, DAYS, 1.5),
    (("day", "user"), "UTC", EVERYTHING, DAYS, 1.5),
    (("week", "agent"), "Europe/Berlin", EVERYTHING, DAYS, 1.5),
    (("month", "user"), "America/New_York", EVERYTHING, DAYS, 1.5),
    (("day", "model"), "Europe/Berlin", EVERYTHING, DAYS, 1.5),
    (("day", "user"), "Europe/Berlin", EVERYTHING, DAYS, 1.5),
    (("day", "agent"), "Asia/Kathmandu", EVERYTHING, DAYS, 1.5),
    (("day", "task"), "UTC", EVERYTHING, 30, 1.5),
    (("day", "tag:feature"), "UTC", EVERYTHING, 30, 1.5),
    (("hour", "model"), "UTC", EVERYTHING, 1, 1.5),
    (("node",), "UTC", EVERYTHING, DAYS, 1.5),
    (("user",), "UTC", EVERYTHING, DAYS, 1.5),
    (("user", "model"), "UTC", EVERYTHING, DAYS, 5),
    (("day", "agent", "model"), "UTC", EVERYTHING, DAYS, 5),
    (("day", "model"), "UTC", Filter(user="user-7"), DAYS, 5),
    (("day",), "UTC", Filter(agent="agent-3"), DAYS, 5),
    (("day",), "Europe/Berlin", Filter(agent="agent-3"), DAYS, 5),
]


def results() -> list[Result]:
    """(name, goal, figure, whether the goal is met); figures are medians of one run."""
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
        make(small, SMALL)
        writer = _writer(small)
        make(large, LARGE)
        for folder in (small, large):
            summed(folder)
        return [writer, *(_compared(*question, small, large) for question in QUESTIONS)]


def _compared(
    dimensions: tuple[str, ...], zone: str, only: Filter, days: int, goal: float, small: str, large: str
) -> Result:
    small_s, large_s = [], []
    midnight = datetime.combine(to_datetime(END_NS - days * DAY_NS).date(), time(), ZoneInfo(zone))
    window = Window(to_ns(midnight + timedelta(days=1)), END_NS)
    for _ in range(ROUNDS):  # by turns, so that both see the same machine
        for folder, took_s in ((small, small_s), (large, large_s)):
            started_s = perf_counter()
            open_log(folder).sums(dimensions, window, zone, only)
            took_s.append(perf_counter() - started_s)
    ratio = ratio_of(large_s, small_s)
    asked = f"by {', '.join(dimensions)}{'' if only == EVERYTHING else ', filtered'} in {days} days of {zone}"
    return f"{asked}, {1_000 * median(large_s):.1f} ms: from {LARGE:,} turns over {SMALL:,}", goal, ratio, ratio <= goal


def make(folder: str, turns: int) -> None:
    """Make a store as the log writer does, but for the speed; nothing is summed yet."""
    asyncio.run(_make_tables(folder))
    connection = sqlite3.connect(database_path(Path(folder)), isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    for start in range(0, turns, CHUNK):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            _INSERT,
            {"first": start, "end": min(start + CHUNK, turns), "start_ns": START_NS, "step_ns": DAYS * DAY_NS // turns},
        )
        fold_turns(connection, start)
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


def _writer(folder: str) -> Result:
    """The durable writer beside 2,160 hours that are to be summed, of itself while nobody sums them."""
    real, alone_s, beside_s = Appender.keep_sums, [], []
    try:
        for _ in range(WRITER_ROUNDS):
            Appender.keep_sums = _nothing  # type: ignore[method-assign]  # nobody sums
            alone_s.append(asyncio.run(_seconds_to_write(folder)))
            Appender.keep_sums = real  # type: ignore[method-assign]
            beside_s.append(asyncio.run(_seconds_to_write(folder)))
    finally:
        Appender.keep_sums = real  # type: ignore[method-assign]
    ratio = ratio_of(alone_s, beside_s)
    name = f"durable, batches of 1,000: {WRITTEN / median(beside_s):,.0f} turns/s while hours are summed, of without"
    return name, 0.95, ratio, ratio >= 0.95


async def _nothing(_: Appender) -> None:
    """Sum nothing."""


async def _seconds_to_write(folder: str) -> float:
    turns = [turn(number) for number in range(WRITTEN)]
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        async with Store(copy) as store:
            started_s = perf_counter()
            for start in range(0, len(turns), 1_000):
                await store.write(turns[start : start + 1_000])
            return perf_counter() - started_s


def summed(folder: str) -> tuple[int, float, float]:
    """Sum what is over, as in Berlin; return how many slices that took, and the longest read and commit in seconds."""
    upkeep, log = Upkeep(Path(folder), zone=ZoneInfo("Europe/Berlin")), RuntimeLog(Path(folder))
    slices, read_s, commit_s = 0, 0.0, 0.0
    while True:
        started_s = perf_counter()
        read = upkeep.read(END_NS)
        read_s = max(read_s, perf_counter() - started_s)
        if read.is_last:
            log.close()
            return slices, read_s, commit_s
        started_s = perf_counter()
        if read.commit is not None:
            log.commit(read.commit)
        commit_s = max(commit_s, perf_counter() - started_s)
        slices += 1


async def _make_tables(folder: str) -> None:
    """Make a store with a budget of Kathmandu, whose days are summed too."""
    async with Store(folder) as store:
        await store.define([Budget("day", "$500", window="day", timezone="Asia/Kathmandu")], END_NS)


#: What looks like chance is a hash of a turn's number, another one for each of its values.
_INSERT = """
    WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :end),
    hashed AS (SELECT n, n * 2654435761 % 4294967296 AS h FROM numbers),
    drawn AS (SELECT n, (h >> 3) * 69621 % 2147483647 AS model, (h >> 5) * 48271 % 2147483647 AS user,
            (h >> 7) * 39373 % 2147483647 AS agent, (h >> 4) * 16807 % 2147483647 AS feature,
            (h >> 6) * 62089911 % 2147483647 AS task
        FROM hashed)
    INSERT INTO turns (
        event_id, timestamp_ns, session_id, execution_id, node_id, agent_id, user_id, org_id, task_id, tags, model,
        provider, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
        reasoning_tokens, input_audio_tokens, output_audio_tokens, cache_audio_read_tokens, input_image_tokens,
        output_image_tokens, tool_use_prompt_tokens, web_search_requests, cost_status, cost_nanousd, source, rate,
        snapshot, reason, input_nanousd, output_nanousd, latency_ms, stop_reason, service_tier)
    SELECT printf('b5cbdaa46cb99c0b-%x', n), :start_ns + n * :step_ns, 'session-' || (n / 20),
           printf('exec_%016x', n / 10),
           CASE n % 3 WHEN 0 THEN 'plan' WHEN 1 THEN 'search' ELSE 'answer' END,
           'agent-' || (agent % 8), 'user-' || (user % 60), 'acme', 'task-' || (task % 4),
           '{"feature":"feature-' || (feature % 4) || '"}', 'model-' || (model % 6),
           CASE model % 2 WHEN 0 THEN 'openai' ELSE 'anthropic' END,
           1000 + n % 977, 100 + n % 97, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'priced', 3000000 + n % 9973, 'genai-prices',
           'input=2.5 output=10 cache_read=1.25', 'genai-prices-0.2.3-1a2b3c4d', '', 2000000, 1000000 + n % 9973,
           300 + task % 9000, 'stop', ''
    FROM drawn"""


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:6.2f} (goal {goal:g})  {name}")
