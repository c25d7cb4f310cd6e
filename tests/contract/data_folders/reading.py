"""What is read from an old data folder, as JSON: the same by the version that wrote it and by every later one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import msgspec

import hivecost as hc

#: 2026-11-28 12:00:00 UTC, when all of it happened.
NOW_NS = 1_795_867_200 * 10**9
PRICES = {"small-model": {"input": 1.50, "output": 6.00, "cache_read": 0.15}}
BUDGETS = [
    hc.Budget("all", limit="$1", mode="hard"),
    hc.Budget("org day", limit="10_000 tokens", window="day", per="org", timezone="Europe/Berlin", mode="hard"),
    hc.Budget("run", limit="$0.50", window="execution", mode="hard"),
    hc.Budget("frozen", limit="5 calls", match={"org": "nobody"}, mode="hard"),
]


class StillClock:
    """Time stands still; waiting takes as long as it does."""

    def now_ns(self) -> int:
        return NOW_NS

    def monotonic_s(self) -> float:
        return anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


async def read_log(base_path: Path) -> dict[str, Any]:
    """Every figure of the runtime log."""
    sessions = await hc.SessionStore(base_path).list_sessions()
    runtime_log = hc.RuntimeLogStore(base_path)
    read = {
        "sessions": sessions,
        "runs": await runtime_log.list_runs(),
        "details": [await runtime_log.load_details(session.session_id) for session in sessions],
        "spend": await hc.SpendStore(base_path).totals(by=["hour", "model", "provider", "agent", "user", "org"]),
    }
    return msgspec.json.decode(msgspec.json.encode(read))


async def read_ledger(base_path: Path) -> dict[str, Any]:
    """Every account, doubt and budget, and who changed what; opening recovers what died."""
    async with hc.Ledger.open(base_path, budgets=BUDGETS, clock=StillClock()) as ledger:
        read = {
            "status": await ledger.status(),
            "in_doubt": await ledger.in_doubt(),
            "budgets": await ledger.budgets(),
            "changes": await ledger.changes(),
        }
    return msgspec.json.decode(msgspec.json.encode(read))


async def read_folder(base_path: Path) -> dict[str, Any]:
    return {"log": await read_log(base_path), "ledger": await read_ledger(base_path)}
