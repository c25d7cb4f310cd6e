"""The ways in which agents call the SDKs, each as a process under `hivecost run`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from hivecost.testing import ProviderEmulator

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))
from attached import AGENT, CLAUDE, GPT, PRICES, RATES, run_attached  # it stands with those of `make test`

#: How many children are killed.
KILLS = os.environ.get("HIVECOST_SOAK_KILLS", "12")
MODES = [
    *("raw", "streamed", "responses", "async_chat", "async_streamed", "trio_chat", "trio_streamed", "uvloop_streamed"),
    *("message", "message_stream", "async_message"),
    *("fork:chat", "fork:async_chat", "fork:message", "spawn:chat", "spawn:async_streamed", "spawn:message_stream"),
]


@pytest.mark.parametrize("mode", MODES)
def test_the_bill_stays_under_the_limit(mode: str, tmp_path: Path) -> None:
    """Threads, asyncio, streams, and four processes, forked or spawned: one limit for all."""
    behaviour = CLAUDE if "message" in mode else GPT
    options = ("--whole-answers",)
    run_attached(tmp_path, str(AGENT), mode, "50", behaviour=behaviour, options=options).require_held()


KILLED = """
import os, sys, threading, openai
client = openai.OpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="any", max_retries=0)
if sys.argv[1:] == ["child"]:
    for _ in range(5):
        threading.Thread(target=lambda: client.chat.completions.create(
            model="gpt-4o", max_tokens=1995, messages=[{"role": "user", "content": "word " * 20}])).start()
    sys.stdin.readline()
else:
    import random, subprocess, time
    for number in range(int(sys.argv[1])):
        child = subprocess.Popen([sys.executable, sys.argv[2], "child"], stdin=subprocess.PIPE)
        time.sleep(random.Random(number).uniform(0.3, 2))
        child.kill()
        child.wait()
"""


def test_killed_children_leave_doubt_and_no_free_calls(tmp_path: Path) -> None:
    """SIGKILL at any moment: what was billed is settled or in doubt, and both stay under the limit."""
    agent = tmp_path / "killed.py"
    agent.write_text(KILLED)
    ran = run_attached(tmp_path, str(agent), KILLS, str(agent), budgets=("$0.50",))
    total = ran.receipt["total"]
    held_nanousd = 20_050_000  # of one call: its bytes as tokens, and its limit of output
    assert total["calls"] > 0
    assert ran.billed_nanousd <= 500_000_000
    assert ran.billed_nanousd <= total["cost_nanousd"] + total["in_doubt"] * held_nanousd


def test_a_stored_budget_outlives_its_killed_parent(tmp_path: Path) -> None:
    """SIGKILL of `hivecost run` with calls in flight: what they may have cost is in doubt in the next run."""
    (tmp_path / "hivecost.toml").write_text(PRICES)
    run = [sys.executable, "-m", "hivecost", "run", "--budget", "$0.50/total", "--data", str(tmp_path / "data"), "--"]
    with ProviderEmulator(replace(GPT, latency_s=2)) as provider:
        environment = {**os.environ, "PROVIDER": provider.url}
        for killed in (1, 2):
            with subprocess.Popen(
                [*run, sys.executable, str(AGENT), "chat", "8"],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            ) as parent:
                provider.wait_for_bill(8 * killed, timeout_s=60)
                os.killpg(parent.pid, signal.SIGKILL)
        provider.always(GPT)
        last = subprocess.run(
            [*run, sys.executable, str(AGENT), "chat", "50"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        billed = provider.bill_nanousd(RATES)
    assert last.returncode == 0, last.stderr
    assert int(last.stdout) >= 5
    assert 16 * 20_015_000 < billed <= 500_000_000
