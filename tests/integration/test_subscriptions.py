"""Calls that a subscription pays for: what they would have cost is beside what was paid, wherever people look."""

from __future__ import annotations

import csv
import json

import anyio
import pytest
from typer.testing import CliRunner

import hivecost as hc
from hivecost.cli import app

#: 1,000 nano-USD a token in, 2,000 a token out.
RATES = {"input": 1, "output": 2}
PRICES = {"paid": RATES, "claude-*": {**RATES, "billing": "subscription"}}
#: Of one turn, paid or not.
NANOUSD = 1_000 * 1_000 + 500 * 2_000


@pytest.fixture
def run(base_path):
    """Runs an agent that asks these models, and gives (result, aggregator, how its budget stands)."""

    def run(*models: str):
        async def main():
            budgets = [hc.Budget("day", limit="$1", window="day", mode="hard")]
            runtime = hc.AgentRuntime(base_path, prices=PRICES, budgets=budgets)

            @runtime.entry_point("agent")
            async def agent(ctx, _):
                for model in models:
                    async with ctx.node(model), ctx.turn(model, input_tokens=1_000, max_tokens=500) as turn:
                        turn.settle(hc.Usage(1_000, 500))

            async with runtime:
                result = await runtime.trigger_and_wait("agent")
                return result, runtime.usage, await runtime.budgets.status()

        return anyio.run(main)

    return run


def cli(base_path, *arguments: str) -> str:
    done = CliRunner().invoke(app, [arguments[0], "--data", str(base_path), *arguments[1:]])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_every_sum_keeps_both_apart(base_path, run):
    """Result, aggregator, session, nodes, runs, report and spend say the same; a budget counts what is paid."""
    result, sums, accounts = run("claude-opus", "paid", "claude-opus")
    report = json.loads(cli(base_path, "report", "--json"))
    spend = json.loads(cli(base_path, "spend", "--by", "model", "--json"))
    (line,) = csv.DictReader(cli(base_path, "spend", "--by", "user", "--csv").splitlines())
    runs = anyio.run(hc.RuntimeLogStore(base_path).list_runs)
    for total in (
        result.metrics,
        sums.total.as_metrics(),
        sums.as_dict()["by_agent"]["agent"],
        report["session"]["metrics"],
        spend["total"],
        runs[0].as_metrics(),
        {name: int(line[name]) for name in ("cost_nanousd", "notional_nanousd")},
    ):
        assert (total["cost_nanousd"], total["notional_nanousd"]) == (NANOUSD, 2 * NANOUSD)
    for rows, name in ((report["nodes"], "node_id"), (report["models"], "model")):
        found = {row[name]: (row["cost_nanousd"], row["notional_nanousd"]) for row in rows}
        assert found == {"claude-opus": (0, 2 * NANOUSD), "paid": (NANOUSD, 0)}
    assert [(account.settled, account.held, account.in_doubt) for account in accounts] == [(NANOUSD, 0, 0)]


def test_people_see_both_where_there_are_both(base_path, run):
    """A column and a sentence in every table of costs."""
    run("claude-opus", "paid")
    said = "what calls would have cost that a subscription pays for; it is in no cost"
    for command in (("report",), ("spend",), ("sessions",)):
        shown = cli(base_path, *command)
        assert shown.count("Notional") >= 1
        assert (said in shown) == (command != ("sessions",))
    row = next(text for text in cli(base_path, "report").splitlines() if text.startswith("claude-opus"))
    assert row.split() == ["claude-opus", "1", "1,000", "500", "$0.0000", "$0.0020", "0"]


def test_nobody_sees_a_notional_cost_where_there_is_none(base_path, run):
    """Tables stay as narrow as they were."""
    run("paid")
    assert not [name for name in ("report", "spend", "sessions") if "otional" in cli(base_path, name)]
