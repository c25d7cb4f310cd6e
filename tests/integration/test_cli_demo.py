"""`hivecost demo`: the five minutes in which a stranger decides."""

from __future__ import annotations

import shlex

import pytest
from typer.testing import CliRunner

from hivecost.cli import app


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.fixture
def shown(base_path):
    return run("demo", "--data", str(base_path))


def test_the_demo_shows_what_it_promises(shown, base_path):
    """A runaway is stopped, a customer's last call is never sent, a sub-agent is bound; what is offered works."""
    bare, _, held = shown.partition("$ hivecost run --budget '$0.50' -- python agent.py\n")
    assert "50 answers to 50 questions\nThe provider bills $1.0008.\n" in bare
    assert "24 answers to 50 questions\n" in held
    assert "hivecost: 26 calls refused" in held
    assert "The provider bills $0.4804.\n" in held
    assert "■ BUDGET EXCEEDED: $0.0516 / $0.0500 (runaway, budget 'per run'); the execution is cancelled" in shown
    assert "■ runaway: cancelled, 6 calls," in shown
    assert "■ support: cancelled, 3 calls, 7,980 tokens, $0.0258" in shown
    assert "Total     $0.1337   16 calls" in shown
    assert "■ Budget spent: $0.0172 / $0.0200 (scout, budget 'cap of lead'); the next turn is refused" in shown
    assert "✔ lead: completed" in shown
    assert "Unpriced  1 call, missing from the total: no price is known for model 'our-finetuned-llama'" in shown
    ticks = [line for line in shown.splitlines() if line.startswith("  ")]  # the receipt's begin with a name
    assert len(ticks) == 16
    assert max(map(len, ticks)) < 80
    offered = [shlex.split(line.partition(":  ")[2])[1:] for line in shown.splitlines()[-3:]]
    again, who, left = (run(*command) for command in offered)
    assert again.strip() in shown
    assert "unmodified_agent.py" in who.splitlines()[4]
    assert [line.split()[:2] for line in who.splitlines()[5:8]] == [
        ["bob", "runaway"],
        ["eve", "support"],
        ["ada", "researcher"],
    ]
    assert "customer day  org=acme" in left
    assert "$0.0300  $0.0258  $0.0000   $0.0000    $0.0042" in left


def test_the_demo_says_that_it_needs_budgets(base_path, monkeypatch):
    """Without them its runaway would never end."""
    monkeypatch.setenv("HIVECOST_DISABLE", "1")
    done = CliRunner().invoke(app, ["demo", "--data", str(base_path)])
    assert str(done.exception) == "HIVECOST_DISABLE: expected to be unset for the demo, whose agents only budgets stop"
    assert not base_path.exists()
