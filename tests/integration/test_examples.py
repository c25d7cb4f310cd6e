"""Every file in examples/ runs by itself, offline, and says what its reader expects."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

SAYS = {
    "customer_day.py": ["cancelled after", "(org=acme) is exhausted", "together 0.", " USD of 0.50"],
    "config_file.py": ["cancelled 7 calls: budget 'per run'", "new limits: ['per run 0.50 usd']", "completed 20 calls"],
    "plans.py": [
        "acme: 5 answers, $0.01 of $0.01, paused",
        "globex: 25 answers, $0.05 of $0.05, paused",
        "initech: 10 answers, $0.02 of $0.02, paused",
        "initech buys more: $0.08 a day",
        "initech: 40 answers, completed",
    ],
    "quickstart.py": ["completed 3 calls 0.03 USD", "cancelled 4 calls: budget 'per run'"],
    "budget_in_a_handler.py": ["cancelled 11000 tokens: token budget exhausted: 11,000 tokens"],
    "sdk_loop.py": ["cancelled after 31 calls, 0.0061916 USD: budget 'per run'", "the providers billed 31 calls"],
    "sync_agent.py": ["cancelled 5 calls: budget 'calls per run'"],
    "sync_script.py": ["cancelled 3 calls: budget 'per run'", "day settled: 0.0165 USD"],
    "foreign_loop.py": ["bees: completed, 0.0075 USD", "honey: completed, 0.0075 USD", "wax: budget 'day'"],
    "streaming.py": ["completed 250 words, 0.00275 USD", "stopped early", "cancelled: budget 'per run'"],
    "sub_agents.py": [
        "'cap of node brainstorm' is exhausted",
        "researcher 1: completed, 6 calls",
        "researcher 2: cancelled, 4 calls: budget 'cap of researcher'",
        "researcher 3: cancelled, 1 calls: budget 'per run'",
        "manager: completed, 0.015 USD itself, 0.0975 USD with all",
    ],
    "context_budget.py": ["search: 16,037 → 5,355 tokens, pays after 0.5 turns", "sent 155,541 tokens for $0.3969"],
    "own_backend.py": ["first start: 1 calls, 0.002 USD", "second start: 2 calls, 0.004 USD"],
    "own_plugin.py": [
        "per run: $0.010 are spent, $0.02 are granted",
        "per run: $0.020 are spent, $0.03 are granted",
        "$0.024 in 1 runs",
        "completed 12 calls",
    ],
    "daily_report.py": [
        "1 sessions, 33,000 tokens, $0.0490, 1 turns without a price",
        "a-model-without-price",
        "unknown",
    ],
}


#: As in pyproject.toml: it reads its vocabularies with a function that Python 3.11 and 3.12 call deprecated.
BPE_OPENAIS = "ignore:open_binary is deprecated:DeprecationWarning"


def test_every_example_is_checked():
    """A new example says here what it prints."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SAYS)


def test_an_example_that_needs_more_says_what_to_install(tmp_path):
    """One line with the command, and no traceback."""
    (tmp_path / "openai.py").write_text("raise ModuleNotFoundError(\"No module named 'openai'\", name='openai')")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "sdk_loop.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.endswith(": pip install anthropic openai\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", SAYS)
def test_example(name, tmp_path):
    """It exits by itself with status 0, and prints what it promises."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", BPE_OPENAIS, str(EXAMPLES / name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in SAYS[name]:
        assert line in done.stdout, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] in ([], ["data"])
