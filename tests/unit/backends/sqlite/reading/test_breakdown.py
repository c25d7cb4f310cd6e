"""What a report adds to the sums of a session: its events, and why turns have no cost."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from hivecost.backends.sqlite.reading import session_events, unpriced_reasons
from hivecost.errors import StoreCorruptError
from hivecost.events import BudgetWarning, Cost, CostStatus, CustomEvent, EventType, LLMTurnComplete

pytestmark = pytest.mark.anyio


async def test_events_of_the_session_by_type_oldest_first(tmp_path, write):
    """Other sessions, and other types, are left out."""
    early = BudgetWarning(session_id="s", timestamp_ns=1, budget="a")
    late = BudgetWarning(session_id="s", timestamp_ns=2, budget="b")
    await write(late, early, BudgetWarning(session_id="t"), CustomEvent(session_id="s"))
    assert await session_events(tmp_path, "s", [EventType.BUDGET_WARNING]) == [early, late]


async def test_unpriced_turns_are_counted_by_reason(tmp_path, write):
    """Known costs, a cost of zero included, are not among them."""
    await write(
        *(LLMTurnComplete(session_id="s", cost=Cost(status=CostStatus.UNPRICED, reason="no rate")) for _ in range(2)),
        LLMTurnComplete(session_id="s"),
        LLMTurnComplete(session_id="s", cost=Cost(status=CostStatus.PRICED, nanousd=0)),
        LLMTurnComplete(session_id="t"),
    )
    assert await unpriced_reasons(tmp_path, "s") == {"no rate": 2, "no price table was asked": 1}


async def test_a_damaged_event_is_a_named_error(tmp_path, write):
    """The log says that it is damaged, not that some JSON is."""
    await write(CustomEvent(session_id="s"))
    with closing(sqlite3.connect(tmp_path / "hivecost.db", isolation_level=None)) as connection:
        connection.execute("UPDATE events SET payload = '{'")
    with pytest.raises(StoreCorruptError, match=r"hivecost\.db"):
        await session_events(tmp_path, "s", [EventType.CUSTOM])
