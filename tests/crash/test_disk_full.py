"""S5: a disk that is full at any write costs events, which are counted, and never an agent, a sum or the file.

`HIVECOST_SOAK_FULL_DISKS` is how many runtimes meet one; 12 when it is not set, and then only every 20th write of the
making of a log meets one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ORACLE = Path(__file__).parents[1] / "contract" / "log_oracle.py"
SOAK = os.environ.get("HIVECOST_SOAK_FULL_DISKS")
RUNS = int(SOAK or 12)
STEP = 1 if SOAK else 20

pytestmark = pytest.mark.timeout(120 + 3 * RUNS)


def found_by(loop, *arguments):
    command = [sys.executable, str(Path(__file__).with_name(loop)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_full_at_every_write(tmp_path):
    """For a moment or for long: named, counted, nothing partial is kept, and it goes on when there is room."""
    found = found_by("disk_full_loop.py", tmp_path, ORACLE, STEP)
    assert found["problems"] == []
    assert found["writes"] > 200
    assert found["refused"] > found["writes"] // STEP
    assert found["committed"] > found["refused"]


def test_agents_run_on(tmp_path):
    """Every execution completes; what was flushed is in the log, and what is not in it is counted as lost."""
    pytest.importorskip("resource")
    found = found_by("disk_full_agents.py", tmp_path, ORACLE, RUNS, 0)
    assert found["problems"] == []
    assert found["lost"] > 5 * RUNS
    assert found["logged"] > 50 * RUNS
