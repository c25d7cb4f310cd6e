"""Advice over a time is that of the same turns, whether they are asked for by session or by anything else."""

from __future__ import annotations

import json

from .conftest import counted


def advise(hivecost, *arguments):
    return json.loads(hivecost("advise", "--json", *arguments))


def test_of_one_session(hivecost, month):
    """As ever: its sums are those of its turns."""
    turns = [turn.event for turn in month[1] if turn.event.session_id == "session_00012"]
    found = advise(hivecost, "session_00012")
    assert found["cost_nanousd"] == sum(counted(turn)["cost_nanousd"] for turn in turns)
    assert found["session_id"] == "session_00012"


def test_of_a_time(hivecost, month):
    """Its sums are the fold; what caching saved is worked out from the rate of each turn."""
    turns = [
        turn.event for turn in month[1] if str(turn.at.date()) == "2026-11-12" and turn.event.agent_id == "planner"
    ]
    found = advise(hivecost, "--since", "2026-11-12", "--until", "2026-11-12", "--agent", "planner")
    assert found["session_id"] == ""
    assert found["cost_nanousd"] == sum(counted(turn)["cost_nanousd"] for turn in turns)
    assert found["cached_tokens"] == sum(turn.usage.cache_read_tokens for turn in turns)
    read = {"big": 2_700, "small": 112, "middle": 720}
    write = {"big": -750, "small": -35, "middle": -200}
    saved = sum(
        turn.usage.cache_read_tokens * read[turn.model] + turn.usage.cache_write_tokens * write[turn.model]
        for turn in turns
        if turn.cost is not None and turn.cost.rate
    )
    assert found["cache_saved_nanousd"] == saved
    assert found["pruned_calls"] == 0


def test_it_reads_well(hivecost):
    shown = hivecost("advise", "--since", "2026-11-12", "--until", "2026-11-12", "--user", "user-3", "--user", "user-3")
    assert "What could be saved  2026-11-12 00:00 until 2026-11-13 00:00 (UTC)" in shown
    assert "advise: expected a session, or --since" in hivecost("advise", "latest", "--since", "today", status=2)
