"""S2 and S4: writers that are killed at any moment lose nothing they acknowledged, and the sums stay true."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LOOP = Path(__file__).with_name("kill_loop.py")
ORACLE = Path(__file__).parents[1] / "contract" / "log_oracle.py"


@pytest.fixture
def problems_after(tmp_path):
    def problems_after(*, kills, writers=1, mutant="none", seed=0):
        """What the checks find after one of this many kills."""
        loop = [sys.executable, str(LOOP), str(tmp_path), str(ORACLE), str(kills), str(writers), mutant, str(seed)]
        done = subprocess.run(loop, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return problems_after


@pytest.mark.parametrize(("writers", "kills"), [(1, 14), (3, 6)])
def test_nothing_acknowledged_is_lost_and_every_sum_is_true(problems_after, writers, kills):
    """Whoever is killed, alone or among others that write the same file, with every new one resending what it may."""
    assert problems_after(kills=kills, writers=writers) == []


def test_acknowledging_before_the_commit_is_caught(problems_after):
    """The checks above can fail: some acknowledged event is not there."""
    assert any("acknowledged and not there" in problem for problem in problems_after(kills=8, mutant="early"))


def test_sums_in_a_second_transaction_are_caught(problems_after):
    """The checks above can fail: a kill between the two leaves rows without their sums."""
    assert any("is not the fold" in problem for problem in problems_after(kills=14, mutant="second_transaction"))


def test_sums_blind_to_duplicates_are_caught(problems_after):
    """The checks above can fail: resent events are counted again."""
    assert any("is not the fold" in problem for problem in problems_after(kills=3, mutant="blind"))
