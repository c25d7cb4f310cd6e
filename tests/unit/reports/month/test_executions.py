"""`hivecost executions` and `tokens`: worked out again from the turns, one by one."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import ceil

import pytest

from hivecost.reports.executions import percentile

from .conftest import counted


def is_recent(turn):
    return str(turn.at.date()) >= "2026-11-13"


@pytest.mark.parametrize("by", ["entry_point", "agent", "org,tag:feature"])
def test_what_an_execution_costs(month, report, by):
    """Count, mean and nearest ranks of each group; of all together as well."""
    groups, whole = defaultdict(Counter), Counter()
    for turn in filter(is_recent, month[1]):
        cost = counted(turn.event)["cost_nanousd"]
        groups[tuple(turn.value(name, "UTC") for name in by.split(","))][turn.event.execution_id] += cost
        whole[turn.event.execution_id] += cost
    found = report("executions", "--by", by)
    rows = {(*row["group"].values(),): row for row in found["rows"]}
    assert rows.keys() == groups.keys()
    for group, runs in [*groups.items(), (None, whole)]:
        row, costs = found["total"] if group is None else rows[group], sorted(runs.values())
        assert (row["executions"], row["cost_nanousd"]) == (len(costs), sum(costs))
        assert row["mean_nanousd"] == round(sum(costs) / len(costs))
        assert row["p50_nanousd"] == costs[ceil(0.50 * len(costs)) - 1]
        assert row["p95_nanousd"] == costs[ceil(0.95 * len(costs)) - 1]
        assert row["max_nanousd"] == costs[-1]
    assert found["other_calls"] == 0


def test_ranks():
    """Nearest rank, and 0 of none."""
    assert [percentile(list(range(1, 101)), percent) for percent in (0, 1, 50, 95, 100)] == [1, 1, 50, 95, 100]
    assert (percentile([7], 95), percentile([], 50)) == (7, 0)


def test_what_kinds_of_tokens_cost(month, report):
    """They add up to the cost of all turns; where parts are not known, that is a kind of its own."""
    tokens, costs = Counter(), Counter()
    for turn in filter(is_recent, month[1]):
        usage, cost = turn.event.usage, turn.event.cost
        if cost is None or cost.nanousd is None:
            continue
        if turn.value("kind", "UTC"):
            costs["charges"] += cost.nanousd
            continue
        tokens["input"] += usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
        tokens["cache_read"] += usage.cache_read_tokens
        tokens["cache_write"] += usage.cache_write_tokens
        tokens["output"] += usage.output_tokens - usage.reasoning_tokens
        tokens["reasoning"] += usage.reasoning_tokens
        if cost.input_nanousd is None:
            costs["not told apart"] += cost.nanousd
            continue
        costs["input"] += cost.input_nanousd - cost.cached_nanousd - cost.written_nanousd
        costs["cache_read"] += cost.cached_nanousd
        costs["cache_write"] += cost.written_nanousd
        costs["output"] += cost.output_nanousd - cost.reasoning_nanousd
        costs["reasoning"] += cost.reasoning_nanousd
        costs["fees"] += cost.fee_nanousd
    found = report("tokens")
    assert {row["kind"]: row["cost_nanousd"] for row in found["rows"]} == costs
    assert {row["kind"]: row["tokens"] for row in found["rows"] if row["tokens"]} == tokens
    assert (
        sum(costs.values())
        == found["total"]["cost_nanousd"]
        == sum(counted(turn.event)["cost_nanousd"] for turn in month[1] if is_recent(turn))
    )
    assert found["pruned_nanousd"] == 0


@pytest.mark.parametrize("command", ["executions", "tokens"])
def test_it_reads_well(hivecost, command):
    """In a table and for a spreadsheet, also where there is nothing."""
    shown = hivecost(command)
    assert "Total" in shown
    assert "missing from the sums: nobody-knows" in shown
    assert hivecost(command, "--csv").count("\n") > 3
    assert "2025-01-01 00:00 to 2026-01-01 00:00 (UTC)" in hivecost(command, "--during", "2025")
    assert hivecost(command, "--during", "2025", "--csv").count("\n") == 1
