"""Clients below the SDKs, and SDKs over them. Run by `make test-more`, with requirements/attach.txt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hivecost.testing import ProviderEmulator

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))
from attached import CLAUDE, GPT, PRICES, RATES, run_attached  # it stands with those of `make test`

AGENT = Path(__file__).with_name("client_agent.py")
MODES = [
    *("converse", "converse_stream", "gemini", "gemini_stream", "async_gemini", "async_gemini_stream"),
    *("litellm", "litellm_stream", "async_litellm", "async_litellm_stream", "requests", "requests_stream"),
    *("async_aiohttp", "async_aiohttp_stream", "urllib3", "urllib3_stream", "urllib3_lines"),
]
#: litellm fetches its prices and prints advice.
QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}


@pytest.mark.parametrize("mode", MODES)
def test_the_bill_stays_under_the_limit(mode: str, tmp_path: Path) -> None:
    """Each attempt is asked for once, whatever is built on what; five go one after another over one connection."""
    behaviour = CLAUDE if "converse" in mode else GPT
    options = ("--whole-answers",)
    ran = run_attached(tmp_path, str(AGENT), mode, "50", behaviour=behaviour, environment=QUIET, options=options)
    ran.require_held()


@pytest.mark.parametrize("mode", ["async_gemini_stream", "async_litellm_stream", "async_aiohttp", "converse_stream"])
def test_without_a_limit_all_pass(mode: str, tmp_path: Path) -> None:
    """Bill and receipt are equal."""
    behaviour = CLAUDE if "converse" in mode else GPT
    ran = run_attached(tmp_path, str(AGENT), mode, "12", budgets=(), behaviour=behaviour, environment=QUIET)
    assert (ran.status, ran.output.strip()) == (0, "12"), ran.errors
    assert ran.receipt["total"] == {"calls": 12, "cost_nanousd": ran.billed_nanousd, "in_doubt": 0, "unpriced": 0}


INSTALLED = """
import runpy, sys
import hivecost as hc
hc.install("$0.50", data="data", whole_answers=True)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    "mode", ["async_gemini_stream", "async_litellm", "async_aiohttp_stream", "converse", "urllib3"]
)
def test_a_program_that_installs_it_ends(mode: str, tmp_path: Path) -> None:
    """Whatever its clients leave open."""
    (tmp_path / "hivecost.toml").write_text(PRICES)
    behaviour = CLAUDE if "converse" in mode else GPT
    with ProviderEmulator(behaviour) as provider:
        finished = subprocess.run(
            [sys.executable, "-c", INSTALLED, str(AGENT), mode, "50"],
            cwd=tmp_path,
            env={**os.environ, **QUIET, "PROVIDER": provider.url},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        billed = provider.bill_nanousd(RATES)
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout.split()[-1]) >= 24
    assert 480_000_000 <= billed <= 500_000_000
