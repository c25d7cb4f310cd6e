"""An independent reading of a runtime log: every sum worked out again in Python, and compared with what is stored."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from pathlib import Path

COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "latency_ms")
SUMS = (
    *("llm_calls", *COUNTS, "cost_nanousd", "unpriced_calls", "invalid_calls", "estimated_calls"),
    *("charges", "charged_nanousd", "notional_nanousd"),
)
KEYS = {
    "sessions": ("session_id",),
    "nodes": ("session_id", "node_id", "provider", "model"),
    "executions": ("session_id", "execution_id"),
    "quarter_hours": ("quarter_hour", "org_id", "user_id", "agent_id", "provider", "model"),
}
QUARTER_HOUR_NS = 15 * 60 * 10**9


def rows(path: Path, sql: str) -> list[dict]:
    # Read-only, so that looking at a log whose writer died recovers nothing for the next one.
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]
    finally:
        connection.close()


def fold(turns: list[dict]) -> dict[str, dict[tuple, Counter]]:
    """Every rollup as it must be."""
    rollups = {table: defaultdict(Counter) for table in KEYS}
    for logged in turns:
        turn = dict(logged)
        for name in ("model", "provider"):  # as the price book understood them, where it did
            turn[name] = turn[f"resolved_{name}"] or turn[name]
        turn["quarter_hour"] = turn["timestamp_ns"] // QUARTER_HOUR_NS
        for table, keys in KEYS.items():
            if table == "quarter_hours" or turn[keys[0] if table != "executions" else "execution_id"]:
                rollups[table][tuple(turn[key] for key in keys)].update(one(turn))
    return rollups


def one(turn: dict) -> Counter:
    status, cost = turn["cost_status"], turn["cost_nanousd"]
    return Counter(
        {name: turn[name] for name in COUNTS}
        | {
            "llm_calls": turn["kind"] == "",
            "charges": turn["kind"] != "",
            "charged_nanousd": (cost or 0) if turn["kind"] else 0,
            "cost_nanousd": cost or 0,
            "notional_nanousd": turn["notional_nanousd"] or 0,
            "unpriced_calls": cost is None and status != "invalid",
            "invalid_calls": status == "invalid",
            "estimated_calls": status == "estimated" and cost is not None,
        }
    )


def stored(path: Path, table: str) -> dict[tuple, Counter]:
    """A rollup as it is; rows without a turn (announced only) are left out."""
    return {
        tuple(row[key] for key in KEYS[table]): Counter({name: row[name] for name in SUMS})
        for row in rows(path, f"SELECT * FROM {table} WHERE llm_calls <> 0 OR charges <> 0")
    }


#: What is known of prompts, added up.
PROMPT_SUMS = {
    "compactions": """SELECT session_id, node_id, later_turns, spared_tokens, saved_nanousd
        FROM compactions WHERE later_turns""",
    "carried_results": "SELECT session_id, node_id, tool, turns, results, tokens, nanousd FROM carried_results",
}


def fold_prompts(turns: list[dict]) -> dict[str, set[tuple]]:
    """The same as it must be."""
    spared, carried = defaultdict(Counter), defaultdict(Counter)
    for turn in turns:
        prompt = json.loads(turn["prompt"] or "{}")
        if turn["session_id"] and (tokens := prompt.get("compacted_tokens", 0)):
            saved = prompt.get("saved_nanousd", 0) or 0
            spared[turn["session_id"], turn["node_id"]].update(turns=1, tokens=tokens, saved=saved)
        for one in prompt.get("carried", ()) if turn["session_id"] else ():
            cost = one.get("nanousd") or 0
            sums = {"turns": 1, "results": one["results"], "tokens": one["tokens"], "cost": cost}
            carried[turn["session_id"], turn["node_id"], one["tool"]].update(sums)
    return {
        "compactions": {(*key, sums["turns"], sums["tokens"], sums["saved"]) for key, sums in spared.items()},
        "carried_results": {
            (*key, sums["turns"], sums["results"], sums["tokens"], sums["cost"]) for key, sums in carried.items()
        },
    }


def problems(path: Path, acknowledged: list[str] | None = None) -> list[str]:
    """What is wrong with the log; empty when every promise is kept."""
    found = []
    check = rows(path, "PRAGMA integrity_check")
    if [list(row.values()) for row in check] != [["ok"]]:
        found.append(f"integrity_check: {check}")
    turns = rows(path, "SELECT * FROM turns")
    missing = set(acknowledged or ()) - {turn["event_id"] for turn in turns}
    if missing:
        found.append(f"acknowledged and not there: {sorted(missing)}")
    twice = [event_id for event_id, count in Counter(turn["event_id"] for turn in turns).items() if count > 1]
    if twice:
        found.append(f"there more than once: {twice}")
    for table, must_be in fold(turns).items():
        if dict(must_be) != (is_now := stored(path, table)):
            wrong = sorted(map(str, {key for key in must_be | is_now if must_be.get(key) != is_now.get(key)}))
            found.append(f"{table} is not the fold of the log: {wrong[:5]}")
    for table, must_be in fold_prompts(turns).items():
        is_now = {tuple(row.values()) for row in rows(path, PROMPT_SUMS[table])}
        if must_be != is_now:
            found.append(f"{table} is not the fold of the log: {sorted(map(str, must_be ^ is_now))[:5]}")
    counted = "SELECT session_id, count(*) AS n FROM executions WHERE session_id <> '' GROUP BY session_id"
    must_be = {row["session_id"]: row["n"] for row in rows(path, counted)}
    counts = {row["session_id"]: row["executions"] for row in rows(path, "SELECT * FROM sessions WHERE executions")}
    if must_be != counts:
        found.append(f"executions are miscounted: {must_be} are there, {counts} are counted")
    return found
