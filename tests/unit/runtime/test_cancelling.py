"""Cancelling returns at once and works from anywhere; who ignores it is reported."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.from_thread
import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

TURN = hc.EventType.LLM_TURN_COMPLETE


async def test_a_handler_cancels_the_execution_its_event_is_about(runtime, forever):
    """`await runtime.cancel_execution(event.execution_id)` in a handler returns while the execution still ends."""
    returned = anyio.Event()

    async def stop(event):
        assert await runtime.cancel_execution(event.execution_id, "seen enough")
        returned.set()

    runtime.bus.subscribe(event_types=[TURN], handler=stop)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m") as turn:
            turn.settle(hc.Usage(1, 1))
        with anyio.CancelScope(shield=True):
            await returned.wait()
        await anyio.sleep_forever()

    async with runtime:
        with anyio.fail_after(10):
            result = await runtime.trigger_and_wait("api")
    assert (result.status, str(result.error)) == ("cancelled", "seen enough")


async def test_a_turn_after_the_cancellation_says_so(runtime):
    """By its own error, before any await is cancelled: frameworks tell it from a task that was cancelled."""
    raised = []

    @runtime.entry_point("api")
    async def api(ctx, _):
        await runtime.cancel_execution(ctx.execution_id, "enough")
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)
        try:
            async with ctx.turn("m"):
                pass
        except hc.ExecutionCancelledError as error:
            raised.append(str(error))

    async with runtime:
        await runtime.trigger_and_wait("api")
    assert len(raised) == 1


async def test_an_execution_cancels_itself(runtime):
    """In its own task the call returns, too; the next await is where it ends."""
    reached = []

    @runtime.entry_point("api")
    async def api(ctx, _):
        reached.append(await runtime.cancel_execution(ctx.execution_id, "my own choice"))
        await anyio.sleep_forever()

    async with runtime:
        with anyio.fail_after(10):
            result = await runtime.trigger_and_wait("api")
    assert reached == [True]
    assert (result.status, str(result.error)) == ("cancelled", "my own choice")


async def test_another_thread_cancels(runtime, forever):
    """`cancel_execution_nowait` needs neither loop nor await."""
    runtime.entry_point("api")(forever)
    async with runtime:
        execution_id = await runtime.trigger("api")
        await forever.started.wait()
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(runtime.cancel_execution_nowait(execution_id, "from a thread"))
        )
        thread.start()
        with anyio.fail_after(10):
            result = await runtime.wait(execution_id)
        await anyio.to_thread.run_sync(thread.join)
    assert answers == [True]
    assert str(result.error) == "from a thread"


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="POSIX only")
async def test_a_signal_handler_cancels(runtime, forever):
    """A handler of signal.signal, which may run between any two bytecodes, stops a sleeping agent."""
    runtime.entry_point("api")(forever)
    async with runtime:
        execution_id = await runtime.trigger("api")
        await forever.started.wait()
        before = signal.signal(
            signal.SIGUSR1, lambda *_: runtime.cancel_execution_nowait(execution_id, "SIGUSR1") and None
        )
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            with anyio.fail_after(10):
                result = await runtime.wait(execution_id)
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert (result.status, str(result.error)) == ("cancelled", "SIGUSR1")


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_what_is_cancelled_before_it_starts_never_runs(runtime, collect, kind):
    """Cancelled right after trigger, an agent executes nothing; its one end is published all the same."""
    seen = collect(runtime, hc.EventType.EXECUTION_COMPLETED)
    ran = []

    async def agent(ctx, _):
        ran.append(ctx)

    runtime.entry_point("api")(agent if kind == "async" else lambda ctx, _: ran.append(ctx))
    async with runtime:
        execution_id = await runtime.trigger("api")
        assert runtime.cancel_execution_nowait(execution_id, "changed my mind")
        result = await runtime.wait(execution_id)
    assert ran == []
    assert (result.status, str(result.error)) == ("cancelled", "changed my mind")
    assert [event.status for event in seen] == ["cancelled"]


async def test_cancelling_what_does_not_run_says_so(runtime):
    """False for an id nobody knows and for one that has ended, inside and outside of the block."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        return None

    assert not runtime.cancel_execution_nowait("exec_of_nobody")
    async with runtime:
        result = await runtime.trigger_and_wait("api")
        assert not await runtime.cancel_execution(result.execution_id)
        assert not await runtime.cancel_execution("exec_of_nobody")
    assert not runtime.cancel_execution_nowait(result.execution_id)


