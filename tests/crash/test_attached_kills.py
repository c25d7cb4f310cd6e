"""H14: unmodified agents that are killed at any moment never make the provider bill more than the ledger knows of.

`HIVECOST_SOAK_KILLS` is the number of kills; 5 when it is not set.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hivecost.backends import open_log
from hivecost.events import Usage
from hivecost.testing import Behaviour, ProviderEmulator, TokenRates

LOOP = Path(__file__).with_name("attached_kill_loop.py")
KILLS = int(os.environ.get("HIVECOST_SOAK_KILLS", "5"))
RATES = {"gpt-4o": TokenRates.flat(2_500, 10_000)}
PRICES = '[prices."gpt-4o"]\ninput = 2.5\noutput = 10\n'
#: Billed with as many tokens as the agent allows, some $0.005.
ANSWER = Behaviour(text="word " * 20, usage=Usage(26, 500), latency_s=0.02, chunk_interval_s=0.005)


@pytest.mark.timeout(90 + 10 * KILLS)
@pytest.mark.parametrize("limit_nanousd", [KILLS * 1_000_000_000, KILLS * 20_000_000], ids=["enough", "too little"])
def test_the_bill_never_exceeds_what_is_settled_or_in_doubt(limit_nanousd: int, tmp_path: Path) -> None:
    """Billed ≤ settled + in doubt ≤ limit, in whole answers and streams, also where the limit ends it."""
    (tmp_path / "hivecost.toml").write_text(PRICES)
    budget = f"${limit_nanousd / 1e9}/total"
    with ProviderEmulator(ANSWER) as provider:
        command = [
            *(sys.executable, "-m", "hivecost", "run", "--budget", budget, "--whole-answers", "--data", "data"),
            *("--", sys.executable, str(LOOP), str(KILLS), "7"),
        ]
        environment = {**os.environ, "PROVIDER": provider.url}
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        billed, calls = provider.bill_nanousd(RATES), len(provider.bill)
    assert ran.returncode == 0, ran.stderr
    with open_log(tmp_path / "data").snapshot() as log:
        [account] = log.accounts(time.time_ns())
    assert calls > KILLS
    assert account.in_doubt > 0
    assert account.leased == 0
    assert billed <= account.settled + account.in_doubt <= limit_nanousd
