"""`event.data` reads like a mapping, as handlers expect."""

from __future__ import annotations

import multiprocessing

import pytest

from hivecost.errors import UsageInvalidError
from hivecost.events import (
    ContextCompacted,
    Cost,
    CostStatus,
    CustomEvent,
    ExecutionCompleted,
    LLMTurnComplete,
    Totals,
    Usage,
    new_event_id,
)


def test_a_turn_shows_its_counts_flat():
    """Tokens, cost and model stand side by side; an unknown cost is None, not zero."""
    turn = LLMTurnComplete(model="gpt-4o", usage=Usage(100, 20, cache_read_tokens=30), agent_id="planner")
    assert turn.data["model"] == "gpt-4o"
    assert turn.data["agent_id"] == "planner"
    assert [turn.data[k] for k in ("input_tokens", "output_tokens", "total_tokens", "cached_tokens")] == [
        100,
        20,
        120,
        30,
    ]
    assert turn.data["cost_usd"] is None
    assert turn.data["cost_status"] == "unpriced"
    assert turn.data.get("nothing", 7) == 7
    priced = LLMTurnComplete(cost=Cost(status=CostStatus.PRICED, nanousd=1_500_000))
    assert priced.data["cost_usd"] == 0.0015


def test_data_cannot_be_written_to():
    """A handler cannot think it changed an event."""
    with pytest.raises(TypeError):
        LLMTurnComplete().data["model"] = "other"


def test_compaction_derives_what_was_saved():
    """tokens_saved and savings_pct follow from before and after, an empty context included."""
    data = ContextCompacted(tokens_before=2_000, tokens_after=500, strategy="summarize").data
    assert (data["tokens_saved"], data["savings_pct"]) == (1_500, 75.0)
    assert ContextCompacted().data["savings_pct"] == 0.0


def test_a_completed_execution_gives_its_cost_as_a_number():
    """`cost` goes straight into a histogram."""
    data = ExecutionCompleted(
        cost_nanousd=123_000_000, input_tokens=5, output_tokens=6, agent_id="a", entry_point="e"
    ).data
    assert data["cost"] == 0.123
    assert data["total_tokens"] == 11
    assert (data["status"], data["agent_id"], data["entry_point"]) == ("completed", "a", "e")


def test_a_custom_event_shows_its_payload():
    """The payload's names win over the event's own."""
    assert CustomEvent(name="n", payload={"name": "theirs", "x": 1}).data["name"] == "theirs"


@pytest.mark.parametrize(
    ("counts", "named"),
    [
        ({"input_tokens": -1}, "input_tokens"),
        ({"output_tokens": 1.0}, "output_tokens"),
        ({"output_tokens": float("nan")}, "output_tokens"),
        ({"input_tokens": "7"}, "input_tokens"),
        ({"input_tokens": True}, "input_tokens"),
        ({"input_tokens": None}, "input_tokens"),
        ({"input_tokens": 10**9 + 1}, "1,000,000,000"),
        ({"input_tokens": 10, "cache_read_tokens": 11}, "cache_read_tokens"),
        ({"input_tokens": 10, "cache_read_tokens": 6, "cache_write_tokens": 6}, "must include"),
        ({"output_tokens": 10, "reasoning_tokens": 11}, "reasoning_tokens"),
        ({"input_tokens": 10, "cache_write_tokens": 5, "cache_write_1h_tokens": 6}, "cache_write_1h_tokens"),
    ],
)
def test_impossible_counts_are_a_named_error(counts, named):
    """Usage cannot be made of what cannot be."""
    with pytest.raises(UsageInvalidError, match=named):
        Usage(**counts)


def test_totals_count_unknown_costs_apart():
    """An unpriced turn adds tokens and one unpriced call, and nothing to the cost."""
    totals = Totals()
    for cost in (Cost(status=CostStatus.PRICED, nanousd=7), None, Cost(status=CostStatus.ESTIMATED, nanousd=1)):
        totals = totals.plus(LLMTurnComplete(usage=Usage(10, 5), cost=cost))
    totals = totals.plus(LLMTurnComplete(cost=Cost(status=CostStatus.UNPRICED)))
    totals = totals.plus(LLMTurnComplete(cost=Cost(status=CostStatus.INVALID)))
    metrics = totals.as_metrics()
    assert (metrics["llm_calls"], metrics["total_tokens"], metrics["cost_nanousd"]) == (5, 45, 8)
    assert (metrics["unpriced_calls"], metrics["invalid_calls"], metrics["estimated_calls"]) == (2, 1, 1)


def test_what_a_subscription_pays_for_is_a_sum_of_its_own():
    """What turns would have cost stands beside what was paid, in no other sum, and in the metrics only where it is."""
    paid = Totals().plus(LLMTurnComplete(cost=Cost(status=CostStatus.PRICED, nanousd=7)))
    assert {"notional_nanousd", "notional_usd"}.isdisjoint(paid.as_metrics())
    both = paid
    for notional in (2_000_000_000, None):
        free = Cost(status=CostStatus.PRICED, nanousd=0, source="subscription", notional_nanousd=notional)
        both = both.plus(LLMTurnComplete(cost=free))
    metrics = (both + both).as_metrics()
    assert (metrics["notional_nanousd"], metrics["notional_usd"], metrics["cost_nanousd"]) == (4_000_000_000, 4.0, 14)


def test_totals_are_values():
    """What was handed out stays as it was: more turns make other totals."""
    none = Totals()
    one = none.plus(LLMTurnComplete(usage=Usage(10, 5), latency_ms=3))
    assert (none.llm_calls, one.llm_calls, (one + one).llm_calls) == (0, 1, 2)
    assert one + none == one
    assert (one + one).as_metrics() == {name: 2 * amount for name, amount in one.as_metrics().items()}
    assert {one: "may be a key"}[none + one] == "may be a key"


def _ids(count: int) -> list[str]:
    return [new_event_id() for _ in range(count)]


def test_ids_do_not_repeat_in_forked_children():
    """A child that was forked draws ids of its own."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        drawn = [*_ids(100), *(name for names in pool.map(_ids, [100, 100]) for name in names)]
    assert len(set(drawn)) == 300
