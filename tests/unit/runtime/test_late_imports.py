"""Nothing is imported in a turn: clients that look through `sys.modules` in other threads fail when it changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("late_imports.py")


def run(kind: str, **env: str) -> tuple[dict[str, str], list[str]]:
    """What was imported, and how turns and executions ended."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), kind], capture_output=True, text=True, check=True, env=os.environ | env
    )
    imported, endings = json.loads(done.stdout)
    return imported, endings


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_running_runtime_imports_nothing(backend):
    """Turns of all kinds, refusals, failures, cancellation, budgets and reading: no module is looked for."""
    imported, endings = run(backend)
    assert imported == {}
    assert endings == [
        "BudgetExhaustedError",
        "ConfigError",
        "ExecutionCancelledError",
        "PriceUnknownError",
        "RefusalError",
        "TimeoutError",
        "async cancelled",
        "invalid",
        "priced",
        "stubborn cancelled",
        "sync failed",
        "unpriced",
    ]


def test_time_zones_of_the_tzdata_package_are_no_exception():
    """Where the system has no time zones, they are modules of a package."""
    assert run("asyncio", PYTHONTZPATH="")[0] == {}


def test_an_import_in_a_turn_is_seen():
    """The check above can fail."""
    assert list(run("control")[0]) == ["wave"]


def test_rates_are_loaded_when_the_runtime_is_made():
    """Also with a price book of the caller's own; `import hivecost` and the class alone load none."""
    code = """
import sys, tempfile
import hivecost as hc
hc.AgentRuntime, hc.PriceBook
loaded = lambda: "genai_prices.data" in sys.modules
print(loaded())
book = hc.PriceBook({"m": {"input": 1, "output": 1}})
print(loaded())
hc.AgentRuntime(tempfile.mkdtemp(), prices=book)
print(loaded())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]