async def test_the_first_reason_stays(runtime, forever):
    """Cancelled twice, an execution keeps the first reason; the hooks hear of it once."""
    runtime.entry_point("api")(forever)
    async with runtime:
        execution_id = await runtime.trigger("api")
        assert await runtime.cancel_execution(execution_id, "first")
        assert await runtime.cancel_execution(execution_id, "second")
        result = await runtime.wait(execution_id)
    assert str(result.error) == "first"


async def test_hooks_hear_of_a_cancellation_once_and_before_the_end(runtime, forever, signal_log):
    """`execution_cancelled` carries id and reason; a receiver that raises hinders nothing."""

    def broken(_, **facts):
        raise RuntimeError("a broken hook")

    hc.execution_cancelled.connect(broken, sender=runtime)
    told = signal_log(hc.execution_cancelled, runtime)
    runtime.entry_point("api")(forever)
    try:
        async with runtime:
            execution_id = await runtime.trigger("api")
            await forever.started.wait()
            await runtime.cancel_execution(execution_id, "enough")
            await runtime.cancel_execution(execution_id, "enough again")
            result = await runtime.wait(execution_id)
    finally:
        hc.execution_cancelled.disconnect(broken, sender=runtime)
    assert told == [{"execution_id": execution_id, "reason": result.error}]


async def test_an_execution_that_ignores_its_cancellation_is_reported(make_runtime, signal_log, caplog):
    """The watchdog names it in the log and by signal after the grace, and again each time the wait has doubled."""
    clock = FakeClock()
    runtime = make_runtime(clock=clock, config={"log": False, "cancel_grace_s": 5.0})
    told = signal_log(hc.cancellation_ignored, runtime)
    started, let_go = anyio.Event(), anyio.Event()

    @runtime.entry_point("stubborn")
    async def stubborn(ctx, _):
        with anyio.CancelScope(shield=True):
            started.set()
            await let_go.wait()

    async with runtime:
        execution_id = await runtime.trigger("stubborn")
        await started.wait()
        with anyio.fail_after(10):
            assert await runtime.cancel_execution(execution_id)
            for seconds in (4.9, 0.1, 4.9, 0.1, 10.0):
                await clock.wait_for_sleepers()
                clock.advance(seconds)
                for _ in range(10):
                    await anyio.lowlevel.checkpoint()
            let_go.set()
            await runtime.wait(execution_id)
    assert [(t["execution_id"], t["entry_point"], t["waited_s"]) for t in told] == [
        (execution_id, "stubborn", waited_s) for waited_s in (5.0, 10.0, 20.0)
    ]
    assert [r.getMessage() for r in caplog.records if "still runs" in r.getMessage()] == [
        f"execution {execution_id} (stubborn) still runs {waited_s:.1f} s after it was cancelled"
        for waited_s in (5.0, 10.0, 20.0)
    ]


async def test_an_execution_that_obeys_is_not_reported(make_runtime, signal_log, forever):
    """Who ends within the grace leaves no watchdog behind."""
    clock = FakeClock()
    runtime = make_runtime(clock=clock)
    told = signal_log(hc.cancellation_ignored, runtime)
    runtime.entry_point("api")(forever)
    async with runtime:
        execution_id = await runtime.trigger("api")
        await forever.started.wait()
        await runtime.cancel_execution(execution_id)
        await runtime.wait(execution_id)
        clock.advance(1_000)
    assert told == []
    assert clock.sleepers == 0


