"""No query of a store and no fold of a batch walks through a whole table."""

from __future__ import annotations

import pytest

from hivecost.backends.sqlite import open_reader
from hivecost.backends.sqlite.log import lifecycles, rollups
from hivecost.backends.sqlite.log.summing import marks, upkeep
from hivecost.backends.sqlite.reading import runtime_log, sessions
from hivecost.backends.sqlite.statements import READING, statement

SESSION = {"session_id": "s"}
NAMES = (
    *(
        "session_id",
        "status",
        "agent_id",
        "node_id",
        "first_ns",
        "end_ns",
        "limit",
        "after_ns",
        "after_id",
    ),
    *("last_turn", "last_event", "last_execution"),
)
QUERIES = {
    "read a session": (
        statement(READING, "session", columns=sessions.SESSION_COLUMNS, sessions=sessions.SESSIONS),
        "sessions USING PRIMARY KEY (session_id=?)",
    ),
    "list sessions": (sessions.list_sessions_sql({}), "sessions_by_start (started_ns>? AND started_ns<?)"),
    "list an agent's": (
        sessions.list_sessions_sql({"agent_id": "a"}),
        "sessions_by_start (started_ns>? AND started_ns<?)",
    ),
    "load nodes": (runtime_log.NODES, "nodes USING PRIMARY KEY (session_id=?)"),
    "load steps": (runtime_log.load_steps_sql({}), "turns_by_session (session_id=?)"),
    "load a node's": (runtime_log.load_steps_sql({"node_id": "n"}), "turns_by_session (session_id=?)"),
    "models of nodes": (statement(READING, "models_of_nodes"), "nodes USING PRIMARY KEY (session_id=?)"),
    "list runs": (runtime_log.list_runs_sql({}), "executions_by_start (started_ns>? AND started_ns<?)"),
    "list a session's": (runtime_log.list_runs_sql(SESSION), "executions_by_end (session_id=?)"),
    "fold time": (rollups._FOLD_TIME, "turns USING INTEGER PRIMARY KEY (rowid>?)"),
    "fold nodes": (rollups._FOLD_NODES, "turns USING INTEGER PRIMARY KEY (rowid>?)"),
    "fold executions": (rollups._FOLD_EXECUTIONS, "turns USING INTEGER PRIMARY KEY (rowid>?)"),
    "fold sessions": (rollups._FOLD_SESSIONS, "turns USING INTEGER PRIMARY KEY (rowid>?)"),
    "subtract a session": (rollups._SUBTRACT_TIME, "turns_by_session (session_id=?)"),
    "subtract a pruned session": (
        rollups._SUBTRACT_PRUNED_TIME,
        "pruned_turns USING PRIMARY KEY (session_id=?)",
    ),
    "drop what is empty": (rollups._DROP_EMPTY_TIME, "quarter_hours USING PRIMARY KEY (quarter_hour=?)"),
    "start executions": (lifecycles._START_EXECUTIONS, "events USING INTEGER PRIMARY KEY (rowid>?)"),
    "end executions": (lifecycles._END_EXECUTIONS, "events USING INTEGER PRIMARY KEY (rowid>?)"),
    "see sessions": (lifecycles._SEE_SESSIONS, "events USING INTEGER PRIMARY KEY (rowid>?)"),
    "count executions": (lifecycles._COUNT_EXECUTIONS, "executions USING INTEGER PRIMARY KEY (rowid>?)"),
    "set the status": (
        lifecycles._SET_STATUS,
        "COVERING INDEX executions_by_end (session_id=? AND ended_ns=? AND status=?)",
    ),
}


@pytest.mark.parametrize(("sql", "index"), QUERIES.values(), ids=QUERIES)
def test_the_planner_uses_the_index(tmp_path, sql, index):
    """Every table is searched, and by the index that was made for it."""
    connection = open_reader(tmp_path)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(NAMES, 0))]
    connection.close()
    assert any(index in step for step in plan), plan
    scanned = [step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
    assert [step for step in scanned if "subquery" not in step] == []


SPANS = {"quarter_hour": "0", "keys": "value,", "sums": "sum(llm_calls)", "where": "", "group": "GROUP BY 1, 2"}
SUMS = {
    "mark late turns": (
        marks._MARK.format(hours=marks._OF_NEW_TURNS),
        "SEARCH turns USING INTEGER PRIMARY KEY (rowid>?)",
    ),
    "mark a session": (marks._MARK.format(hours=marks._OF_SESSION), "turns_by_session (session_id=?)"),
    "mark entry points": (
        marks._MARK.format(hours=marks._OF_ENTRY_POINTS),
        "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)",
    ),
    "sums of hours": (
        statement(READING, "sums_of_hours", **SPANS),
        "SEARCH hour_values USING PRIMARY KEY (dimension=? AND hour>? AND hour<?)",
    ),
    "sums of days": (
        statement(READING, "sums_of_days", **SPANS),
        "SEARCH day_values USING PRIMARY KEY (dimension=? AND phase=? AND first>? AND first<?)",
    ),
    "calls of days": (
        statement(READING, "calls_of_days", where=""),
        "SEARCH day_histograms USING PRIMARY KEY (measure=? AND first>? AND first<?)",
    ),
    "the next day to be summed": (upkeep._NEXT_DAY, "USING INDEX unsummed_days"),
}


@pytest.mark.parametrize(("sql", "index"), SUMS.values(), ids=SUMS)
def test_sums_of_hours_are_searched(tmp_path, sql, index):
    """By what was asked for, and marked by what is new."""
    names = (*NAMES, "spans", "dimension", "measure", "end_hour")
    connection = open_reader(tmp_path)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(names, 0))]
    connection.close()
    assert any(index in step for step in plan), plan
