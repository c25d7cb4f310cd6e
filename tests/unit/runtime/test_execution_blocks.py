"""`runtime.execution(...)`: the code in a block is an execution like any other, wherever it runs."""

from __future__ import annotations

import threading
from contextlib import suppress

import anyio
import anyio.to_thread
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

STARTED, COMPLETED = hc.EventType.EXECUTION_STARTED, hc.EventType.EXECUTION_COMPLETED
TWO_CALLS = hc.Budget("calls per run", "2 calls", window="execution", mode="hard")


class Case:
    """A block, what its code does there in an async and in a sync form, and what leaves it."""

    ends, raises, calls = "completed", None, 1

    def __init__(self, runtime) -> None:
        self.runtime = runtime
        self.cancel = getattr(runtime, "cancel_execution_nowait", runtime.cancel_execution)
        self.contexts = []
        self.outside = []

    def block(self, **settings):
        return self.runtime.execution(**settings)

    def enter(self, ctx) -> None:
        assert hc.current_execution() is ctx
        self.contexts.append(ctx)

    async def turn(self, ctx) -> None:
        async with ctx.turn("m", input_tokens=100, max_tokens=50) as turn:
            turn.settle(hc.Usage(100, 50))

    def sync_turn(self, ctx) -> None:
        with ctx.turn("m", input_tokens=100, max_tokens=50) as turn:
            turn.settle(hc.Usage(100, 50))

    async def run(self) -> BaseException | None:
        try:
            async with self.block(agent_id="planner", user_id="ada") as ctx:
                self.enter(ctx)
                await self.code(ctx)
        except Exception as error:
            return error
        finally:
            self.outside.append(is_outside())
        return None

    def run_sync(self) -> BaseException | None:
        try:
            with self.block(agent_id="planner", user_id="ada") as ctx:
                self.enter(ctx)
                self.sync_code(ctx)
        except Exception as error:
            return error
        finally:
            self.outside.append(is_outside())
        return None


def is_outside() -> bool:
    with suppress(LookupError):
        return hc.current_execution() is None
    return True


class Completes(Case):
    async def code(self, ctx) -> None:
        await self.turn(ctx)

    def sync_code(self, ctx) -> None:
        self.sync_turn(ctx)


class Raises(Case):
    ends, raises = "failed", KeyError

    async def code(self, ctx) -> None:
        await self.turn(ctx)
        raise KeyError("mine")

    def sync_code(self, ctx) -> None:
        self.sync_turn(ctx)
        raise KeyError("mine")


class Refused(Case):
    ends, raises, calls = "cancelled", hc.BudgetExhaustedError, 2

    async def code(self, ctx) -> None:
        while True:
            await self.turn(ctx)

    def sync_code(self, ctx) -> None:
        while True:
            self.sync_turn(ctx)


class Cancelled(Case):
    """Its awaits on a loop, its next turn in a thread."""

    ends, raises = "cancelled", hc.ExecutionCancelledError

    async def code(self, ctx) -> None:
        await self.turn(ctx)
        assert self.cancel(ctx.execution_id, "enough")
        await anyio.sleep_forever()

    def sync_code(self, ctx) -> None:
        self.sync_turn(ctx)
        assert self.cancel(ctx.execution_id, "enough")
        self.sync_turn(ctx)


class Nested(Case):
    """One that it is around inherits whose it is, and both count on its account: the third call is refused."""

    async def code(self, ctx) -> None:
        async def part():
            async with self.block(task_id="part") as inner:
                self.enter(inner)
                while True:
                    await self.turn(inner)

        await self.turn(ctx)
        with pytest.raises(hc.BudgetExhaustedError):
            await part()
        assert hc.current_execution() is ctx

    def sync_code(self, ctx) -> None:
        def part():
            with self.block(task_id="part") as inner:
                self.enter(inner)
                while True:
                    self.sync_turn(inner)

        self.sync_turn(ctx)
        with pytest.raises(hc.BudgetExhaustedError):
            part()
        assert hc.current_execution() is ctx