async def test_a_sync_agent_is_refused_its_next_turn(runtime, collect):
    """A thread cannot be interrupted: the next turn of a cancelled sync agent raises, and nothing more is sent."""
    seen = collect(runtime, TURN)
    caught = []

    @runtime.entry_point("sync")
    def sync(ctx, _):
        for number in range(1_000):
            try:
                with ctx.turn("m") as turn:
                    turn.settle(hc.Usage(1, 0))
            except hc.ExecutionCancelledError as error:
                caught.append((number, str(error), ctx.is_cancelled))
                raise
            if number == 2:
                anyio.from_thread.run(runtime.cancel_execution, ctx.execution_id, "three are enough")

    async with runtime:
        result = await runtime.trigger_and_wait("sync")
    assert result.status == "cancelled"
    assert len(seen) == 3
    assert [(number, "three are enough" in text, cancelled) for number, text, cancelled in caught] == [(3, True, True)]


async def test_a_sync_agent_that_waits_at_the_gate_is_let_go(make_runtime):
    """Cancelled while a pacer holds its turn back, a thread gets ExecutionCancelledError, not a foreign error."""
    clock = FakeClock()
    runtime = make_runtime(clock=clock, plugins=[hc.TurnPacer(1, 60.0)])
    caught = []

    @runtime.entry_point("sync")
    def sync(ctx, _):
        with ctx.turn("m") as turn:
            turn.settle(hc.Usage(1, 0))
        try:
            with ctx.turn("m"):
                raise AssertionError("never granted")
        except hc.ExecutionCancelledError as error:
            caught.append(error)
            raise

    async with runtime:
        execution_id = await runtime.trigger("sync")
        with anyio.fail_after(10):
            await clock.wait_for_sleepers()
            await runtime.cancel_execution(execution_id, "too slow")
            result = await runtime.wait(execution_id)
    assert (result.status, str(result.error)) == ("cancelled", "too slow")
    assert result.metrics["llm_calls"] == 1


async def test_an_agent_that_never_waits_is_stopped_at_the_gate(runtime):
    """A loop whose provider answers at once still lets handlers run, so that one of them can stop it."""

    async def stop(event):
        await runtime.cancel_execution(event.execution_id)

    runtime.bus.subscribe(event_types=[TURN], handler=stop)

    @runtime.entry_point("runaway")
    async def runaway(ctx, _):
        for _ in range(100_000):
            async with ctx.turn("m") as turn:
                turn.settle(hc.Usage(1, 0))

    async with runtime:
        result = await runtime.trigger_and_wait("runaway")
    assert result.status == "cancelled"
    assert result.metrics["llm_calls"] < 100


async def test_the_bus_filters_by_the_one_execution(runtime):
    """`wait_for` of one execution's end is not fooled by another's."""
    go = anyio.Event()

    @runtime.entry_point("slow")
    async def slow(ctx, _):
        await go.wait()

    @runtime.entry_point("quick")
    async def quick(ctx, _):
        return None

    async with runtime:
        slow_id = await runtime.trigger("slow")
        ended = []

        async def watch() -> None:
            ended.append(
                await runtime.bus.wait_for(hc.EventType.EXECUTION_COMPLETED, timeout_s=10, execution_id=slow_id)
            )

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await runtime.trigger_and_wait("quick")
            assert ended == []
            go.set()
    assert [event.entry_point for event in ended] == ["slow"]


async def test_after_turn_lets_the_turn_come_back_and_refuses_the_next(make_runtime):
    """after_turn=True: what is being sent is paid for and counted; only the next turn is refused."""
    runtime = make_runtime()
    steps = []

    @runtime.entry_point("api")
    async def api(ctx, turns):
        for number in range(turns):
            async with ctx.turn("m") as turn:
                await runtime.cancel_execution(ctx.execution_id, "enough", after_turn=True)
                await anyio.sleep(0.01)
                turn.settle(hc.Usage(1, 1))
                steps.append(number)

    async with runtime:
        stopped = await runtime.trigger_and_wait("api", 2)
        done = await runtime.trigger_and_wait("api", 1)
    assert steps == [0, 0]
    assert (stopped.status, str(stopped.error), stopped.metrics["llm_calls"]) == ("cancelled", "enough", 1)
    assert done.status == "completed"


