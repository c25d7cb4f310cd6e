"""The table of rivals says what was billed and answered, or why nothing was."""

from __future__ import annotations

import sys

import pytest

from benchmarks.rivals import experiment
from benchmarks.rivals.tools import MODES, Tool

AGENT = """
import json, os, pathlib, urllib.request
body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).encode()
for _ in range(2):
    url = os.environ["PROVIDER"] + "/chat/completions"
    urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})).read()
pathlib.Path(os.environ["RESULT"]).write_text(json.dumps({"answers": 2, "errors": {}}))
"""


def tool(code: str) -> Tool:
    return Tool("mine", "mine", "nothing", lambda place: (place.python, "-c", code))


@pytest.mark.parametrize(
    ("code", "cell"),
    [
        (AGENT, "$0.0400, 2"),
        (AGENT + "raise SystemExit('after it')", "$0.0400, 2"),
        ("raise SystemExit('no such tool')", "$0.0000, ended: no such tool"),
    ],
)
def test_a_cell_is_the_bill_and_the_answers(code, cell):
    """An agent that did not come to its end is said to have not."""
    assert experiment.measured(tool(code), "sequential", sys.executable) == cell


def test_what_is_not_installed_is_said(monkeypatch):
    """In every mode; and no mode is tried for which a tool has nothing."""
    there = tool(AGENT)._replace(lacks=frozenset(MODES) - {"threads"})
    monkeypatch.setattr(experiment, "TOOLS", (tool(AGENT)._replace(name="other", package="other"), there))
    monkeypatch.setattr(experiment, "measured", lambda tool, mode, python: mode)
    lines = list(experiment.table(experiment._rows([], sys.executable, {"mine": "1.2"})))
    assert lines[-2] == f"| other | nothing | {' | '.join(['not installed'] * len(MODES))} |"
    assert (
        lines[-1] == f"| mine 1.2 | nothing | {' | '.join('threads' if mode == 'threads' else '-' for mode in MODES)} |"
    )
