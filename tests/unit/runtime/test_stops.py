"""A run that its budget ends is cancelled with that refusal, whatever it was wrapped in on its way out."""

from __future__ import annotations

import asyncio
import sys

import anyio
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

USAGE = hc.Usage(input_tokens=400, output_tokens=100)


@pytest.fixture
def run(make_runtime):
    """Run an agent whose budget pays for three of its turns."""

    async def running(agent):
        budget = hc.Budget("per run", limit="$0.002", window="execution", mode="hard", on_short="refuse")
        runtime = make_runtime(budgets=[budget])
        runtime.entry_point("api")(agent)
        async with runtime:
            return await runtime.trigger_and_wait("api")

    return running


async def spend(ctx):
    async with ctx.turn("m", input_tokens=400, max_tokens=100) as turn:
        await anyio.sleep(0.001)
        turn.settle(USAGE)


async def all_of_it(ctx):
    while True:
        await spend(ctx)


async def in_a_task_group(ctx, _):
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(spend, ctx)


async def in_nested_groups(ctx, _):
    async with anyio.create_task_group() as outer:
        outer.start_soon(in_a_task_group, ctx, None)
        outer.start_soon(in_a_task_group, ctx, None)
        outer.start_soon(anyio.sleep_forever)


async def in_a_plain_group(ctx, _):
    refusals = []
    for _ in range(2):
        try:
            await all_of_it(ctx)
        except hc.BudgetExceededError as refusal:
            refusals.append(refusal)
    raise ExceptionGroup("mine", [refusals[0], ExceptionGroup("inner", [refusals[1]])])


async def beside_cancellations(ctx, _):
    try:
        await all_of_it(ctx)
    except hc.BudgetExceededError as refusal:
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class() as cancelled:
                kept = cancelled
        raise BaseExceptionGroup("both", [kept, refusal]) from None


async def raised_from_it(ctx, _):
    try:
        await in_a_task_group(ctx, None)
    except Exception as error:
        raise RuntimeError("a node of the graph failed") from error


@pytest.mark.parametrize(
    "agent", [in_a_task_group, in_nested_groups, in_a_plain_group, beside_cancellations, raised_from_it]
)
async def test_a_refusal_keeps_its_kind(run, agent):
    """Cancelled, with the budget's own error: in task groups, nested ones, beside cancellations, and as a cause."""
    result = await run(agent)
    assert result.status == "cancelled"
    assert isinstance(result.error, hc.BudgetExceededError)
    assert result.error.budget == "per run"
    assert result.refusals >= 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_task_group(anyio_backend, run):
    """And gather, which raises the first error as it is."""

    async def grouped(ctx, _):
        async with asyncio.TaskGroup() as tasks:
            for _ in range(10):
                tasks.create_task(spend(ctx))

    async def gathered(ctx, _):
        await asyncio.gather(*(spend(ctx) for _ in range(10)))

    for agent in (grouped, gathered):
        result = await run(agent)
        assert result.status == "cancelled"
        assert isinstance(result.error, hc.BudgetExceededError)


async def test_a_fault_beside_a_refusal_is_a_fault(run):
    """A group that holds another error as well has failed, and is the error."""

    async def agent(ctx, _):
        try:
            await all_of_it(ctx)
        except hc.BudgetExceededError as refusal:
            raise ExceptionGroup("both", [refusal, ValueError("a bug")]) from None

    result = await run(agent)
    assert result.status == "failed"
    assert isinstance(result.error, ExceptionGroup)
    assert result.refusals == 1


async def test_a_fault_while_a_refusal_is_handled_is_a_fault(run):
    """It was not raised from it: what the agent did then went wrong by itself."""

    async def agent(ctx, _):
        try:
            await all_of_it(ctx)
        except hc.BudgetExceededError:
            return {}["missing"]

    result = await run(agent)
    assert (result.status, type(result.error), result.refusals) == ("failed", KeyError, 1)


async def test_a_refusal_of_another_run_is_no_end_of_this_one(run):
    """Who wraps the error of a run that it started has failed by its own decision."""

    async def agent(ctx, _):
        raise RuntimeError("research failed") from hc.BudgetExhaustedError("spent", execution_id="exec_other")

    result = await run(agent)
    assert (result.status, type(result.error)) == ("failed", RuntimeError)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_timeout_is_no_cancellation(anyio_backend, run):
    """asyncio raises it from one; it is a fault of the agent's."""

    async def agent(ctx, _):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)

    result = await run(agent)
    assert (result.status, type(result.error)) == ("failed", TimeoutError)


async def test_one_that_went_on_says_that_it_was_refused(run):
    """Completed, with the number of its turns that a budget refused."""

    async def agent(ctx, _):
        done = 0
        for _ in range(5):
            try:
                await spend(ctx)
            except hc.BudgetExceededError:
                continue
            done += 1
        return done

    result = await run(agent)
    assert (result.status, result.output, result.error, result.refusals) == ("completed", 3, None, 2)


async def test_one_that_was_never_refused(run):
    """Says none."""
    result = await run(lambda ctx, _: spend(ctx))
    assert (result.status, result.refusals) == ("completed", 0)


@pytest.mark.parametrize("depth", [60, 500])
async def test_causes_and_groups_without_end(run, depth):
    """Nothing is found so deep, and nothing is raised by looking; a circle of causes has an end, too."""

    async def agent(ctx, _):
        error = hc.BudgetExceededError("enough")
        for _ in range(depth):
            error = ExceptionGroup("deeper", [error])
        raise error

    async def in_a_circle(ctx, _):
        first, second = ValueError(1), ValueError(2)
        first.__cause__, second.__cause__ = second, first
        raise first

    for one in (agent, in_a_circle):
        assert (await run(one)).status == "failed"


async def test_a_group_that_holds_an_exit_leaves_the_runtime(make_runtime):
    """As SystemExit by itself does."""
    runtime = make_runtime()

    @runtime.entry_point("api")
    async def api(ctx, _):
        raise BaseExceptionGroup("both", [hc.BudgetExceededError("enough"), SystemExit(3)])

    with pytest.raises(BaseExceptionGroup) as caught:
        async with runtime:
            await runtime.trigger_and_wait("api")
    assert caught.value.subgroup(SystemExit) is not None
    assert sys.exception() is None
