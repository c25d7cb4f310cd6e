"""S2 and H1 through a loss of power: what was acknowledged is on the disk, and what was sent is known.

The disk is simulated: what was not synced is there, gone or torn. `HIVECOST_SOAK_CUTS` is how often the power goes; 25
times when it is not set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hivecost.backends.sqlite import open_reader
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.events import LLMTurnComplete

ORACLE = Path(__file__).parents[1] / "contract" / "log_oracle.py"
CUTS = int(os.environ.get("HIVECOST_SOAK_CUTS", "25"))

pytestmark = pytest.mark.timeout(120 + CUTS)


def found_by(loop, *arguments):
    command = [sys.executable, str(Path(__file__).with_name(loop)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def log_after(base_path, cuts, synchronous):
    return found_by("power_cut_loop.py", base_path, ORACLE, cuts, synchronous, 0)


def ledger_after(base_path, cuts, mutant):
    return found_by("power_cut_ledger_loop.py", base_path, cuts, mutant, 0)


def test_nothing_acknowledged_is_lost_and_every_sum_is_true(tmp_path):
    """With synchronous=FULL, which is how the store opens its database, from the first write of its making on."""
    assert log_after(tmp_path, CUTS, "FULL") == {"losses": 0, "problems": []}


def test_a_weaker_synchronous_is_caught(tmp_path):
    """The check above can fail: with NORMAL acknowledged events are lost, though every sum stays true."""
    found = log_after(tmp_path, CUTS, "NORMAL")
    assert found["losses"] >= CUTS // 20
    assert found["problems"] == []


def test_writing_without_syncing_is_caught(tmp_path):
    """The check above can fail: with OFF the database is damaged, within 20 cuts mostly."""
    assert log_after(tmp_path, 400, "OFF")["problems"] != []


def test_the_bill_never_exceeds_what_the_ledger_knows(tmp_path):
    """Billed ≤ settled + held + in_doubt ≤ limit: a lease is durable before it is used, and in doubt afterwards."""
    found = ledger_after(tmp_path, CUTS, "none")
    assert found["problems"] == []
    assert found["sent"] > 10 * CUTS


@pytest.mark.parametrize("mutant", ["normal", "same_boot"])
def test_a_wrong_ledger_is_caught(tmp_path, mutant):
    """The check above can fail: leases that were not synced; a journal that is believed after the power went."""
    problems = ledger_after(tmp_path, 300, mutant)["problems"]  # which of them show it depends on the instant
    assert any("billed is above" in problem for problem in problems)


@pytest.mark.parametrize("wal", [None, bytes(32)], ids=["alone", "with a WAL"])
def test_a_cut_in_the_very_first_write_is_no_corruption(tmp_path, wal):
    """The file is there and says nothing, and SQLite's journal knows that there was nothing before: it is empty."""
    path = tmp_path / "hivecost.db"
    path.write_bytes(bytes(4096))
    header = bytes.fromhex("d9d505f920a163d7 00000000 12345678 00000000 00000200 00001000")
    path.with_name("hivecost.db-journal").write_bytes(header.ljust(512, b"\0"))
    if wal is not None:
        path.with_name("hivecost.db-wal").write_bytes(wal)
    reader = open_reader(tmp_path)
    assert reader.execute("SELECT count(*) FROM turns").fetchone() == (0,)
    reader.close()
    log = RuntimeLog(tmp_path)
    assert log.append([LLMTurnComplete(event_id="first")]).inserted == [True]
    log.close()
    assert not path.with_name("hivecost.db-journal").exists()
