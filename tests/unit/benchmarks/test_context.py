"""A context budget in short, as docs/context.md shows it: kept in each turn, and cheaper than what is usual."""

from __future__ import annotations

import pytest

from benchmarks.context import WAYS, run, table

BUDGET = 6_000
WHOLE, NEWEST, JUST_UNDER, BUDGETED = WAYS


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])
def test_a_context_budget_holds_and_is_the_cheapest_with_a_cache(model):
    """Each prompt is under it, as the provider counts; that keeps the cache, where pruning each turn does not."""
    runs = {way: run(model, way, has_cache=True, turns=30, budget=BUDGET) for way in WAYS}
    assert runs[BUDGETED].longest <= BUDGET < runs[WHOLE].longest
    assert runs[BUDGETED].compactions >= 2
    costs = {way: one.cost_nanousd for way, one in runs.items()}
    assert costs[BUDGETED] < min(costs[WHOLE], costs[NEWEST], costs[JUST_UNDER])


def test_without_a_cache_every_shorter_prompt_saves():
    runs = [run("gpt-4o", way, has_cache=False, turns=30, budget=BUDGET) for way in WAYS]
    assert runs[-1].cost_nanousd < 0.7 * runs[0].cost_nanousd
    assert all(one.cost_nanousd < runs[0].cost_nanousd for one in runs[1:])
    assert table(runs).splitlines()[2].startswith("| gpt-4o | off | $")
