"""H1 over processes: one account, many that spend it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from hivecost.backends import Ledger

pytestmark = pytest.mark.anyio

SPENDER = Path(__file__).with_name("ledger_spender.py")


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


async def test_four_processes_spend_one_budget_to_its_end(tmp_path):
    """Four times 50 executions on $5: never over, at least 95% used, and every settlement of theirs in the account."""
    spenders = [start(SPENDER, tmp_path, 50) for _ in range(4)]
    for spender in spenders:
        assert spender.stdout.readline() == "ready\n"
    for spender in spenders:
        spender.stdin.write("go\n")
        spender.stdin.flush()
    answers = await anyio.to_thread.run_sync(lambda: [spender.communicate(timeout=60)[0] for spender in spenders])
    settled = sum(int(answer.split()[0]) for answer in answers)
    async with Ledger.open(tmp_path) as ledger:
        (row,) = await ledger.status()
    assert (row.settled, row.held, row.in_doubt) == (settled, 0, 0)
    assert 0.95 * row.limit <= row.settled <= row.limit
