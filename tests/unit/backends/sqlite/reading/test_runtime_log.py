"""RuntimeLogStore: nodes, steps and executions."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest

from hivecost.backends import RuntimeLogStore, open_log
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.errors import SessionNotFoundError, StoreCorruptError
from hivecost.events import Cost, CostStatus, ExecutionCompleted, ExecutionStarted, LLMTurnComplete, Usage

pytestmark = pytest.mark.anyio


def turn(node_id, model, **fields):
    cost = Cost(status=CostStatus.PRICED, nanousd=2_500_000, rate="input=2.5", snapshot="abc", source="user")
    fields = {"session_id": "s", "execution_id": "e", "usage": Usage(1000, 100, 40), "cost": cost} | fields
    return LLMTurnComplete(node_id=node_id, model=model, **fields)


FULL = LLMTurnComplete(
    session_id="s",
    execution_id="e",
    node_id="n",
    agent_id="a",
    user_id="u",
    org_id="o",
    task_id="t",
    tags={"customer": "acme", "ключ": "Ω"},
    model="m",
    provider="p",
    usage=Usage(100, 90, 30, 20, 10, 9, 8, 7, 6, 5, 4, 3, 2),
    cost=Cost(
        status=CostStatus.REPORTED,
        nanousd=9,
        source="provider",
        rate="r",
        snapshot="x",
        reason="why",
        input_nanousd=4,
        output_nanousd=5,
        table_nanousd=8,
    ),
    latency_ms=12,
    stop_reason="end_turn",
    service_tier="flex",
    raw_usage={"prompt_tokens": 100, "iterations": [{"input_tokens": None}]},
)


async def test_details_are_the_nodes_with_their_steps(tmp_path, write):
    """In the order of their first turn, each with its sums and the models it used."""
    await write(
        turn("plan", "gpt-4o"), turn("research", "haiku"), turn("plan", "haiku", cost=None), turn("plan", "gpt-4o")
    )
    details = await RuntimeLogStore(tmp_path).load_details("s")
    assert (details.session_id, [node.node_id for node in details.nodes]) == ("s", ["plan", "research"])
    plan = details.nodes[0]
    assert (plan.llm_call_count, plan.input_tokens, plan.output_tokens, plan.total_tokens) == (3, 3000, 300, 3300)
    assert (plan.cost_nanousd, plan.cost_usd, plan.unpriced_calls) == (5_000_000, Decimal("0.005"), 1)
    assert plan.models == ("gpt-4o", "haiku")
    assert [step.model for step in plan.steps] == ["gpt-4o", "haiku", "gpt-4o"]


async def test_details_of_a_session_without_turns(tmp_path, write):
    """It is known and has no nodes; a session nobody logged is not found."""
    await write(ExecutionStarted(session_id="s", execution_id="e"))
    assert (await RuntimeLogStore(tmp_path).load_details("s")).nodes == ()
    with pytest.raises(SessionNotFoundError):
        await RuntimeLogStore(tmp_path).load_details("never")


async def test_a_step_reads_like_a_mapping(tmp_path, write):
    """And like the Struct it is."""
    await write(FULL)
    (step,) = await RuntimeLogStore(tmp_path).load_steps("s")
    assert isinstance(step, Mapping)
    assert "model" in step
    assert "input_tokens" in step
    assert "colour" not in step
    assert step["model"] == step.model == "m"
    assert (step.get("input_tokens", 0), step.get("colour", 7)) == (100, 7)
    with pytest.raises(KeyError):
        step["colour"]
    as_dict = dict(step)
    assert len(step) == len(as_dict) == len(list(step.items())) == len(list(step.values()))
    assert (as_dict["total_tokens"], as_dict["cached_tokens"], as_dict["cost_usd"]) == (190, 30, 9e-9)
    assert (step.rate, step.snapshot, step.reason, step.table_nanousd) == ("r", "x", "why", 8)
    assert step.tags == FULL.tags


async def test_an_unpriced_step_costs_nothing_known(tmp_path, write):
    """Its cost is None, never zero."""
    await write(turn("n", "m", cost=None))
    (step,) = await RuntimeLogStore(tmp_path).load_steps("s")
    assert (step.cost_usd, step.cost_nanousd, step.cost_status) == (None, None, "unpriced")


async def test_steps_by_node_and_limit(tmp_path, write):
    """In the order they were logged; of an unknown session there are none."""
    await write(*(turn(node, model) for node, model in [("a", "1"), ("b", "2"), ("a", "3")]))
    store = RuntimeLogStore(tmp_path)
    assert [step.model for step in await store.load_steps("s")] == ["1", "2", "3"]
    assert [step.model for step in await store.load_steps("s", "a")] == ["1", "3"]
    assert [step.model for step in await store.load_steps("s", limit=2)] == ["1", "2"]
    assert await store.load_steps("never") == []


async def test_the_models_of_a_session(tmp_path, write):
    """Each with its sums, in the order of first use."""
    await write(turn("a", "gpt-4o"), turn("b", "haiku"), turn("b", "gpt-4o"), turn("x", "other", session_id="z"))
    models = await RuntimeLogStore(tmp_path).load_models("s")
    assert [(row.model, row.llm_calls, row.cost_nanousd) for row in models] == [
        ("gpt-4o", 2, 5_000_000),
        ("haiku", 1, 2_500_000),
    ]


async def test_runs_are_listed_newest_first(tmp_path, write):
    """Executions with their sums, filtered by session, status and time."""
    await write(
        ExecutionStarted(session_id="s", execution_id="one", timestamp_ns=1, entry_point="api", agent_id="planner"),
        turn("n", "m", execution_id="one", timestamp_ns=2),
        ExecutionCompleted(
            session_id="s", execution_id="one", timestamp_ns=3, status="failed", error="E: x", duration_ms=2
        ),
        ExecutionStarted(session_id="z", execution_id="two", timestamp_ns=4),
    )
    store = RuntimeLogStore(tmp_path)
    two, one = await store.list_runs()
    assert (two.execution_id, two.status, two.ended_at) == ("two", "running", None)
    assert (one.session_id, one.status, one.entry_point, one.error) == ("s", "failed", "api", "E: x")
    assert (one.agent_id, one.duration_ms, one.llm_calls, one.cost_nanousd) == ("planner", 2, 1, 2_500_000)
    assert one.started_at.startswith("1970-01-01T") or one.started_at.startswith("1969-12-31T")
    assert await store.list_runs(session_id="z") == await store.list_runs(status="running") == [two]
    assert await store.list_runs(limit=1) == [two]
    assert await store.list_runs(since="2000-01-01") == []


async def test_turns_come_back_as_they_were(tmp_path, write):
    """Every field of the event, in the order of the log."""
    plain = LLMTurnComplete(timestamp_ns=5)
    estimated = LLMTurnComplete(timestamp_ns=7, cost=Cost(status=CostStatus.ESTIMATED, nanousd=0))
    await write(FULL, estimated, plain)
    assert open_log(tmp_path).turns().rows == (FULL, estimated, plain)


async def test_a_missing_database_reads_as_empty(tmp_path):
    """No runs, no steps, no models."""
    store = RuntimeLogStore(tmp_path / "none")
    assert await store.list_runs() == await store.load_steps("s") == await store.load_models("s") == []


@pytest.mark.parametrize("tags", ["'{'", "CAST(x'ff' AS TEXT)"])
async def test_a_row_that_is_damaged_is_named(tmp_path, write, tags):
    """Text that is no JSON, or no text at all."""
    await write(turn("n", "m"))
    log = RuntimeLog(tmp_path)
    log.open().execute(f"UPDATE turns SET tags = {tags}")
    log.close()
    with pytest.raises(StoreCorruptError, match="restore a backup"):
        await RuntimeLogStore(tmp_path).load_steps("s")
