"""A run binds what it starts: attribution, budgets and cancellation reach the executions inside of it."""

from __future__ import annotations

import contextvars

import anyio
import anyio.to_thread
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

#: A turn of `m` holds and costs $0.0002 (see conftest).
TURN = {"input_tokens": 100, "max_tokens": 50}
USAGE = hc.Usage(100, 50)
COST = 200_000


def run_budget(turns, mode="hard", **fields):
    return hc.Budget("run", f"{turns * COST / 10**9:f}", window="execution", mode=mode, **fields)


async def take_turns(ctx, count=1):
    for _ in range(count):
        async with ctx.turn("m", **TURN) as turn:
            turn.settle(USAGE)


def family(runtime, *, turns=1, children=1):
    """Entry points `child`, which takes turns, and `parent`, which starts some one after the other."""

    @runtime.entry_point("child")
    async def child(ctx, value):
        await take_turns(ctx, turns)
        return ctx.attribution, dict(ctx.tags), ctx.parent_execution_id

    @runtime.entry_point("parent")
    async def parent(ctx, given):
        return [await runtime.trigger_and_wait("child", **(given or {})) for _ in range(children)]


ACME = {"user_id": "ada", "org_id": "acme", "task_id": "t", "tags": {"customer": "c", "plan": "pro"}}


async def test_what_is_started_inside_inherits_whose_it_is(runtime):
    """Session, user, org, task and tags; the agent and the node are its own."""
    family(runtime)
    async with runtime:
        result = await runtime.trigger_and_wait("parent", **ACME)
    (child,) = result.output
    who, tags, parent_id = child.output
    assert (child.session_id, parent_id) == (result.session_id, result.execution_id)
    assert (who.user_id, who.org_id, who.task_id, who.agent_id) == ("ada", "acme", "t", "child")
    assert tags == ACME["tags"]


async def test_what_is_given_comes_before_what_is_inherited(runtime):
    """An empty text is given as well; tags are given one by one."""
    family(runtime)
    given = {"session_id": "other", "user_id": "", "org_id": "globex", "tags": {"plan": "free"}}
    async with runtime:
        result = await runtime.trigger_and_wait("parent", given, **ACME)
    who, tags, _ = result.output[0].output
    assert (who.session_id, who.user_id, who.org_id, who.task_id) == ("other", "", "globex", "t")
    assert tags == {"customer": "c", "plan": "free"}


async def test_what_is_started_outside_inherits_nothing(runtime):
    family(runtime)
    async with runtime:
        who, tags, parent_id = (await runtime.trigger_and_wait("child")).output
    assert (who.user_id, tags, parent_id) == ("", {}, "")


async def test_events_and_the_log_say_who_started_whom(tmp_path, make_runtime, collect):
    runtime = make_runtime(config={})
    seen = collect(runtime, hc.EventType.EXECUTION_STARTED, hc.EventType.EXECUTION_COMPLETED)
    family(runtime)
    async with runtime:
        result = await runtime.trigger_and_wait("parent")
        await runtime.flush()
        await runtime.bus.drain()
    child_id = result.output[0].execution_id
    assert [event.parent_execution_id for event in seen if event.execution_id == child_id] == 2 * [result.execution_id]
    runs = await hc.RuntimeLogStore(tmp_path).list_runs()
    assert {run.execution_id: run.parent_execution_id for run in runs} == {
        child_id: result.execution_id,
        result.execution_id: "",
    }


@pytest.mark.parametrize("mode", ["hard", "stop_after"])
async def test_the_budget_of_a_run_binds_all_that_it_starts(make_runtime, mode):
    """Ten children of one turn each, one after the other, spend no more than their parent may."""
    runtime = make_runtime(budgets=[run_budget(3 if mode == "hard" else 2.5, mode, on_short="refuse")])
    family(runtime, children=10)
    async with runtime:
        result = await runtime.trigger_and_wait("parent")
        statuses = [child.status for child in result.output or ()]
    turns = result.metrics["tree_llm_calls"]
    if mode == "hard":
        assert (turns, statuses.count("completed"), statuses.count("cancelled")) == (3, 3, 7)
        assert all(child.error.budget == "run" for child in result.output[3:])
    else:
        assert turns == 3  # the last one went over
        assert (result.status, result.error.budget) == ("cancelled", "run")


