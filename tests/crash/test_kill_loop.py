"""S2 and S4: what is killed at any moment loses nothing it acknowledged, and the sums stay true.

Once with the store alone in each process, once with a whole runtime. `HIVECOST_SOAK_KILLS` is the number of kills;
about 25 of each when it is not set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ORACLE = Path(__file__).parents[1] / "contract" / "log_oracle.py"
SEEDS = range(max(1, int(os.environ.get("HIVECOST_SOAK_KILLS", "0")) // 25))
MUTANTS = {
    "early": "acknowledged and not there",
    "second_transaction": "is not the fold",
    "blind": "is not the fold",
}


@pytest.fixture(params=["kill_loop.py", "pipeline_kill_loop.py"])
def problems_after(tmp_path, request):
    def problems_after(*, kills, writers=1, mutant="none", seed=0):
        """What the checks find after one of this many kills."""
        loop = [sys.executable, str(Path(__file__).with_name(request.param)), str(tmp_path), str(ORACLE)]
        loop += [str(kills), str(writers), mutant, str(seed)]
        done = subprocess.run(loop, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return problems_after


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("writers", "kills"), [(1, 10), (3, 5)])
def test_nothing_acknowledged_is_lost_and_every_sum_is_true(problems_after, writers, kills, seed):
    """Whoever is killed, alone or among others that write the same file, with every new one resending what it may."""
    assert problems_after(kills=kills, writers=writers, seed=seed) == []


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_store_is_caught(problems_after, mutant):
    """The check above can fail: it sees an acknowledgement before the commit, sums that are committed later than their
    rows, and sums of a batch as it was sent, duplicates included.
    """
    assert any(MUTANTS[mutant] in problem for problem in problems_after(kills=40, mutant=mutant))
