"""`hivecost reprice`: old and new side by side, both kept, and nothing of the log rewritten."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime

import anyio
import pytest
from typer.testing import CliRunner

import hivecost as hc
from hivecost.backends import open_log
from hivecost.cli import app
from hivecost.clock import to_ns

START_NS = to_ns(datetime(2026, 11, 1, 12, tzinfo=UTC))
TURNS = 2500


@pytest.fixture
def log(base_path):
    """2,500 turns, one a minute: a third without a price, every tenth with a bill of its own."""
    book = hc.PriceBook({"cheap": {"input": 1, "output": 1}})
    turns = []
    for number in range(TURNS):
        usage, at_ns = hc.Usage(input_tokens=1000 + number, output_tokens=10), START_NS + number * 60 * 10**9
        model = ("cheap", "gpt-4o", "house")[number % 3]
        bill = 7 if number % 10 == 0 else None
        cost = book.price(model, usage, at_ns=at_ns, reported_nanousd=bill)
        turns.append(
            hc.LLMTurnComplete(
                session_id=f"s{number % 2}", execution_id="e", model=model, usage=usage, cost=cost, timestamp_ns=at_ns
            )
        )
    anyio.run(hc.Store(base_path).write, turns)
    return turns


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("[prices.cheap]\ninput = 3\noutput = 1\n[prices.house]\ninput = 2\noutput = 1\n")
    return path


@pytest.fixture
def reprice(base_path, table):
    def reprice(*arguments) -> dict:
        command = ["reprice", "--prices", str(table), "--data", str(base_path), "--json", *arguments]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)

    return reprice


def dump(base_path, table):
    connection = sqlite3.connect(f"file:{base_path / 'hivecost.db'}?mode=ro", uri=True)
    try:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
    finally:
        connection.close()


def everything_else(base_path):
    return {
        name: dump(base_path, name)
        for name in ("turns", "events", "sessions", "executions", "nodes", "quarter_hours")
        if name in {row[1] for row in dump(base_path, "sqlite_master")}
    }


def test_both_are_kept_and_the_log_is_not_rewritten(log, reprice, base_path):
    """Every turn that a table decides has a row with its old and its new amount; turns and sums are as they were."""
    before = everything_else(base_path)
    report = reprice("--since", "2026-11-01")
    assert everything_else(base_path) == before
    decided = [turn for turn in log if turn.cost.status is not hc.CostStatus.REPORTED]
    assert report["total"]["calls"] == len(decided)
    assert report["kept"] == {"billed by the provider itself": TURNS - len(decided)}
    assert report["total"]["old_nanousd"] == sum(turn.cost.nanousd or 0 for turn in decided)
    assert report["total"]["newly_priced_calls"] == sum(turn.model == "house" for turn in decided)
    rows = {row[1]: row for row in dump(base_path, "repricings")}
    assert {row[0] for row in rows.values()} == {report["run_id"]}
    assert set(rows) == {turn.event_id for turn in decided}
    for turn in decided:
        old, new = rows[turn.event_id][3:5]
        assert old == turn.cost.nanousd
        rate = {"cheap": 3000, "house": 2000, "gpt-4o": 2500}[turn.model]
        assert new == turn.usage.input_tokens * rate + (10_000 * 10 if turn.model == "gpt-4o" else 1000 * 10)
    assert sum(row[4] for row in rows.values()) == report["total"]["new_nanousd"]
    assert sum(line["new_nanousd"] for line in report["models"]) == report["total"]["new_nanousd"]


def test_a_dry_run_writes_nothing(log, reprice, base_path):
    """The same figures, and the database as it was."""
    dry = reprice("--since", "2026-11-01", "--dry-run")
    assert dump(base_path, "repricings") == []
    real = reprice("--since", "2026-11-01")
    assert {**dry, "run_id": real["run_id"]} == real
    assert dry["run_id"] == ""


def test_only_what_was_asked_for(log, reprice):
    """From `since`, up to `until`, of one model."""
    moments = ["--since", "2026-11-01T13:00Z", "--until", "2026-11-01T14:00Z"]
    asked = [
        turn
        for turn in log
        if 60 <= (turn.timestamp_ns - START_NS) // (60 * 10**9) < 120 and turn.cost.status is not hc.CostStatus.REPORTED
    ]
    assert reprice(*moments)["total"]["calls"] == len(asked)
    (line,) = reprice(*moments, "--model", "house")["models"]
    assert line["calls"] == sum(turn.model == "house" for turn in asked)
    assert reprice("--since", "2030-01-01")["run_id"] == ""


def test_a_session_shows_its_last_repricing_beside_its_own_costs(log, reprice, table, base_path):
    """Of several repricings the last one counts; deleting the session takes them along."""
    assert open_log(base_path).repriced("s0") is None
    reprice("--since", "2026-11-01")
    table.write_text("[prices.cheap]\ninput = 0\noutput = 0\n[prices.house]\ninput = 0\noutput = 0\n")
    second = reprice("--since", "2026-11-01")
    both = [open_log(base_path).repriced(session) for session in ("s0", "s1")]
    assert sum(one.new_nanousd for one in both) == second["total"]["new_nanousd"]
    assert sum(one.old_nanousd for one in both) == second["total"]["old_nanousd"]
    assert {one.snapshot for one in both} == {second["snapshot"]}
    assert anyio.run(hc.SessionStore(base_path).delete_session, "s0")
    assert {row[2] for row in dump(base_path, "repricings")} == {"s1"}


def test_a_log_that_is_not_there_stays_so(base_path):
    """It is said, and nothing is made there."""
    done = CliRunner().invoke(app, ["reprice", "--since", "2026-11-01", "--data", str(base_path)])
    assert isinstance(done.exception, hc.SessionNotFoundError)
    assert not base_path.exists()


def test_it_reads_well(log, table, base_path):
    """Unknown is written out, never as zero."""
    done = CliRunner().invoke(
        app, ["reprice", "--since", "2026-11-01", "--dry-run", "--prices", str(table), "--data", str(base_path)]
    )
    (house,) = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["house"]]
    assert "unknown" in house
    assert "A dry run: nothing was written." in done.stdout


def test_what_still_has_no_price_is_not_said_to_cost_nothing(base_path):
    """Neither before nor after, nor is there a difference; the session's report says the same."""
    turn = hc.LLMTurnComplete(session_id="s", execution_id="e", model="house", usage=hc.Usage(10, 10))
    anyio.run(hc.Store(base_path).write, [turn])
    shown = CliRunner().invoke(app, ["reprice", "--since", "2020-01-01", "--data", str(base_path)]).stdout
    assert shown.count("unknown") == 6
    report = CliRunner().invoke(app, ["report", "s", "--data", str(base_path)]).stdout
    assert "Repriced  unknown at rates" in report
    assert "for 1 call whose cost was unknown at the time" in report
    assert "$0.0000" not in shown + report