CASES = [Completes, Raises, Refused, Cancelled, Nested]


async def on_its_own_loop(case):
    return await case.run()


async def in_a_worker_thread(case):
    return await anyio.to_thread.run_sync(case.run_sync)


async def in_a_plain_thread(case):
    left_by = []
    thread = threading.Thread(target=lambda: left_by.append(case.run_sync()))
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    return left_by[0]


async def on_asyncio_elsewhere(case):
    return await anyio.to_thread.run_sync(lambda: anyio.run(case.run, backend="asyncio"))


async def on_trio_elsewhere(case):
    return await anyio.to_thread.run_sync(lambda: anyio.run(case.run, backend="trio"))


async def blocking_a_loop_elsewhere(case):
    async def main():
        return case.run_sync()

    return await anyio.to_thread.run_sync(lambda: anyio.run(main))


PLACES = [
    *(on_its_own_loop, in_a_worker_thread, in_a_plain_thread),
    *(on_asyncio_elsewhere, on_trio_elsewhere, blocking_a_loop_elsewhere),
]


def check(case, left_by, events, results) -> None:
    """What holds of every block: its events, its result, what is raised, and what is held when it is over."""
    ctx, *inner = case.contexts
    assert all(case.outside)
    assert type(left_by) is case.raises if case.raises else left_by is None
    assert [result.status for result in results] == [case.ends, *("cancelled" for _ in inner)]
    assert [one.result.status for one in case.contexts] == [result.status for result in results]
    assert [type(one.result.error) for one in case.contexts] == [type(result.error) for result in results]
    assert results[0].metrics["llm_calls"] == case.calls
    for kind in (hc.ExecutionStarted, hc.ExecutionCompleted):
        told = [event.execution_id for event in events if isinstance(event, kind)]
        assert sorted(told) == sorted(one.execution_id for one in case.contexts)
    first, last = events[0], events[-1]
    assert (first.entry_point, first.agent_id, first.user_id) == ("", "planner", "ada")
    assert (last.status, last.llm_calls) == (case.ends, case.calls)
    if case.ends == "cancelled" and case.raises is hc.ExecutionCancelledError:
        assert str(results[0].error) == "enough"
    for one in inner:
        assert (one.agent_id, one.session_id, one.attribution.user_id) == ("planner", ctx.session_id, "ada")
        assert (one.parent_execution_id, one.attribution.task_id) == (ctx.execution_id, "part")
        assert results[0].metrics["tree_llm_calls"] == 2


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("kind", CASES)
async def test_a_block_is_a_whole_execution(make_runtime, collect, kind, place):
    """Begun and ended once, attributed, budgeted, cancelled; it ends as its code does, and so for the caller."""
    runtime = make_runtime(budgets=[TWO_CALLS])
    events = collect(runtime, STARTED, COMPLETED)
    case = kind(runtime)
    async with runtime:
        with anyio.fail_after(30):
            left_by = await place(case)
            results = [await runtime.wait(ctx.execution_id) for ctx in case.contexts]
        assert [row.held for row in await runtime.budgets.status()] == []
        assert runtime.statistics().running == 0
    check(case, left_by, events, results)


def joined(case):
    left_by = []
    thread = threading.Thread(target=lambda: left_by.append(case.run_sync()))
    thread.start()
    thread.join()
    return left_by[0]


def in_a_notebook(case):
    async def cell():
        return case.run_sync()

    return anyio.run(cell)


BESIDE_A_THREAD = {
    "main thread": Case.run_sync,
    "another thread": joined,
    "asyncio": lambda case: anyio.run(case.run),
    "trio": lambda case: anyio.run(case.run, backend="trio"),
    "blocking a loop": in_a_notebook,
    "worker of a loop": lambda case: anyio.run(anyio.to_thread.run_sync, case.run_sync),
}


