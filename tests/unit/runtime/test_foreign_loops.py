"""Turns on another event loop than the runtime's: an agent that calls asyncio.run() itself, as most that exist do."""

from __future__ import annotations

import asyncio
import threading

import anyio
import anyio.to_thread
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

BACKENDS = ["asyncio", "trio"]


@pytest.fixture(params=BACKENDS)
def run_there(request):
    """What an agent starts its own loop with."""
    return lambda function: anyio.run(function, backend=request.param)


def agent_of(runtime, run_there, turns, seen):
    """A sync agent, each of whose turns is a task of its own loop."""

    async def one(ctx):
        try:
            async with ctx.turn("m", input_tokens=100, max_tokens=50) as turn:
                await anyio.sleep(0.001)
                turn.settle(hc.Usage(100, 50))
                seen.append("settled")
        except hc.HiveCostError as error:
            seen.append(type(error))

    @runtime.entry_point("a")
    def agent(ctx, _):
        async def inner():
            async with anyio.create_task_group() as tasks:
                for _ in range(turns):
                    tasks.start_soon(one, ctx)

        run_there(inner)


@pytest.mark.parametrize(("limit", "settled"), [("$1", 8), ("$0.0005", 2), ("$0.0001", 0)])
async def test_they_pass_are_refused_and_are_billed_as_on_its_own(make_runtime, run_there, limit, settled):
    """A budget with room for all, for some, and for none of the turns that come at once."""
    seen = []
    budget = hc.Budget("b", limit, window="execution", mode="hard", on_short="refuse")
    runtime = make_runtime(budgets=[budget])
    agent_of(runtime, run_there, 8, seen)
    async with runtime:
        with anyio.fail_after(30):
            result = await runtime.trigger_and_wait("a")
    refused = {hc.BudgetExhaustedError, hc.BudgetBusyError}
    assert result.status == "completed"
    assert seen.count("settled") == settled == result.metrics["llm_calls"]
    assert set(seen) - {"settled"} <= refused
    assert len(seen) == 8


async def test_they_wait_for_what_others_hold(make_runtime, run_there):
    """`on_short="wait"`: all are served, one after the other."""
    seen = []
    budget = hc.Budget("b", "$0.0025", window="execution", mode="hard", on_short="wait")
    runtime = make_runtime(budgets=[budget])
    agent_of(runtime, run_there, 10, seen)
    async with runtime:
        with anyio.fail_after(60):
            await runtime.trigger_and_wait("a")
    assert seen == ["settled"] * 10


@pytest.mark.parametrize("after_turn", [False, True])
async def test_a_paused_one_is_let_go(make_runtime, run_there, after_turn):
    """Cancelling the execution refuses the turn that waits at the gate, on whatever loop."""
    seen = []
    budget = hc.Budget("b", "1 calls", window="day", mode="hard", on_short="wait", on_exceed="pause")
    runtime = make_runtime(budgets=[budget])
    agent_of(runtime, run_there, 3, seen)
    paused = []
    runtime.bus.subscribe(event_types=[hc.EventType.BUDGET_EXCEEDED], handler=paused.append)
    async with runtime:
        with anyio.fail_after(30):
            execution_id = await runtime.trigger("a")
            while len(paused) < 2:
                await anyio.sleep(0.005)
            assert await runtime.cancel_execution(execution_id, "enough", after_turn=after_turn)
            result = await runtime.wait(execution_id)
    assert result.status in ("completed", "cancelled")
    assert sorted(map(str, seen)) == sorted(["settled", *[str(hc.ExecutionCancelledError)] * 2])


