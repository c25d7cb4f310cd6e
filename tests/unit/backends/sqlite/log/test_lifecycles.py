"""Executions and the status of sessions follow the events that start and end them."""

from __future__ import annotations

import pytest

from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.events import CustomEvent, ExecutionCompleted, ExecutionStarted, LLMTurnComplete


@pytest.fixture
def log(tmp_path):
    log = RuntimeLog(tmp_path)
    log.open()
    yield log
    log.close()


@pytest.fixture
def read(log, tmp_path, oracle):
    def read(table):
        return oracle.rows(tmp_path / "hivecost.db", f"SELECT * FROM {table}")

    return read


def started(execution_id, at, **more):
    return ExecutionStarted(session_id="s", execution_id=execution_id, timestamp_ns=at, entry_point="api", **more)


def completed(execution_id, at, status="completed", **more):
    return ExecutionCompleted(session_id="s", execution_id=execution_id, timestamp_ns=at, status=status, **more)


def test_a_session_runs_while_any_execution_runs(log, read):
    """Its status is running until the last of its executions ends, and then how that one ended."""
    log.append([started("a", 1), started("b", 2), completed("a", 3, "failed")])
    (session,) = read("sessions")
    assert (session["status"], session["ended_ns"], session["executions"]) == ("running", None, 2)
    log.append([completed("b", 4, "cancelled")])
    (session,) = read("sessions")
    assert (session["status"], session["ended_ns"]) == ("cancelled", 4)
    log.append([started("c", 5)])
    (session,) = read("sessions")
    assert (session["status"], session["ended_ns"], session["executions"]) == ("running", None, 3)


@pytest.mark.parametrize("together", [True, False])
def test_an_end_may_come_before_its_start(log, read, together):
    """The execution has ended all the same, and keeps what either event says."""
    events = [completed("a", 9, "failed", error="ValueError: x", duration_ms=8), started("a", 1, agent_id="planner")]
    for batch in [events] if together else [[event] for event in events]:
        log.append(batch)
    (execution,) = read("executions")
    assert (execution["status"], execution["started_ns"], execution["ended_ns"]) == ("failed", 1, 9)
    assert (execution["error"], execution["duration_ms"], execution["agent_id"]) == ("ValueError: x", 8, "planner")
    assert read("sessions")[0]["status"] == "failed"


def test_an_execution_nobody_announced_is_unknown(log, read):
    """Its turns make it known, and a start that comes late makes it run."""
    log.append([LLMTurnComplete(session_id="s", execution_id="a", timestamp_ns=5)])
    assert [row["status"] for row in read("executions")] == ["unknown"]
    assert [row["status"] for row in read("sessions")] == ["unknown"]
    log.append([started("a", 1)])
    assert [row["status"] for row in read("executions")] == ["running"]
    assert [(row["status"], row["started_ns"], row["executions"]) for row in read("sessions")] == [("running", 1, 1)]


def test_the_same_event_again_changes_nothing(log, read):
    """A start that is delivered again after the end does not start the execution anew."""
    start, end = started("a", 1), completed("a", 2)
    log.append([start, end])
    before = read("executions"), read("sessions")
    log.append([start, end, start])
    assert (read("executions"), read("sessions")) == before


def test_any_event_makes_its_session_known(log, read):
    """With the time it spans and the first agent, user and org it names."""
    log.append(
        [CustomEvent(session_id="s", timestamp_ns=5), CustomEvent(session_id="s", timestamp_ns=3, user_id="ada")]
    )
    log.append([LLMTurnComplete(session_id="s", timestamp_ns=9, agent_id="planner", user_id="bob")])
    (session,) = read("sessions")
    assert (session["started_ns"], session["updated_ns"], session["ended_ns"]) == (3, 9, None)
    assert (session["agent_id"], session["user_id"], session["org_id"]) == ("planner", "ada", "")


def test_what_belongs_to_no_session_is_logged_without_one(log, read):
    """It counts in the time rollups and makes no nameless session."""
    log.append([LLMTurnComplete(), CustomEvent()])
    assert (len(read("turns")), len(read("events")), read("sessions"), read("nodes")) == (1, 1, [], [])
    assert [row["llm_calls"] for row in read("quarter_hours")] == [1]
