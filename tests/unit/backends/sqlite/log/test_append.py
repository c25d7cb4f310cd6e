"""One event that cannot be a row takes no other with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from hivecost.backends.sqlite.database import open_writer
from hivecost.backends.sqlite.log import append as append_module
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.events import ContextCompacted, CustomEvent, Event, ExecutionStarted, LLMTurnComplete, SentPrompt


@pytest.fixture
def log(tmp_path):
    log = RuntimeLog(tmp_path)
    log.open()
    yield log
    log.close()


class Strange:
    """No event at all."""

    event_id = "strange"


CULPRITS = {
    "a number past 64 bits": LLMTurnComplete(session_id="s", timestamp_ns=2**63),
    "a lone surrogate": LLMTurnComplete(session_id="s", model="\ud800"),
    "a lone surrogate in an id": CustomEvent(session_id="\ud800"),
    "no text where text must be": LLMTurnComplete(session_id="s", model=None),
    "an object SQLite cannot hold": LLMTurnComplete(session_id="s", model=object()),
    "bytes where text must be": LLMTurnComplete(session_id="s", node_id=b"\xff"),
    "a payload without JSON": CustomEvent(session_id="s", payload={"x": object()}),
    "tags without JSON": LLMTurnComplete(session_id="s", tags={"a": object()}),
    "a latency that is no number": LLMTurnComplete(session_id="s", latency_ms=float("nan")),
    "no usage": LLMTurnComplete(session_id="s", usage=None),
    "no event": Strange(),
    "an event of no type": Event(session_id="s"),
}


@pytest.mark.parametrize("culprit", CULPRITS.values(), ids=CULPRITS)
def test_only_the_bad_row_is_left_out(log, tmp_path, oracle, culprit):
    """The others are committed, the culprit is named with its fault, and the sums are right."""
    good = [LLMTurnComplete(session_id="s", execution_id="e"), ExecutionStarted(session_id="s", execution_id="e")]
    appended = log.append([good[0], culprit, good[1], good[0]])
    assert appended.inserted == [True, False, True, False]
    assert list(appended.faults) == [1]
    assert oracle.problems(tmp_path / "hivecost.db", [good[0].event_id]) == []
    assert log.append([LLMTurnComplete(session_id="s")]).inserted == [True]


@pytest.mark.parametrize("latency_ms", [12.7, -3, 10**30])
def test_an_odd_latency_costs_no_turn(log, tmp_path, oracle, latency_ms):
    """It is rounded and bounded instead."""
    assert log.append([LLMTurnComplete(latency_ms=latency_ms)]).inserted == [True]
    (turn,) = oracle.rows(tmp_path / "hivecost.db", "SELECT latency_ms FROM turns")
    assert 0 <= turn["latency_ms"] <= 10**9


def test_nothing_partial_is_kept(log, tmp_path, oracle, monkeypatch):
    """A fault between the rows and their sums leaves neither."""

    def fails(connection, last_turn):
        connection.execute("SELECT * FROM missing")

    monkeypatch.setattr(append_module, "fold_turns", fails)
    with pytest.raises(Exception, match="missing"):
        log.append([ExecutionStarted(session_id="s", execution_id="e"), LLMTurnComplete(session_id="s")])
    monkeypatch.undo()
    for table in ("turns", "events", "sessions", "executions"):
        assert oracle.rows(tmp_path / "hivecost.db", f"SELECT 1 FROM {table}") == []


class OwnTurn(LLMTurnComplete, frozen=True, kw_only=True, tag="own_turn"):
    """A turn with a field of its own."""

    prompt_id: str = ""


class TurnOfPrompt(LLMTurnComplete, frozen=True, tag="turn_of_prompt"):
    """A turn with a field of its own, which msgspec puts before the others."""

    prompt_id: str = ""


@pytest.mark.parametrize("own", [OwnTurn, TurnOfPrompt])
def test_a_turn_of_a_class_of_its_own_is_logged_as_a_turn(log, own):
    """What the log has no column for is left out."""
    assert log.append([own(session_id="s", model="gpt-4o", raw_usage={"input": 1}, prompt_id="p")]).inserted == [True]
    row = log.open().execute("SELECT session_id, model, raw_usage FROM turns").fetchone()
    assert row == ("s", "gpt-4o", '{"input":1}')


def test_what_is_known_of_a_prompt_goes_with_the_turn_that_was_inserted(log):
    """Not with another one of its id; what is no SentPrompt is that turn's fault alone."""
    known = SentPrompt(compacted_tokens=5)
    turns = [
        LLMTurnComplete(event_id="a", session_id="s", prompt=known),
        LLMTurnComplete(event_id="a", session_id="s", prompt=SentPrompt(compacted_tokens=7)),
        LLMTurnComplete(event_id="b", session_id="s"),
        LLMTurnComplete(event_id="b", session_id="s", prompt=known),
    ]
    assert log.append(turns).inserted == [True, False, True, False]
    wrong = log.append([LLMTurnComplete(event_id="c", prompt="long"), LLMTurnComplete(event_id="d", prompt=known)])
    assert wrong.inserted == [False, True]
    assert isinstance(wrong.faults[0], TypeError)
    rows = log.open().execute("SELECT event_id, prompt FROM turns ORDER BY id").fetchall()
    assert rows == [("a", '{"compacted_tokens":5}'), ("b", None), ("d", '{"compacted_tokens":5}')]
    sums = log.open().execute("SELECT later_turns, spared_tokens FROM compactions").fetchall()
    assert sums == [(1, 5)]


#: Tables that came later: the sums of hours and days.
OF_HOURS = (
    *("hour_values", "day_values", "day_histograms", "summing", "unsummed_hours", "summed_days"),
    *("summed_tags", "unsummed_tags"),
)


def test_a_folder_from_before_gets_the_sums_of_its_compactions(log, tmp_path):
    """Of those that were done, by session and node."""
    done = {"session_id": "s", "tokens_before": 9, "tokens_after": 4}
    log.append(
        [
            *[ContextCompacted(**done, cost_nanousd=cost) for cost in (3, None)],
            ContextCompacted(**done, node_id="n", cache_rewrite_nanousd=8),
            ContextCompacted(**done, status="failed"),
            ContextCompacted(tokens_before=5),
        ]
    )
    sums = log.open().execute("SELECT * FROM compactions").fetchall()
    assert [row[:7] for row in sums] == [("s", "", 2, 10, 3, 0, 1), ("s", "n", 1, 5, 0, 8, 0)]
    log.close()
    with closing(sqlite3.connect(tmp_path / "hivecost.db")) as older:
        for statement in (
            *(f"DROP TABLE {name}" for name in OF_HOURS),
            *("DROP TABLE compactions", "DROP TABLE carried_results", "ALTER TABLE turns DROP COLUMN prompt"),
            "PRAGMA user_version = 13",
        ):
            older.execute(statement)
    with closing(open_writer(tmp_path)) as migrated:
        assert migrated.execute("SELECT * FROM compactions").fetchall() == sums
