"""No statement that a page or a prompt waits for walks through a whole table; each is named and described."""

from __future__ import annotations

import re

import pytest

from hivecost.backends.sqlite.reading.source import Source
from hivecost.backends.sqlite.statements import statements
from hivecost.events import LLMTurnComplete
from hivecost.log import Filter, Window

PLANS = {
    "sums of whole days": (
        lambda log: log.sums(["model"], Window(0, 900 * 10**9)),
        {"quarter_hours USING PRIMARY KEY (quarter_hour>? AND quarter_hour<?)"},
    ),
    "sums of an hour": (
        lambda log: log.sums((), Window(1, 3600 * 10**9)),
        {
            "quarter_hours USING PRIMARY KEY (quarter_hour>? AND quarter_hour<?)",
            "turns USING INDEX turns_by_time (timestamp_ns>? AND timestamp_ns<?)",
            "pruned_turns USING INDEX pruned_turns_by_quarter_hour (quarter_hour>? AND quarter_hour<?)",
        },
    ),
    "sums of users, turn by turn": (
        lambda log: log.sums(["user", "tags"], Window(1, 3600 * 10**9), filter=Filter(user=("ada", "bob"))),
        {
            "turns USING INDEX turns_by_time (timestamp_ns>? AND timestamp_ns<?)",
            "pruned_turns USING INDEX pruned_turns_by_quarter_hour (quarter_hour>? AND quarter_hour<?)",
        },
    ),
    "sums up to a turn": (
        lambda log: log.sums(["tags"], Window(1, 3600 * 10**9), until=log.turns().cursor),
        {
            "turns USING INDEX turns_by_time (timestamp_ns>? AND timestamp_ns<?)",
            "pruned_turns USING INDEX pruned_turns_by_quarter_hour (quarter_hour>? AND quarter_hour<?)",
        },
    ),
    "sums of a session's nodes": (
        lambda log: log.sums(["node", "model"], filter=Filter(session="s")),
        {"nodes USING PRIMARY KEY (session_id=?)"},
    ),
    "sums of sessions, turn by turn": (
        lambda log: log.sums(["reason"], filter=Filter(session=("s", "t"))),
        {
            "turns USING INDEX turns_by_session (session_id=?)",
            "pruned_turns USING PRIMARY KEY (session_id=?)",
        },
    ),
    "sums of a session in a window": (
        lambda log: log.sums(["tags"], Window(900 * 10**9), filter=Filter(session=("s", "t"))),
        {
            "turns USING INDEX turns_by_session (session_id=?)",
            "pruned_turns USING PRIMARY KEY (session_id=?)",
        },
    ),
    "what turns add": (lambda log: log.turn_sums(), {"turns USING INTEGER PRIMARY KEY (rowid>?)"}),
    "sessions": (
        lambda log: log.sessions(),
        {"sessions USING INDEX sessions_by_start (started_ns>? AND started_ns<?)"},
    ),
    "an agent's sessions": (
        lambda log: log.sessions(agent="a"),
        {"sessions USING INDEX sessions_by_start (started_ns>? AND started_ns<?)"},
    ),
    "executions": (
        lambda log: log.executions(),
        {"executions USING INDEX executions_by_start (started_ns>? AND started_ns<?)"},
    ),
    "a session's executions": (
        lambda log: log.executions(session_id="s"),
        {"executions USING INDEX executions_by_end (session_id=?)"},
    ),
    "a session's events": (
        lambda log: log.events(filter=Filter(session="s")),
        {"events USING INDEX events_by_session (session_id=? AND rowid>?)"},
    ),
    "a session repriced": (
        lambda log: log.repriced("s"),
        {"repricings USING INDEX repricings_by_turn (session_id=?)"},
    ),
    "turns": (lambda log: log.turns(), {"turns USING INTEGER PRIMARY KEY (rowid>?)"}),
    "turns of a session": (
        lambda log: log.turns(filter=Filter(session="s")),
        {"turns USING INDEX turns_by_session (session_id=? AND rowid>?)"},
    ),
    "events": (lambda log: log.events(), {"events USING INTEGER PRIMARY KEY (rowid>?)"}),
    "nodes": (lambda log: log.nodes("s"), {"nodes USING PRIMARY KEY (session_id=?)"}),
    "steps": (lambda log: log.steps("s"), {"turns USING INDEX turns_by_session (session_id=?)"}),
    "accounts": (lambda log: log.accounts(0), {"a USING INDEX ledger_accounts_by_end (end_ns>?)"}),
}


@pytest.mark.parametrize("name", PLANS)
def test_reading_searches(log, write, monkeypatch, name):
    """By the index that is meant."""
    read, expected = PLANS[name]
    write(LLMTurnComplete())
    plans, select = [], Source.select

    def explained(self, sql, parameters):
        plans.extend(row[3] for row in select(self, f"EXPLAIN QUERY PLAN {sql}", parameters))
        return select(self, sql, parameters)

    monkeypatch.setattr(Source, "select", explained)
    read(log)
    searched = {plan.removeprefix("SEARCH ") for plan in plans}
    assert expected <= searched, plans
    assert not [
        plan
        for plan in plans
        if re.match(r"SCAN (turns|events|quarter_hours|pruned_turns|nodes|sessions|executions|repricings|a)\b", plan)
    ]


@pytest.mark.parametrize("file_name", ["lease_bank/ledger.sql", "log_state.sql", "reading/reading.sql"])
def test_every_statement_says_what_it_is_for(file_name):
    """A sentence between its name and itself."""
    for name, sql in statements(file_name).items():
        assert re.match(r"-- [A-Z].*\.\n", sql), name