async def test_grandchildren_at_once_are_bound_too(make_runtime):
    """Under concurrency the sum of all that is below an execution stays within its limit."""
    runtime = make_runtime(budgets=[run_budget(5, on_short="refuse")])

    @runtime.entry_point("leaf")
    async def leaf(ctx, _):
        async with ctx.turn("m", **TURN) as turn:
            await anyio.sleep(0.001)
            turn.settle(USAGE)

    @runtime.entry_point("branch")
    async def branch(ctx, _):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(runtime.trigger_and_wait, "leaf")

    @runtime.entry_point("root")
    async def root(ctx, _):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(runtime.trigger_and_wait, "branch")

    async with runtime:
        result = await runtime.trigger_and_wait("root")
        rows = await runtime.budgets.status()
    assert (result.metrics["tree_llm_calls"], result.metrics["llm_calls"]) == (5, 0)
    assert rows == []  # nobody counts on them any more


@pytest.mark.parametrize("mode", ["hard", "stop_after"])
async def test_an_account_stays_until_the_last_descendant_has_ended(make_runtime, mode):
    """A parent that ends normally leaves its children running, and its budget with them."""
    runtime = make_runtime(budgets=[run_budget(3, mode, on_short="refuse")])
    started = []

    @runtime.entry_point("child")
    async def child(ctx, go):
        await go.wait()
        await take_turns(ctx, 10)

    @runtime.entry_point("parent")
    async def parent(ctx, go):
        await take_turns(ctx, 2)
        started.append(await runtime.trigger("child", go))

    async with runtime:
        go = anyio.Event()
        ended = await runtime.trigger_and_wait("parent", go)
        go.set()
        result = await runtime.wait(started[0])
    assert ended.status == "completed"
    assert (result.status, result.error.budget) == ("cancelled", "run")
    assert result.metrics["llm_calls"] == 1


async def test_a_budget_of_one_agent_binds_its_sub_agents(make_runtime):
    """For the account of an ancestor it is as if that took the turn: its agent counts, and the model of the turn."""
    planners = hc.Budget("planner", "3 calls", window="execution", match={"agent": "parent", "model": "m"}, mode="hard")
    others = hc.Budget("others", "1 calls", window="execution", match={"agent": "nobody"}, mode="hard")
    runtime = make_runtime(budgets=[planners, others])
    family(runtime, children=5)
    async with runtime:
        result = await runtime.trigger_and_wait("parent")
    assert [child.status for child in result.output].count("completed") == 3


@pytest.mark.parametrize("mode", ["hard", "stop_after"])
async def test_a_run_that_may_finish_may_start_sub_agents_for_it(make_runtime, mode):
    """Past the soft limit of `on_soft="finish"`; a run that is new is refused, and so is what it starts."""
    budget = hc.Budget("day", "10 calls", window="day", soft_limit=2, on_soft="finish", mode=mode)
    runtime = make_runtime(budgets=[budget])
    family(runtime, children=3)
    async with runtime:
        result = await runtime.trigger_and_wait("parent")
        new = await runtime.trigger_and_wait("parent")
    assert [child.status for child in result.output] == 3 * ["completed"]
    assert [child.status for child in new.output] == 3 * ["cancelled"]