@pytest.mark.parametrize("place", BESIDE_A_THREAD)
@pytest.mark.parametrize("kind", CASES)
def test_a_block_of_a_runtime_in_the_background_is_one_too(tmp_path, kind, place):
    """`hc.run_in_background(...)`: the same in sync programs, and on loops that are not the runtime's."""
    events = []
    settings = {"prices": {"m": {"input": 1, "output": 2}}, "config": {"log": False}, "budgets": [TWO_CALLS]}
    with hc.run_in_background(tmp_path, **settings) as runtime:
        runtime.bus.subscribe(event_types=[STARTED, COMPLETED], handler=events.append)
        case = kind(runtime)
        left_by = BESIDE_A_THREAD[place](case)
        results = [runtime.wait(ctx.execution_id) for ctx in case.contexts]
        assert (runtime.budgets.status(), runtime.statistics().running) == ([], 0)
    check(case, left_by, events, results)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_a_block_may_be_cancelled_from_outside(make_runtime, place):
    """While it waits for money at the gate: it is let go, wherever it waits."""
    one_call = hc.Budget("b", "1 calls", window="day", mode="hard", on_exceed="pause")
    runtime = make_runtime(budgets=[one_call])
    paused = anyio.Event()
    runtime.bus.subscribe(event_types=[hc.EventType.BUDGET_EXCEEDED], handler=lambda _: paused.set())
    case, left_by = Refused(runtime), []

    async def run() -> None:
        left_by.append(await place(case))

    async with runtime:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                await paused.wait()
                assert await runtime.cancel_execution(case.contexts[0].execution_id, "enough")
    assert type(left_by[0]) is hc.ExecutionCancelledError
    assert (case.contexts[0].result.status, str(case.contexts[0].result.error)) == ("cancelled", "enough")


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_a_block_starts_sub_agents_and_has_nodes_charges_and_events(make_runtime, collect, place):
    """All that `ctx` and the runtime offer an entry point; a cap of its own binds all of it."""
    runtime = make_runtime()

    @runtime.entry_point("sub")
    async def sub(ctx, _):
        async with ctx.turn("m", input_tokens=100, max_tokens=50) as turn:
            turn.settle(hc.Usage(100, 50))

    class Everything(Case):
        def block(self, **settings):
            return self.runtime.execution(limit="$0.0105", tags={"plan": "pro"}, **settings)

        async def code(self, ctx):
            async with ctx.node("research"):
                ctx.publish(hc.CustomEvent(name="hello"))
                await self.turn(ctx)
            await ctx.charge("search", usd="0.01")
            self.sub = await self.runtime.trigger_and_wait("sub")
            await self.turn(ctx)

        def sync_code(self, ctx):
            with ctx.node("research"):
                ctx.publish(hc.CustomEvent(name="hello"))
                self.sync_turn(ctx)
            with ctx.charge("search", usd="0.01"):
                pass
            self.sub = anyio.run(self.runtime.trigger_and_wait, "sub")
            self.sync_turn(ctx)

    custom = collect(runtime, hc.EventType.CUSTOM)
    case = Everything(runtime)
    async with runtime:
        with anyio.fail_after(30):
            left_by = await place(case)
    if place is blocking_a_loop_elsewhere:
        return  # anyio.run() refuses to be nested there, and goes on to the caller
    (ctx,) = case.contexts
    assert "cap of planner" in str(left_by)
    assert (case.sub.status, ctx.result.status, ctx.result.refusals) == ("completed", "cancelled", 1)
    assert (custom[0].node_id, custom[0].user_id, dict(custom[0].tags)) == ("research", "ada", {"plan": "pro"})
    assert ctx.result.metrics["charges"] == 1
    assert ctx.result.metrics["tree_llm_calls"] == ctx.result.metrics["llm_calls"] + 1 == 2


