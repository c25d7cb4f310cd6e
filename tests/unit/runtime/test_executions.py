"""An execution runs from trigger to exactly one EXECUTION_COMPLETED, however it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import anyio
import anyio.from_thread
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

COMPLETED = hc.EventType.EXECUTION_COMPLETED


class Interrupt(BaseException):
    """What KeyboardInterrupt is: no Exception."""


async def settle(ctx: hc.Execution, usage: hc.Usage) -> None:
    async with ctx.turn("m") as turn:
        turn.settle(usage)


async def test_a_completed_execution_gives_its_output_and_its_sums(runtime, collect):
    """The result has status, output and metrics, and the one EXECUTION_COMPLETED says the same."""
    seen = collect(runtime, COMPLETED)

    @runtime.entry_point("api", agent_id="clerk")
    async def api(ctx, request):
        await settle(ctx, hc.Usage(100, 20, cache_read_tokens=40))
        await settle(ctx, hc.Usage(50, 5))
        return {"reply": request["query"]}

    async with runtime:
        result = await runtime.trigger_and_wait("api", {"query": "help"})
    assert (result.status, result.output, result.error) == ("completed", {"reply": "help"}, None)
    expected = {"input_tokens": 150, "output_tokens": 25, "total_tokens": 175, "llm_calls": 2, "cached_tokens": 40}
    assert {name: result.metrics[name] for name in expected} == expected
    assert result.metrics["cost_nanousd"] == 150 * 1_000 + 25 * 2_000
    assert result.metrics["cost_usd"] == 0.0002
    (event,) = seen
    assert event.execution_id == result.execution_id
    assert event.session_id == result.session_id
    assert dict(event.data) | {
        "status": "completed",
        "cost": 0.0002,
        "agent_id": "clerk",
        "entry_point": "api",
        "input_tokens": 150,
        "output_tokens": 25,
        "llm_calls": 2,
    } == dict(event.data)


async def test_a_failed_execution_keeps_its_error_and_what_it_spent(runtime, collect):
    """An agent's exception is its result; nobody else is disturbed and its turns count."""
    seen = collect(runtime, COMPLETED)
    fault = ValueError("no such customer")

    @runtime.entry_point("api")
    async def api(ctx, _):
        await settle(ctx, hc.Usage(7, 3))
        raise fault

    async with runtime:
        result = await runtime.trigger_and_wait("api")
    assert (result.status, result.error, result.output) == ("failed", fault, None)
    assert result.metrics["total_tokens"] == 10
    assert [(e.status, e.error) for e in seen] == [("failed", "ValueError: no such customer")]


async def test_a_cancelled_execution_ends_with_its_reason(runtime, collect, forever):
    """`cancel_execution` ends it as cancelled, with the reason that was given as its error."""
    seen = collect(runtime, COMPLETED)
    runtime.entry_point("api")(forever.__call__)
    reason = hc.BudgetExceededError("enough")
    async with runtime:
        execution_id = await runtime.trigger("api")
        await forever.started.wait()
        assert await runtime.cancel_execution(execution_id, reason)
        result = await runtime.wait(execution_id)
    assert (result.status, result.error) == ("cancelled", reason)
    assert [(e.status, e.error) for e in seen] == [("cancelled", "BudgetExceededError: enough")]


async def test_closing_the_runtime_waits_for_what_runs(runtime, collect):
    """Leaving the block lets executions finish; their end is published before the bus closes."""
    seen = collect(runtime, COMPLETED)
    go = anyio.Event()

    @runtime.entry_point("api")
    async def api(ctx, _):
        await go.wait()
        await settle(ctx, hc.Usage(1, 1))

    async with runtime:
        await runtime.trigger("api")
        go.set()
    assert [(e.status, e.llm_calls) for e in seen] == [("completed", 1)]


async def test_an_error_in_the_block_cancels_what_runs(runtime, collect, forever):
    """The block's own exception comes out as it was, and no execution is left behind."""
    seen = collect(runtime, COMPLETED)
    runtime.entry_point("api")(forever.__call__)
    mine = RuntimeError("mine")

    async def main() -> None:
        async with runtime:
            await runtime.trigger("api")
            await forever.started.wait()
            raise mine

    with pytest.raises(RuntimeError) as raised:
        await main()
    assert raised.value is mine
    assert [event.status for event in seen] == ["cancelled"]
    assert runtime.statistics().running == 0


