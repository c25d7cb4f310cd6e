"""One event that cannot be a row takes no other with it."""

from __future__ import annotations

import pytest

from hivecost.backends.sqlite.log import append as append_module
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.events import CustomEvent, Event, ExecutionStarted, LLMTurnComplete


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