async def test_one_that_is_cancelled_on_its_own_loop_holds_nothing(make_runtime, run_there):
    """Whether it was cancelled before the gate let it pass or after: what it held is back."""
    budget = hc.Budget("b", "100 calls", window="day", mode="hard")
    runtime = make_runtime(budgets=[budget])

    @runtime.entry_point("a")
    def agent(ctx, _):
        async def one():
            async with ctx.turn("m", input_tokens=1, max_tokens=50) as turn:
                turn.release()

        async def inner():
            for pause in range(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(one)
                    for _ in range(pause):
                        await anyio.sleep(0)
                    tasks.cancel_scope.cancel()
            await one()  # not cancelled, so that the account is there

        run_there(inner)

    async with runtime:
        with anyio.fail_after(30):
            assert (await runtime.trigger_and_wait("a")).status == "completed"
        (row,) = await runtime.budgets.status()
        assert (row.settled, row.held, row.in_doubt) == (0, 0, 0)


async def test_a_stream_is_read_there_as_far_as_it_is_paid_for(make_runtime, run_there):
    """What a stream needs more is asked of the runtime's ledger."""
    seen = []
    runtime = make_runtime(budgets=[hc.Budget("b", "$0.0005", window="execution", mode="hard")])

    async def chunks():
        for number in range(10_000):
            yield {"model": "m", "choices": [{"delta": {"content": f"{number} "}}]}

    @runtime.entry_point("a")
    def agent(ctx, _):
        async def inner():
            async with ctx.turn("m", input_tokens=10, max_tokens=200_000, stream_tokens=20) as turn:
                async for chunk in turn.stream(chunks()):
                    seen.append(chunk)

        run_there(inner)

    async with runtime:
        with anyio.fail_after(30):
            result = await runtime.trigger_and_wait("a")
    assert result.status == "cancelled"
    assert isinstance(result.error, hc.BudgetExceededError)
    assert 10 < len(seen) < 1_000


async def test_the_ledger_by_itself_serves_any_loop(tmp_path, run_there):
    """Reserving with and without a lease, extending, looking and changing, all from a loop in another thread."""
    budgets = [hc.Budget("b", "$1", mode="hard")]

    async def spend(ledger):
        hold = await ledger.reserve({}, usd="0.30")
        await hold.extend(usd="0.40")
        hold.settle(usd="0.50")
        with pytest.raises(hc.BudgetExhaustedError):
            await ledger.reserve({}, usd="0.60")
        assert await ledger.raise_limit("b", "$1", by="ada") == 2 * 10**9
        (row,) = await ledger.status()
        return row.settled

    async with hc.Ledger.open(tmp_path, budgets=budgets) as ledger:
        with anyio.fail_after(30):
            assert await anyio.to_thread.run_sync(lambda: run_there(lambda: spend(ledger))) == 500_000_000


def test_an_agents_loop_may_outlive_the_runtimes(make_runtime):
    """A turn that it asks for then is refused; it does not wait for a loop that is gone."""
    runtime = make_runtime()
    contexts, errors = [], []

    @runtime.entry_point("a")
    async def agent(ctx, _):
        contexts.append(ctx)

    async def main():
        async with runtime:
            await runtime.trigger_and_wait("a")

    async def late():
        try:
            async with contexts[0].turn("m"):
                errors.append("passed")
        except hc.HiveCostError as error:
            errors.append(error)

    asyncio.run(main())
    thread = threading.Thread(target=lambda: asyncio.run(late()), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert isinstance(errors[0], hc.HiveCostError)


async def test_the_runtime_itself_serves_any_loop(make_runtime, run_there):
    """Triggering, waiting and flushing from a loop in another thread; there, waiting for oneself is refused, too."""
    runtime = make_runtime(config={"log": True})
    refused = []

    @runtime.entry_point("inner")
    async def inner(ctx, value):
        return value

    @runtime.entry_point("outer")
    def outer(ctx, _):
        async def run():
            try:
                await runtime.wait(ctx.execution_id)
            except hc.ReentrancyError as error:
                refused.append(error)
            result = await runtime.trigger_and_wait("inner", 42)
            await runtime.flush()
            return result.output

        return run_there(run)

    async with runtime:
        with anyio.fail_after(30):
            assert (await runtime.trigger_and_wait("outer")).output == 42
    assert len(refused) == 1