async def test_a_cancelled_block_cancels_what_runs(runtime, collect, forever):
    """A cancel scope around the runtime ends its executions, each with its one event."""
    seen = collect(runtime, COMPLETED)
    runtime.entry_point("api")(forever.__call__)
    with anyio.CancelScope() as scope:
        async with runtime:
            for _ in range(3):
                await runtime.trigger("api")
            await forever.started.wait()
            scope.cancel()
            await anyio.sleep_forever()
    assert [event.status for event in seen] == ["cancelled"] * 3


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_natively_cancelled_block_does_not_wait_for_a_runaway(runtime, collect, forever):
    """Ctrl-C in asyncio.run is a native cancel of the main task: executions end with it instead of holding it up."""
    seen = collect(runtime, COMPLETED)
    runtime.entry_point("api")(forever.__call__)

    async def main() -> None:
        async with runtime:
            await runtime.trigger("api")
            await asyncio.sleep(3600)

    task = asyncio.create_task(main())
    await forever.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError), anyio.fail_after(10):
        await task
    assert [event.status for event in seen] == ["cancelled"]


async def test_what_is_no_exception_comes_out_and_still_ends_every_execution(runtime, collect, forever):
    """Something like KeyboardInterrupt is not swallowed, and each execution has its EXECUTION_COMPLETED."""
    seen = collect(runtime, COMPLETED)
    runtime.entry_point("other")(forever.__call__)

    @runtime.entry_point("api")
    async def api(ctx, _):
        raise Interrupt("now")

    async def main() -> None:
        async with runtime:
            await runtime.trigger("other")
            await forever.started.wait()
            await runtime.trigger("api")
            await anyio.sleep_forever()

    with pytest.raises(Interrupt, match="now"):
        await main()
    assert sorted((e.entry_point, e.status) for e in seen) == [("api", "failed"), ("other", "cancelled")]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_agent_that_awaits_something_cancelled_harms_nobody_else(runtime, collect):
    """A CancelledError that leaks from an agent's own task ends that execution, not the runtime."""
    seen = collect(runtime, COMPLETED)
    go = asyncio.Event()

    @runtime.entry_point("leaks")
    async def leaks(ctx, _):
        inner = asyncio.ensure_future(asyncio.sleep(3600))
        inner.cancel()
        await inner

    @runtime.entry_point("other")
    async def other(ctx, _):
        await go.wait()
        return "fine"

    async with runtime:
        other_id = await runtime.trigger("other")
        leaked = await runtime.trigger_and_wait("leaks")
        go.set()
        result = await runtime.wait(other_id)
    assert leaked.status == "cancelled"
    assert isinstance(leaked.error, hc.ExecutionCancelledError)
    assert (result.status, result.output) == ("completed", "fine")
    assert len(seen) == 2


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [UnspeakableError(), OSError("cannot open '\udcff'"), ValueError("x" * 10**6)])
async def test_an_error_that_cannot_be_told_still_ends_the_execution(runtime, collect, error):
    """An exception whose text raises, is no Unicode or has a million characters is a result like any other."""
    seen = collect(runtime, COMPLETED)

    @runtime.entry_point("api")
    async def api(ctx, _):
        raise error

    async with runtime:
        with anyio.fail_after(10):
            result = await runtime.trigger_and_wait("api")
    assert (result.status, result.error) == ("failed", error)
    (event,) = seen
    assert type(error).__name__ in event.error
    assert len(event.error.encode()) < 10_000


async def test_trigger_returns_at_once_and_wait_gives_the_result(runtime):
    """`trigger` does not wait for the agent, and its result is there whenever it is asked for."""
    go = anyio.Event()

    @runtime.entry_point("api")
    async def api(ctx, value):
        await go.wait()
        return value + 1

    async with runtime:
        first = await runtime.trigger("api", 1)
        second = await runtime.trigger("api", 2)
        assert runtime.statistics().running == 2
        go.set()
        assert (await runtime.wait(second)).output == 3
        while runtime.statistics().running:
            await anyio.lowlevel.checkpoint()
        assert (await runtime.wait(first)).output == 2
        with pytest.raises(LookupError, match="exec_of_nobody"):
            await runtime.wait("exec_of_nobody")


