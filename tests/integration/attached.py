"""Runs an agent under `hivecost run`, beside a provider whose bill is the truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from hivecost.events import Usage
from hivecost.testing import Behaviour, ProviderEmulator, TokenRates, sum_nanousd

AGENT = Path(__file__).with_name("attached_agent.py")
RATES = {
    "gpt-4o": TokenRates.flat(2_500, 10_000),
    "claude-4-5-sonnet-20250514": TokenRates.flat(3_000, 15_000),
    "gemini-2.5-flash": TokenRates.flat(2_500, 10_000),
    "claude-sonnet-4-5": TokenRates.flat(3_000, 15_000),
    "anthropic.claude-sonnet-4-5-20250929-v1:0": TokenRates.flat(3_000, 15_000),
    "mistral-small-latest": TokenRates.flat(100, 300),
}
PRICES = """
[prices."gpt-4o"]
input = 2.5
output = 10
[prices."claude-4-5-sonnet-20250514"]
input = 3
output = 15
[prices."gemini-2.5-flash"]
input = 2.5
output = 10
[prices."claude-sonnet-4-5"]
input = 3
output = 15
[prices."anthropic.claude-sonnet-4-5-20250929-v1:0"]
input = 3
output = 15
[prices."mistral-small-latest"]
input = 0.1
output = 0.3
"""
#: An answer that is billed with as many tokens as the agent allows, some $0.02 each.
GPT = Behaviour(text="word " * 30, usage=Usage(input_tokens=26, output_tokens=1_995), latency_s=0.05)
CLAUDE = Behaviour(text="word " * 30, usage=Usage(input_tokens=26, output_tokens=1_325), latency_s=0.05)


class Ran(msgspec.Struct):
    """How it went."""

    status: int
    output: str
    errors: str
    receipt: dict[str, Any]
    billed_nanousd: int

    def require_held(self) -> None:
        """$0.50 were billed at most, nearly all of it was used, and each answer was settled at its bill."""
        assert self.status == 0, self.errors
        total = self.receipt["total"]
        assert 480_000_000 <= self.billed_nanousd <= 500_000_000
        assert (total["cost_nanousd"], total["in_doubt"]) == (self.billed_nanousd, 0)
        assert int(self.output) == total["calls"] >= 24
        assert sum(self.receipt["refused"].values()) >= 25


def run_attached(
    folder: Path,
    *command: str,
    budgets: tuple[str, ...] = ("$0.50",),
    behaviour: Behaviour = GPT,
    python: str = sys.executable,
    options: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
) -> Ran:
    """Run `python COMMAND` in `folder`; gpt-4o and claude have the emulator's rates."""
    (folder / "hivecost.toml").write_text(PRICES)
    receipt = folder / "receipt.json"
    flags = [word for budget in budgets for word in ("--budget", budget)]
    with ProviderEmulator(behaviour) as provider:
        finished = subprocess.run(
            [
                *(sys.executable, "-m", "hivecost", "run", *flags, "--data", str(folder / "data"), *options),
                *("--receipt", str(receipt), "--", python, *command),
            ],
            cwd=folder,
            env={**os.environ, "PROVIDER": provider.url, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        billed = sum_nanousd(provider.bill, RATES)
    values = json.loads(receipt.read_bytes()) if receipt.exists() else {}
    return Ran(finished.returncode, finished.stdout, finished.stderr, values, billed)
