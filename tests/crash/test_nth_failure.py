"""H1 and S5: whichever system call fails, the error is named, nothing hangs or leaks, and nothing acknowledged is lost.

`HIVECOST_SOAK_FAILURES` is how often each call fails, each time by another error; once when it is not set, and then
only every third of them does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOP = Path(__file__).with_name("nth_failure_loop.py")
ORACLE = Path(__file__).parents[1] / "contract" / "log_oracle.py"
SOAK = os.environ.get("HIVECOST_SOAK_FAILURES")
ROUNDS = int(SOAK or 1)
STEP = 1 if SOAK else 3

pytestmark = pytest.mark.timeout(200 + 200 * ROUNDS)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to see what is left open")
def test_the_nth_system_call_fails_for_all_n(tmp_path):
    """Of a log and a ledger that are opened, used and closed: files, locks, memory, SQLite's statements, threads."""
    command = [sys.executable, str(LOOP), str(tmp_path), str(ORACLE), str(STEP), str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["operations"] > 200
    assert found["refused"] > found["operations"] // STEP
    assert found["settled"] > found["operations"] // STEP