async def test_each_execution_has_a_session_of_its_own_unless_one_is_named(runtime):
    """Without a session id there is a new one; with it, executions share the session."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        return ctx.session_id

    async with runtime:
        alone = [(await runtime.trigger_and_wait("api")).output for _ in range(2)]
        mine = hc.new_session_id(runtime.clock.now_ns())
        shared = [(await runtime.trigger_and_wait("api", session_id=mine)).session_id for _ in range(2)]
    assert len(set(alone)) == 2
    assert shared == [mine, mine]


async def test_the_caller_of_trigger_and_wait_takes_its_execution_along(runtime, collect, forever):
    """Cancelling who waits cancels what it waits for."""
    seen = collect(runtime, COMPLETED)
    runtime.entry_point("api")(forever.__call__)
    async with runtime:
        async with anyio.create_task_group() as group:
            group.start_soon(runtime.trigger_and_wait, "api")
            await forever.started.wait()
            group.cancel_scope.cancel()
        while runtime.statistics().running:
            await anyio.lowlevel.checkpoint()
    assert [(e.status, "caller" in e.error) for e in seen] == [("cancelled", True)]


async def test_nested_executions_count_for_themselves(runtime, collect):
    """An agent that triggers another in its session pays only for its own turns; the session pays for both."""
    seen = collect(runtime, COMPLETED)

    @runtime.entry_point("child")
    async def child(ctx, _):
        assert hc.current_execution() is ctx
        await settle(ctx, hc.Usage(10, 1))
        return ctx.execution_id

    @runtime.entry_point("parent")
    async def parent(ctx, _):
        async with ctx.node("delegate"):
            await settle(ctx, hc.Usage(100, 2))
            inner = await runtime.trigger_and_wait("child", session_id=ctx.session_id)
            assert hc.current_execution() is ctx
            await settle(ctx, hc.Usage(1_000, 3))
        return inner

    async with runtime:
        result = await runtime.trigger_and_wait("parent")
        await runtime.bus.drain()
    assert result.output.metrics["input_tokens"] == 10
    assert result.metrics["input_tokens"] == 1_100
    assert result.output.session_id == result.session_id
    assert runtime.usage.by("session")[result.session_id].input_tokens == 1_110
    assert runtime.usage.by("node")["delegate"].llm_calls == 2
    assert [event.entry_point for event in seen] == ["child", "parent"]


async def test_cancelling_the_parent_cancels_the_child_it_waits_for(runtime, collect, forever):
    """A cancelled parent does not leave a child behind that goes on spending."""
    seen = collect(runtime, COMPLETED)
    runtime.entry_point("child")(forever.__call__)

    @runtime.entry_point("parent")
    async def parent(ctx, _):
        await runtime.trigger_and_wait("child")

    async with runtime:
        execution_id = await runtime.trigger("parent")
        await forever.started.wait()
        await runtime.cancel_execution(execution_id, "stop")
        await runtime.wait(execution_id)
    assert sorted((e.entry_point, e.status) for e in seen) == [("child", "cancelled"), ("parent", "cancelled")]


async def test_an_execution_triggered_by_a_handler_may_wait_for_other_subscribers(runtime, collect):
    """What a bus handler triggers may flush the log; only waiting for that handler itself is refused."""
    seen = collect(runtime, COMPLETED)

    @runtime.entry_point("follow-up")
    async def follow_up(ctx, subscription_id):
        await runtime.bus.drain(subscription_id)

    async def on_custom(event):
        await runtime.trigger("follow-up", event.data["wait_for"])

    own = runtime.bus.subscribe(event_types=[hc.EventType.CUSTOM], handler=on_custom)
    other = runtime.bus.subscribe(handler=lambda event: None)
    async with runtime:
        for subscription_id in (other, own):
            await runtime.bus.publish(hc.CustomEvent(name="go", payload={"wait_for": subscription_id}))
        await runtime.bus.drain()
    ends = sorted((event.status, event.error[:15]) for event in seen)
    assert ends == [("completed", ""), ("failed", "ReentrancyError")]


async def test_waiting_for_oneself_is_refused_at_once(runtime):
    """`wait` of the execution that the code runs in, in a node, a child task or a thread too; others can wait."""

    async def ask(execution_id: str) -> None:
        with pytest.raises(hc.ReentrancyError, match=execution_id), anyio.fail_after(10):
            await runtime.wait(execution_id)

    @runtime.entry_point("async")
    async def in_tasks(ctx, _):
        await ask(ctx.execution_id)
        async with ctx.node("plan"), anyio.create_task_group() as group:
            group.start_soon(ask, ctx.execution_id)
        inner = await runtime.trigger_and_wait("thread")
        assert (await runtime.wait(inner.execution_id)).output == "refused"  # another one, and over
        return inner.output

    @runtime.entry_point("thread")
    def in_thread(ctx, _):
        anyio.from_thread.run(ask, ctx.execution_id)
        return "refused"

    async with runtime:
        result = await runtime.trigger_and_wait("async")
        assert (result.output, result.error) == ("refused", None)
        assert await runtime.wait(result.execution_id) is result


async def test_closing_waits_for_what_running_executions_start_and_takes_nothing_from_outside(runtime, collect):
    """A handler or a task that triggers while the runtime closes is refused, or closing would never end."""
    seen = collect(runtime, COMPLETED)
    closing, go = anyio.Event(), anyio.Event()
    refused = []

    @runtime.entry_point("parent")
    async def parent(ctx, _):
        await go.wait()
        await runtime.trigger("child")

    @runtime.entry_point("child")
    def child(ctx, _):
        anyio.from_thread.run(runtime.trigger, "grandchild")

    @runtime.entry_point("grandchild")
    async def grandchild(ctx, _):
        return "done"

    async def start_again(event) -> None:
        await from_outside()

    async def from_outside() -> None:
        with pytest.raises(hc.HiveCostError, match=r"is closing|not running") as raised:
            await runtime.trigger("grandchild")
        refused.append(raised.value)

    async def outside() -> None:
        await closing.wait()
        await anyio.wait_all_tasks_blocked()
        await from_outside()
        go.set()

    async with anyio.create_task_group() as group:
        group.start_soon(outside)
        async with runtime:
            await runtime.trigger("parent")
            runtime.bus.subscribe(handler=start_again, event_types=[COMPLETED])
            closing.set()
    assert sorted(event.entry_point for event in seen) == ["child", "grandchild", "parent"]
    assert {event.status for event in seen} == {"completed"}
    assert len(refused) == 4
    assert runtime.bus.statistics().failed == 0


@pytest.mark.parametrize("how", ["raises", "is interrupted", "an agent leaves"])
async def test_once_the_block_has_failed_nothing_new_starts(runtime, collect, how):
    """What agents trigger on their way out, or go on to trigger, is refused at once and by name."""
    seen = collect(runtime, COMPLETED)
    started, refused = anyio.Event(), []

    @runtime.entry_point("api")
    async def api(ctx, _):
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True), pytest.raises(hc.HiveCostError, match="ending") as raised:
                await runtime.trigger("api")
            refused.append(raised.value)

    @runtime.entry_point("exit")
    async def leave(ctx, _):
        raise Interrupt

    with anyio.fail_after(10), suppress(Interrupt, KeyError):
        async with runtime:
            await runtime.trigger("api")
            await started.wait()
            if how == "raises":
                raise KeyError
            if how == "is interrupted":
                raise Interrupt
            await runtime.trigger("exit")
            await anyio.sleep_forever()
    assert len(refused) == 1
    assert runtime.statistics().started == (2 if how == "an agent leaves" else 1)
    assert len(seen) == runtime.statistics().started
    async with runtime:
        execution_id = await runtime.trigger("api")  # a second run begins anew
        await runtime.cancel_execution(execution_id)
        assert (await runtime.wait(execution_id)).status == "cancelled"


async def test_what_cannot_be_triggered_is_refused_by_name(runtime, forever):
    """An unknown entry point is named with those there are; a runtime that does not run says so."""
    runtime.entry_point("api")(forever.__call__)
    runtime.entry_point("batch")(forever.__call__)
    with pytest.raises(hc.HiveCostError, match="not running"):
        await runtime.trigger("api")
    async with runtime:
        with pytest.raises(hc.UnknownEntryPointError, match=r"'apj' is registered \(registered: api, batch\)"):
            await runtime.trigger("apj")
        assert runtime.statistics().started == 0


@pytest.mark.parametrize(
    ("attribution", "key"),
    [
        ({"tags": {"note": "x" * 2**20}}, "tags.note"),
        ({"tags": {"x" * 2**20: "note"}}, "tags.xxx"),
        ({"tags": {"customer": 5}}, "tags.customer"),
        ({"tags": {5: "customer"}}, "tags.5"),
        ({"tags": {str(n): "" for n in range(65)}}, "tags"),
        ({"tags": ["customer"]}, "tags"),
        ({"tags": {"note": "\ud800"}}, "tags.note"),
        ({"tags": {"org": "acme"}}, "tags.org"),
        ({"tags": {"model": "gpt-4o"}}, "tags.model"),
        ({"user_id": 42}, "user_id"),
        ({"user_id": "\ud800"}, "user_id"),
        ({"org_id": 1.5}, "org_id"),
        ({"task_id": b"t"}, "task_id"),
        ({"session_id": 7}, "session_id"),
        ({"user_id": "u" * 2**20}, "user_id"),
    ],
)
async def test_attribution_that_cannot_be_used_is_refused_by_its_key(runtime, forever, attribution, key):
    """A 1 MB tag, or an id that is no text, is an error at trigger, and nothing has started."""
    runtime.entry_point("api")(forever.__call__)
    async with runtime:
        with pytest.raises(hc.ConfigError) as raised:
            await runtime.trigger("api", **attribution)
        assert raised.value.key.startswith(key)
        assert len(str(raised.value)) < 1_000
        assert runtime.statistics().running == 0


async def test_attribution_reaches_every_turn(runtime, collect):
    """Session, execution, node, agent, user, org, task and tags stand on each turn."""
    seen = collect(runtime, hc.EventType.LLM_TURN_COMPLETE)

    @runtime.entry_point("api", agent_id="clerk")
    async def api(ctx, _):
        async with ctx.node("plan"):
            await settle(ctx, hc.Usage(1, 1))
        async with ctx.node("review", agent_id="critic"):
            await settle(ctx, hc.Usage(1, 1))
        await settle(ctx, hc.Usage(1, 1))

    async with runtime:
        result = await runtime.trigger_and_wait(
            "api", user_id="ada", org_id="acme", task_id="t1", tags={"customer": "c7"}
        )
    assert [(e.node_id, e.agent_id) for e in seen] == [("plan", "clerk"), ("review", "critic"), ("", "clerk")]
    for event in seen:
        assert (event.session_id, event.execution_id) == (result.session_id, result.execution_id)
        assert (event.user_id, event.org_id, event.task_id) == ("ada", "acme", "t1")
        assert event.tags == {"customer": "c7"}


async def test_a_runtime_runs_again_after_it_was_closed(runtime, collect):
    """The same object serves a second block; handlers that were subscribed before serve it, too."""
    seen = collect(runtime, COMPLETED)

    @runtime.entry_point("api")
    async def api(ctx, _):
        await settle(ctx, hc.Usage(1, 1))

    for _ in range(2):
        async with runtime:
            assert (await runtime.trigger_and_wait("api")).status == "completed"
            with anyio.fail_after(10):
                await runtime.bus.drain()
    assert len(seen) == 2
    assert runtime.usage.total.llm_calls == 2


async def test_one_runtime_is_not_opened_twice_at_once(runtime):
    """The second `async with` says so and leaves the first alone."""
    async with runtime:
        with pytest.raises(hc.HiveCostError, match="running already"):
            async with runtime:
                raise AssertionError("never reached")
        await runtime.bus.publish(hc.CustomEvent(name="still open"))


@pytest.mark.parametrize(("name", "function"), [("", print), (None, print), ("api", "not a function")])
def test_an_entry_point_that_is_none_is_refused(runtime, name, function):
    """A name that is empty, or something that cannot be called, is an error where it is registered."""
    with pytest.raises(hc.ConfigError, match="entry_point"):
        runtime.entry_point(name)(function)
