"""`hivecost ask`: people's own words, each the command that answers them; nothing is ever changed."""

from __future__ import annotations

import anyio
import pytest

import hivecost as hc
from hivecost.backends.sqlite import Store
from hivecost.cli.ask import ANSWERS, answer_to, command_for
from hivecost.errors import ConfigError

PHRASES = {
    "Show token usage": "spend --by agent",
    "What's the budget status?": "budget status",
    "Set budget for agent planner": "budget set NAME LIMIT --for agent=planner",
    "What's costing the most?": "top agents",
    "what\u2019s costing the MOST this week": "top agents --during this week",
    "Optimize this request": "compact REQUEST.json --max-tokens 100000",
    "Run budget report": "daily",
    "Alert on budget thresholds": "budget status",
    "Switch to cheaper model": "advise --since 7d",
    "track tokens": "spend --by agent",
    "token usage": "spend --by agent",
    "cost tracking": "spend --by model",
    "LLM costs": "spend --by model",
    "budget monitoring": "budget status",
    "How much are we spending on LLMs?": "spend --by model",
    "Where is the spend going (features, agents, users)?": "spend --by model",
    "Are we within budget?": "budget status",
    "What's trending (up or down)?": "daily",
    "Will the budget hold?": "forecast",
}


@pytest.fixture
def data(tmp_path):
    turn = hc.LLMTurnComplete(agent_id="planner", model="m", cost=hc.Cost(status=hc.CostStatus.PRICED, nanousd=10**9))
    anyio.run(Store(tmp_path).write, [turn])
    return str(tmp_path)


@pytest.mark.parametrize("phrase", PHRASES)
def test_each_phrase_has_its_command(phrase):
    assert " ".join(command_for(answer_to(phrase), phrase)) == PHRASES[phrase]


def test_every_answer_is_found_by_its_own_phrase():
    """And by no other."""
    for answer in ANSWERS:
        assert answer_to(answer.phrase) is answer


def test_it_says_the_command_and_runs_it(hivecost, data):
    """First the command, then what it prints."""
    status, out, _ = hivecost("ask", "what's costing the most?", "--data", data)
    first, *rest = out.splitlines()
    assert (status, first) == (0, f"→ hivecost top agents --data {data}")
    assert any(line.split()[:1] == ["planner"] and "$1.00" in line for line in rest)
    assert hivecost("ask", "budget", "status", "--data", data)[0] == 1  # it has none


@pytest.mark.parametrize("answer", [answer for answer in ANSWERS if answer.is_shown], ids=lambda answer: answer.phrase)
def test_what_would_change_something_is_shown(hivecost, tmp_path, answer):
    """And nothing is made or run, wherever it is asked."""
    status, out, err = hivecost("ask", answer.phrase, "--data", str(tmp_path))
    assert (status, err) == (0, "")
    assert out.startswith("→ hivecost ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("question", ["", "what is the weather", "alert me when the budget status is bad", "\x1b[2J"])
def test_none_and_several_are_asked_back(hivecost, question):
    """With what can be asked, and status 2."""
    status, out, err = hivecost("ask", question) if question else hivecost("ask")
    assert (status, out) == (2, "")
    assert 'ask: expected one of "' in err
    assert "\x1b" not in err
    with pytest.raises(ConfigError):
        answer_to(question)