@pytest.mark.parametrize("first", ["gently", None])
async def test_a_hard_cancel_wins_over_a_gentle_one(runtime, forever, signal_log, first):
    """H10: whoever asks harder is heard; the hook is told of both, with the reason of each."""
    runtime.entry_point("api")(forever)
    told = signal_log(hc.execution_cancelled, runtime)
    async with runtime:
        with anyio.fail_after(10):
            execution_id = await runtime.trigger("api")
            await forever.started.wait()
            assert await runtime.cancel_execution(execution_id, first, after_turn=True)
            assert await runtime.cancel_execution(execution_id, "now")
            assert await runtime.cancel_execution(execution_id, "too late", after_turn=True)
            result = await runtime.wait(execution_id)
    assert (result.status, str(result.error)) == ("cancelled", "now")
    assert [str(facts["reason"]) for facts in told] == ["now", "now"] if first is None else ["gently", "now"]


async def test_the_hook_hears_of_a_gentle_cancellation(runtime, signal_log):
    """When it is asked for, not when the agent gets there."""
    told, go_on = signal_log(hc.execution_cancelled, runtime), anyio.Event()

    @runtime.entry_point("api")
    async def api(ctx, _):
        await go_on.wait()

    async with runtime:
        execution_id = await runtime.trigger("api")
        await runtime.cancel_execution(execution_id, "gently", after_turn=True)
        with anyio.fail_after(10):
            while not told:
                await anyio.sleep(0.001)
        go_on.set()
    assert [(facts["execution_id"], str(facts["reason"])) for facts in told] == [(execution_id, "gently")]


@pytest.mark.parametrize("mode", ["stop_after", "hard"])
async def test_the_hook_hears_of_a_refusal_that_ends_an_execution(make_runtime, signal_log, mode):
    """Nobody asked it to stop: its budget was spent, and its next turn was refused."""
    runtime = make_runtime(budgets=[hc.Budget("b", "1 calls", window="execution", mode=mode)])
    told = signal_log(hc.execution_cancelled, runtime)

    @runtime.entry_point("api")
    async def api(ctx, _):
        for _ in range(3):
            async with ctx.turn("m", input_tokens=1, max_tokens=100) as turn:
                turn.settle(hc.Usage(1, 1))
            await anyio.sleep(0.01)

    async with runtime:
        result = await runtime.trigger_and_wait("api")
    assert result.status == "cancelled"
    ((fact),) = told
    assert (fact["execution_id"], type(fact["reason"])) == (result.execution_id, hc.BudgetExhaustedError)


async def test_closing_ends_what_a_gentle_cancellation_left_running(runtime, forever):
    """The block failed: whoever waits for a tool is cancelled, however it was asked to stop before."""
    runtime.entry_point("api")(forever)

    async def fail():
        async with runtime:
            execution_id = await runtime.trigger("api")
            await forever.started.wait()
            await runtime.cancel_execution(execution_id, "gently", after_turn=True)
            raise ZeroDivisionError

    with anyio.fail_after(10), pytest.raises(ZeroDivisionError):
        await fail()


async def test_cancelling_lets_go_of_turns_that_wait_in_threads_of_the_agents_own(make_runtime):
    """A paused turn of a pool's thread is refused, so that the pool, the agent and the runtime can end."""
    budget = hc.Budget("day", "1 calls", window="day", mode="hard", on_exceed="pause")
    runtime = make_runtime(budgets=[budget])
    paused = []
    runtime.bus.subscribe(event_types=[hc.EventType.BUDGET_EXCEEDED], handler=paused.append)
    refused = []

    def call(ctx):
        try:
            with ctx.turn("m", input_tokens=1, max_tokens=100) as turn:
                turn.settle(hc.Usage(1, 1))
        except hc.ExecutionCancelledError as error:
            refused.append(str(error))

    @runtime.entry_point("api")
    def api(ctx, _):
        call(ctx)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(call, [ctx, ctx]))

    async with runtime:
        with anyio.fail_after(10):
            execution_id = await runtime.trigger("api")
            while len(paused) < 2:
                await anyio.sleep(0.005)
            await runtime.cancel_execution(execution_id, "enough")
            await runtime.wait(execution_id)
    assert refused == [f"execution {execution_id} was cancelled: enough"] * 2