async def test_other_budgets_go_by_the_child_alone(make_runtime):
    """What a day, a user or a session may spend is counted once, however deep the turn is."""
    runtime = make_runtime(
        budgets=[
            hc.Budget("day", "10 calls", window="day", mode="hard"),
            hc.Budget("s", "10 calls", window="session", mode="stop_after"),
        ]
    )
    family(runtime, children=4)
    async with runtime:
        await runtime.trigger_and_wait("parent")
        await runtime.bus.drain()
        rows = await runtime.budgets.status()
    assert {row.budget: row.settled for row in rows} == {"day": 4, "s": 4}


async def test_metrics_are_ones_own_and_the_tree_is_beside_them(runtime, collect):
    """Sums add own figures only, so that nothing is counted twice."""
    seen = collect(runtime, hc.EventType.EXECUTION_COMPLETED)

    @runtime.entry_point("child")
    async def child(ctx, depth):
        await take_turns(ctx)
        if depth:
            await runtime.trigger_and_wait("child", depth - 1)

    async with runtime:
        result = await runtime.trigger_and_wait("child", 2)
        await runtime.bus.drain()
    assert (result.metrics["llm_calls"], result.metrics["total_tokens"]) == (1, 150)
    assert (result.metrics["tree_llm_calls"], result.metrics["tree_total_tokens"]) == (3, 450)
    assert result.metrics["tree_cost_usd"] == pytest.approx(0.0006)
    assert sum(event.llm_calls for event in seen) == 3


@pytest.mark.parametrize("how", ["cancelled", "refused"])
async def test_one_that_is_cancelled_or_refused_ends_what_it_started(make_runtime, forever, how):
    """Also what was started by what it started; the reason says whose end it was."""
    runtime = make_runtime(budgets=[run_budget(1, on_short="refuse")] if how == "refused" else [])
    ids = {}

    @runtime.entry_point("middle")
    async def middle(ctx, _):
        ids["forever"] = await runtime.trigger("forever")
        await anyio.sleep_forever()

    @runtime.entry_point("parent")
    async def parent(ctx, _):
        ids["middle"] = await runtime.trigger("middle")
        await forever.started.wait()
        if how == "refused":
            await take_turns(ctx, 2)
        await anyio.sleep_forever()

    runtime.entry_point("forever")(forever.__call__)
    async with runtime:
        parent_id = await runtime.trigger("parent")
        await forever.started.wait()
        if how == "cancelled":
            await runtime.cancel_execution(parent_id, "enough")
        with anyio.fail_after(5):
            results = [await runtime.wait(one) for one in (parent_id, ids["middle"], ids["forever"])]
    assert [result.status for result in results] == 3 * ["cancelled"]
    assert parent_id in str(results[1].error)


async def test_after_its_turn_means_after_the_turns_of_its_children(runtime):
    """A gentle cancellation stays gentle further down: what is being sent comes back, and the next turn is refused."""
    in_turn, go = anyio.Event(), anyio.Event()
    ids = []

    @runtime.entry_point("child")
    async def child(ctx, _):
        async with ctx.turn("m", **TURN) as turn:
            in_turn.set()
            await go.wait()
            turn.settle(USAGE)
        await take_turns(ctx)

    @runtime.entry_point("parent")
    async def parent(ctx, _):
        ids.append(await runtime.trigger("child"))
        await runtime.wait(ids[0])

    async with runtime:
        parent_id = await runtime.trigger("parent")
        await in_turn.wait()
        await runtime.cancel_execution(parent_id, "enough", after_turn=True)
        go.set()
        result = await runtime.wait(ids[0])
    assert (result.status, result.metrics["llm_calls"]) == ("cancelled", 1)


async def test_a_cancelled_execution_starts_nothing_more(runtime):
    """Or it would go on spending through its children."""
    errors = []

    @runtime.entry_point("child")
    async def child(ctx, _): ...

    @runtime.entry_point("parent")
    async def parent(ctx, _):
        await runtime.cancel_execution(ctx.execution_id, "enough", after_turn=True)
        with pytest.raises(hc.ExecutionCancelledError) as raised:
            await runtime.trigger("child")
        errors.append(raised.value)

    async with runtime:
        await runtime.trigger_and_wait("parent")
    assert "enough" in str(errors[0])


