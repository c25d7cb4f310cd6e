"""S3: sums derive from rows really inserted, in the same transaction."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.backends.sqlite.log.deletion import _delete
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.events import (
    CarriedResults,
    Cost,
    CostStatus,
    ExecutionCompleted,
    ExecutionStarted,
    LLMTurnComplete,
    SentPrompt,
    Usage,
)

names = st.sampled_from(["", "a", "b"])
costs = st.one_of(
    st.none(),
    st.builds(Cost, status=st.just(CostStatus.UNPRICED)),
    st.builds(Cost, status=st.just(CostStatus.INVALID)),
    st.builds(
        Cost,
        status=st.sampled_from([CostStatus.PRICED, CostStatus.REPORTED, CostStatus.ESTIMATED]),
        nanousd=st.one_of(st.integers(0, 10**15), st.integers(10**15, 2**70), st.none()),
        notional_nanousd=st.one_of(st.none(), st.integers(0, 10**15), st.integers(-(2**70), 2**70)),
    ),
)
usages = st.builds(
    lambda read, write, rest, thought, said: Usage(read + write + rest, thought + said, read, write, 0, thought),
    *[st.integers(0, 1000)] * 5,
)
#: Few ids, so that batches are full of duplicates that differ in everything else.
attribution = {
    "event_id": st.integers(0, 30).map(str),
    "session_id": names,
    "execution_id": names,
    "node_id": names,
    "agent_id": names,
    "user_id": names,
    "org_id": names,
    "timestamp_ns": st.integers(-(10**13), 10**13),
}
amounts = st.one_of(st.none(), st.integers(0, 10**15))
prompts = st.builds(
    SentPrompt,
    compacted_tokens=st.integers(0, 10**9),
    saved_nanousd=amounts,
    carried=st.lists(st.builds(CarriedResults, names, *[st.integers(0, 10**9)] * 2, amounts), max_size=3).map(tuple),
)
turns = st.builds(
    LLMTurnComplete,
    **attribution,
    model=names,
    provider=names,
    usage=usages,
    cost=costs,
    latency_ms=st.integers(-5, 10**12),
    prompt=st.one_of(st.none(), prompts),
)
starts = st.builds(ExecutionStarted, **attribution)
ends = st.builds(ExecutionCompleted, **attribution, status=st.sampled_from(["completed", "failed", "cancelled"]))
batches = st.lists(st.lists(st.one_of(turns, turns, starts, ends), max_size=12), max_size=8)


@settings(deadline=None, max_examples=60)
@given(batches=batches, writers=st.lists(st.integers(0, 2), min_size=8, max_size=8))
def test_every_rollup_is_the_fold_of_the_log(oracle, batches, writers):
    """Whatever the batches hold, and whichever of several writers of one file commits them."""
    with tempfile.TemporaryDirectory() as folder:
        logs = [RuntimeLog(Path(folder)) for _ in range(3)]
        known = set()
        for batch, writer in zip(batches, writers, strict=False):
            appended = logs[writer].append(batch)
            for event, inserted in zip(batch, appended.inserted, strict=True):
                key = (isinstance(event, LLMTurnComplete), event.event_id)
                assert inserted == (key not in known)
                known.add(key)
        for log in logs:
            log.close()
        if batches:
            assert oracle.problems(Path(folder) / "hivecost.db") == []


@settings(deadline=None, max_examples=40)
@given(batches=batches, session_id=st.sampled_from(["a", "b"]))
def test_a_deleted_session_leaves_the_sums_of_the_others(oracle, batches, session_id):
    """Nothing of it is left, and the time rollups are the fold of what remains."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hivecost.db"
        log = RuntimeLog(Path(folder))
        log.open()
        for batch in batches:
            log.append(batch)
        there = bool(oracle.rows(path, f"SELECT 1 FROM sessions WHERE session_id = '{session_id}'"))
        assert _delete(Path(folder), session_id) == there
        log.close()
        assert oracle.problems(path) == []
        for table in ("turns", "events", "executions", "nodes", "sessions"):
            assert oracle.rows(path, f"SELECT 1 FROM {table} WHERE session_id = '{session_id}'") == []
        assert oracle.rows(path, "SELECT 1 FROM quarter_hours WHERE llm_calls = 0") == []


@pytest.mark.parametrize("nanousd", [-1, 10**15 + 1, 2**63, 2**200])
def test_a_notional_cost_that_cannot_be_is_left_out(oracle, tmp_path, nanousd):
    """The turn keeps what was paid for it."""
    log = RuntimeLog(tmp_path)
    cost = Cost(status=CostStatus.PRICED, nanousd=0, source="subscription", notional_nanousd=nanousd)
    log.append([LLMTurnComplete(session_id="s", cost=cost)])
    log.close()
    (session,) = oracle.rows(tmp_path / "hivecost.db", "SELECT * FROM sessions")
    assert (session["invalid_calls"], session["cost_nanousd"], session["notional_nanousd"]) == (0, 0, 0)


@pytest.mark.parametrize("nanousd", [-1, 10**15 + 1, 2**63, 2**200])
def test_a_cost_that_cannot_be_is_kept_as_invalid(oracle, tmp_path, nanousd):
    """The turn is logged and counted as invalid, and spoils no sum."""
    log = RuntimeLog(tmp_path)
    log.append([LLMTurnComplete(session_id="s", cost=Cost(status=CostStatus.PRICED, nanousd=nanousd))])
    log.close()
    (session,) = oracle.rows(tmp_path / "hivecost.db", "SELECT * FROM sessions")
    assert (session["invalid_calls"], session["cost_nanousd"], session["llm_calls"]) == (1, 0, 1)
    (turn,) = oracle.rows(tmp_path / "hivecost.db", "SELECT * FROM turns")
    assert "cannot be" in turn["reason"]
