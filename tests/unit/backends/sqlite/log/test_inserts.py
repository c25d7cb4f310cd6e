"""Many rows with one statement: the same rows, in the same order, as one by one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.backends.sqlite.log.inserts import EVENTS, TURNS, insert
from hivecost.backends.sqlite.schema import migrate
from hivecost.events import CustomEvent, LLMTurnComplete

KINDS = {TURNS: LLMTurnComplete, EVENTS: CustomEvent}


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, 0, Path(":memory:"))
    yield connection
    connection.close()


@pytest.mark.parametrize("table", KINDS, ids=lambda table: table.name)
@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 700), st.integers(1, 300)), max_size=4))
def test_what_is_new_goes_in_once_and_in_order(table, parts):
    """In parts of any size that overlap in any way, each says how many of its own were new."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, 0, Path(":memory:"))
    ids = []
    for first, count in parts:
        events = [KINDS[table](event_id=str(number), session_id="s") for number in range(first, first + count)]
        new = [event.event_id for event in events if event.event_id not in ids]
        assert insert(connection, table, events) == len(new)
        ids += new
    logged = connection.execute(f"SELECT event_id, session_id FROM {table.name} ORDER BY id").fetchall()
    assert logged == [(event_id, "s") for event_id in ids]
    connection.close()


@pytest.mark.parametrize("count", [1, 5, 999, 1000])
def test_statements_are_few(connection, count):
    """Whatever the number of rows."""
    statements = []
    connection.set_trace_callback(statements.append)
    insert(connection, TURNS, [LLMTurnComplete() for _ in range(count)])
    assert len(statements) <= 12