async def test_what_was_cancelled_goes_on_where_nothing_interrupted_it(runtime):
    """A block whose code came to its end all the same is left as usual; its result says that it was cancelled."""
    async with runtime:
        async with runtime.execution() as ctx:
            runtime.cancel_execution_nowait(ctx.execution_id, "late")
        gently = runtime.execution()
        async with gently as other:
            runtime.cancel_execution_nowait(other.execution_id, "late", after_turn=True)
            await anyio.sleep(0.001)
    assert ctx.result.status in ("cancelled", "completed")
    assert other.result.status == "completed"


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_a_cancelled_caller_leaves_a_cancelled_execution(runtime, where):
    """Whoever the block is in may be cancelled itself: not by the runtime, and not caught by the block."""
    contexts, after = [], []

    async def work() -> None:
        with anyio.CancelScope() as scope:
            async with runtime.execution() as ctx:
                contexts.append(ctx)
                scope.cancel()
                await anyio.sleep_forever()
            after.append("went on")

    async with runtime:
        with anyio.fail_after(30):
            if where == "here":
                await work()
            else:
                await anyio.to_thread.run_sync(lambda: anyio.run(work))
    assert (contexts[0].result.status, after) == ("cancelled", [])


async def test_a_caller_that_is_cancelled_while_it_enters_leaves_nothing_running(runtime, collect):
    """From another loop, at any moment: what was begun is ended, or was never begun."""
    events = collect(runtime, STARTED, COMPLETED)

    async def enter() -> None:
        async with runtime.execution():
            await anyio.sleep_forever()

    async def main() -> None:
        for turns in range(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(enter)
                for _ in range(turns):
                    await anyio.sleep(0)
                tasks.cancel_scope.cancel()

    async with runtime:
        with anyio.fail_after(30):
            await anyio.to_thread.run_sync(lambda: anyio.run(main))
        assert runtime.statistics().running == 0
    kinds = [type(event) for event in events]
    assert kinds.count(hc.ExecutionStarted) == kinds.count(hc.ExecutionCompleted)


async def test_what_cannot_be_entered_says_why(runtime):
    """Outside of the runtime, twice, with attribution that cannot be, and with `with` on the runtime's own loop."""
    with pytest.raises(hc.HiveCostError, match="not running"):
        async with runtime.execution():
            pass
    with pytest.raises(hc.HiveCostError, match="not running"), runtime.execution():
        pass
    with pytest.raises(hc.ConfigError, match="limit"):
        runtime.execution(mode="observe")
    async with runtime:
        block = runtime.execution()
        async with block:
            pass
        with pytest.raises(hc.HiveCostError, match="entered before"):
            async with block:
                pass
        with pytest.raises(hc.HiveCostError, match=r"async with runtime\.execution"), runtime.execution():
            pass
        with pytest.raises(hc.ConfigError, match="user_id"):
            async with runtime.execution(user_id=7):
                pass
        async with runtime.execution() as ctx:
            with pytest.raises(hc.ReentrancyError):
                await runtime.wait(ctx.execution_id)
            with pytest.raises(hc.ReentrancyError):
                await runtime.__aexit__(None, None, None)
        assert runtime.statistics().running == 0


async def test_a_runtime_that_closes_waits_for_blocks_and_cancels_them_when_it_fails(make_runtime, collect):
    """As it does for executions of entry points, also for those in threads."""
    runtime = make_runtime()
    events = collect(runtime, COMPLETED)
    case, left_by, entered = Completes(runtime), [], threading.Event()

    class Slow(Cancelled):
        def sync_code(self, ctx):
            entered.set()
            while not ctx.is_cancelled:
                threading.Event().wait(0.001)
            self.sync_turn(ctx)

    slow = Slow(runtime)
    thread = threading.Thread(target=lambda: left_by.append(slow.run_sync()))

    async def main() -> None:
        async with runtime:
            thread.start()
            await anyio.to_thread.run_sync(entered.wait)
            assert await case.run() is None
            raise LookupError("of the program")

    with pytest.raises(LookupError, match="of the program"):
        await main()
    await anyio.to_thread.run_sync(thread.join)
    assert type(left_by[0]) is hc.ExecutionCancelledError
    assert [event.status for event in events] == ["completed", "cancelled"]
