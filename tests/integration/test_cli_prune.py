"""`hivecost prune`: the log gets smaller, and neither reports nor budgets notice."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from typer.testing import CliRunner

import hivecost as hc
from hivecost.backends import SpendStore
from hivecost.cli import app
from hivecost.clock import to_ns
from hivecost.reports import load_advice

NOW = datetime.now(UTC)


@pytest.fixture
def run(base_path):
    def run(*arguments, fails=False):
        done = CliRunner().invoke(app, [*arguments, "--data", str(base_path)])
        assert bool(done.exit_code) == fails, (done.output, done.exception)
        return done.exception if fails else done.stdout

    return run


@pytest.fixture
def log(base_path):
    """Twenty days of turns, ten a day, half of them without a price; a session for each two days."""
    book = hc.PriceBook({"m": {"input": 1, "output": 1}})
    turns = []
    for number in range(200):
        day, model = number // 10, ("m", "unknown")[number % 2]
        at_ns = to_ns(NOW - timedelta(days=20 - day, hours=-6)) + number
        usage = hc.Usage(1000, 10)
        cost = book.price(model, usage, at_ns=at_ns)
        fields = {"user_id": "ada", "tags": {"customer": ("acme", "brown")[number % 3 == 0]}, "agent_id": "a"}
        turns.append(
            hc.LLMTurnComplete(
                session_id=f"s{day // 2}",
                node_id="n",
                model=model,
                usage=usage,
                cost=cost,
                timestamp_ns=at_ns,
                **fields,
            )
        )
    anyio.run(hc.Store(base_path).write, turns)
    return turns


def logged(base_path):
    connection = sqlite3.connect(f"file:{base_path / 'hivecost.db'}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT count(*) FROM turns").fetchone()[0]
    finally:
        connection.close()


def test_reports_over_days_stay_exactly_the_same(run, base_path, log):
    """And it says how many rows went, and how much room came free."""

    async def totals():
        return await SpendStore(base_path).totals(by=("day", "model", "user", "agent"), timezone="Europe/Berlin")

    before, sessions = anyio.run(totals), run("sessions", "--json")
    assert "Would prune 100 turns" in run("prune", "--keep", "10d", "--dry-run")
    assert logged(base_path) == 200
    pruned = json.loads(run("prune", "--keep", "10d", "--json"))
    assert (pruned["turns"], logged(base_path)) == (100, 100)
    assert anyio.run(totals) == before
    assert run("sessions", "--json") == sessions
    assert "Pruned 0 turns" in run("prune", "--keep", "10d", "--vacuum")
    assert "Pruned 100 turns and 0 other events. 0." in run(
        "prune", "--before", f"{NOW - timedelta(hours=2):%Y-%m-%dT%H:%M}+00:00"
    )


def test_what_reads_turns_says_that_they_are_gone(run, base_path, log):
    """The session's report, a repricing and the advice; none of them calls them zero."""
    run("prune", "--keep", "10d")
    report = json.loads(run("report", "s0", "--json"))
    assert report["session"]["metrics"]["llm_calls"] == 20
    assert report["unpriced"] == {"the reason was pruned with the turn": 10}
    assert report["pruned_before"] is not None
    assert "the sums are whole" in run("report", "s0")
    assert "none was touched" not in run("report", "s0")
    assert "the sums are whole" not in run("report", "s9")
    repricing = json.loads(run("reprice", "--since", "2020-01-01", "--dry-run", "--json"))
    assert repricing["kept"]["they were pruned from the log"] == 100
    advice = anyio.run(load_advice, base_path, hc.PriceBook(), "s0")
    assert (advice.pruned_calls, advice.left_out_calls) == (20, 0)
    assert "20 calls pruned from the log" in run("advise", "s0")


BUDGETS = [
    hc.Budget("all", "1000 calls", mode="stop_after"),
    hc.Budget("usd", "$1", per="customer", mode="stop_after"),
    hc.Budget("session", "1000000 tokens", window="session", mode="stop_after"),
    hc.Budget("month", "$1", window="month", per=("user", "model"), match={"customer": ["acme"]}, mode="stop_after"),
    hc.Budget("execution", "$1", per="execution", mode="stop_after"),
]


def test_budgets_remember_what_was_pruned(run, base_path, log):
    """A runtime that starts afterwards knows the same spending as one that started before, to the last call."""

    async def status():
        async with hc.AgentRuntime(base_path, budgets=BUDGETS, config={"log": False}) as runtime:
            return runtime.plugins["budget-watcher"].plugin.status()

    before = anyio.run(status)
    run("prune", "--keep", "5d")
    assert logged(base_path) == 50
    assert anyio.run(status) == before
    by_scope = {(row.budget, row.scope): row for row in before}
    assert (by_scope["all", ""].settled, by_scope["all", ""].unpriced_calls) == (200, 0)
    assert by_scope["usd", "customer=brown"].settled == 34 * 1_010_000
    assert by_scope["session", "session=s3"].settled == 20 * 1010
    assert not any(row.budget == "execution" for row in before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one of --keep AGE"),
        (("--keep", "9d", "--before", "2026-01-01"), "one of --keep AGE"),
        (("--keep", "90"), "got '90'"),
        (("--keep", "3m"), "--keep: expected a number of hours, days or weeks"),
        (("--before", "yesteryear"), "--before: expected 'today', 'yesterday'"),
        (("--keep", "0d"), "at least an hour ago"),
    ],
)
def test_what_cannot_be_meant_is_refused(run, base_path, log, arguments, message):
    """In one sentence, before anything is deleted."""
    assert message in str(run("prune", *arguments, fails=True))
    assert logged(base_path) == 200