@pytest.mark.parametrize("how", ["ended", "cancelled"])
async def test_what_an_execution_left_running_starts_nothing(make_runtime, collect, how):
    """Or it would spend on nobody's account: a task is refused as its next turn would be."""
    runtime = make_runtime(budgets=[hc.Budget("acme", "1 calls", match={"org": "acme"}, on_short="refuse")])
    seen = collect(runtime, hc.EventType.LLM_TURN_COMPLETE)
    is_over, errors = anyio.Event(), []
    family(runtime)

    async def prefetch():
        await is_over.wait()
        for start in (runtime.trigger_and_wait, runtime.trigger):
            with pytest.raises(hc.ExecutionCancelledError) as raised:
                await start("child")
            errors.append(str(raised.value))

    async with runtime, anyio.create_task_group() as tasks:

        @runtime.entry_point("agent")
        async def agent(ctx, _):
            tasks.start_soon(prefetch)
            if how == "cancelled":
                await take_turns(ctx, 2)

        result = await runtime.trigger_and_wait("agent", org_id="acme")
        is_over.set()
    assert result.status == {"ended": "completed", "cancelled": "cancelled"}[how]
    assert len(errors) == 2
    assert all("has ended" in error for error in errors)
    assert len(seen) == (how == "cancelled")


async def test_a_thread_that_outlives_its_execution_starts_nothing(runtime):
    """Where it was given its context; it asks from a loop of its own."""
    kept = []
    family(runtime)

    @runtime.entry_point("agent")
    def agent(ctx, _):
        kept.append(contextvars.copy_context())

    def afterwards():
        with pytest.raises(hc.ExecutionCancelledError, match="has ended"):
            kept[0].run(anyio.run, runtime.trigger_and_wait, "child")

    async with runtime:
        await runtime.trigger_and_wait("agent")
        await anyio.to_thread.run_sync(afterwards)
        assert runtime.statistics().started == 1


async def test_what_an_execution_left_running_may_ask_other_runtimes(runtime, tmp_path):
    """Which know nothing of it, so it is anybody there."""
    other = hc.AgentRuntime(tmp_path / "other", config={"log": False})
    family(other, turns=0)
    kept = []

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        kept.append(contextvars.copy_context())

    async def ask():
        kept.append(await other.trigger_and_wait("child"))

    async with runtime, other, anyio.create_task_group() as tasks:
        await runtime.trigger_and_wait("agent")
        kept[0].run(tasks.start_soon, ask)
    assert kept[1].status == "completed"


async def test_a_loop_of_executions_ends(runtime):
    """Nobody starts executions more than 32 deep, but one that starts itself."""

    @runtime.entry_point("again")
    async def again(ctx, depth):
        return await runtime.trigger_and_wait("again", depth + 1)

    async with runtime:
        result = await runtime.trigger_and_wait("again", 1)
        depth = 1
        while isinstance(result.output, hc.ExecutionResult):
            result, depth = result.output, depth + 1
    assert (depth, type(result.error)) == (32, hc.HiveCostError)
    assert "32 deep" in str(result.error)


async def test_threads_start_children_too(make_runtime):
    """A sync agent's children are bound, though it runs in a thread."""
    runtime = make_runtime(budgets=[run_budget(2, on_short="refuse")])

    @runtime.entry_point("child")
    def child(ctx, _):
        with ctx.turn("m", **TURN) as turn:
            turn.settle(USAGE)

    @runtime.entry_point("parent")
    def parent(ctx, _):
        return [anyio.from_thread.run(runtime.trigger_and_wait, "child") for _ in range(4)]

    async with runtime:
        result = await runtime.trigger_and_wait("parent")
    assert [child.status for child in result.output] == 2 * ["completed"] + 2 * ["cancelled"]
