"""The demo's first part: an agent that nobody wrote for hivecost, bare and under `hivecost run`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer

from hivecost.errors import HiveCostError
from hivecost.money import format_usd

_AGENT: Final = Path(__file__).with_name("unmodified_agent.py")
_LIMIT: Final = "$0.50"
#: What the process of an agent is not to have from the one around the demo: it would ask there.
_NOT_PASSED_ON: Final = ("HIVECOST_SOCKET",)


def run_unmodified(data: str) -> None:
    """Run the agent twice, and print what its provider bills each time. Raise HiveCostError where it does not run."""
    python = [sys.executable, str(_AGENT)]
    typer.echo("An agent that knows nothing of hivecost asks a model 50 times at once, for some $0.02 each.\n")
    _run("python agent.py", python)
    if sys.platform != "win32":  # where `run` says why it cannot
        limited = [sys.executable, "-m", "hivecost", "run", "--budget", _LIMIT, "--data", data, "--", *python]
        _run(f"hivecost run --budget '{_LIMIT}' -- python agent.py", limited)


def _run(shown: str, command: Sequence[str]) -> None:
    from hivecost.events import Usage  # noqa: PLC0415  # `hivecost --help` is quicker without
    from hivecost.testing import Behaviour, ProviderEmulator, TokenRates  # noqa: PLC0415  # the same

    typer.echo(f"$ {shown}")
    with ProviderEmulator(Behaviour(usage=Usage(26, 1_995), latency_s=0.1)) as provider:
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        environment["OPENAI_BASE_URL"] = provider.openai_base_url
        environment["PYTHONSAFEPATH"] = "1"  # the agent's folder is full of other programs' modules
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # it is ours
        billed_nanousd = provider.bill_nanousd({"gpt-4o": TokenRates.flat(2_500, 10_000)})
    if ran.returncode:
        raise HiveCostError(f"the demo's agent ended with {ran.returncode}: {ran.stderr.strip()}")
    typer.echo(f"{ran.stdout}{ran.stderr}The provider bills {format_usd(billed_nanousd)}.\n")
