"""Code deep in an agent finds its execution and its node, and concurrent ones do not mix."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref

import anyio
import anyio.to_thread
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

TURN = hc.EventType.LLM_TURN_COMPLETE


async def deep_call(tokens: int) -> None:
    """A library that was handed nothing."""
    async with hc.current_execution().turn("m") as turn:
        turn.settle(hc.Usage(tokens, 0))


async def test_outside_of_an_execution_there_is_none():
    """Asking for the current execution where there is none is a LookupError that says what to do."""
    with pytest.raises(LookupError, match=r"runtime\.trigger"):
        hc.current_execution()


async def test_child_tasks_belong_to_the_execution_and_node_that_started_them(runtime, collect):
    """Turns of concurrent nodes and executions land where they were started, whatever the interleaving."""
    seen = collect(runtime, TURN)

    async def branch(node_id: str, tokens: int) -> None:
        async with hc.current_execution().node(node_id), anyio.create_task_group() as group:
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
                group.start_soon(deep_call, tokens)

    @runtime.entry_point("api")
    async def api(ctx, tokens):
        async with anyio.create_task_group() as group:
            group.start_soon(branch, "left", tokens)
            group.start_soon(branch, "right", tokens + 1)
            group.start_soon(deep_call, tokens + 2)

    async with runtime:
        ids = {await runtime.trigger("api", tokens): tokens for tokens in (100, 200, 300)}
    assert len(seen) == 3 * 7
    for turn in seen:
        base = ids[turn.execution_id]
        assert turn.usage.input_tokens == base + {"left": 0, "right": 1, "": 2}[turn.node_id]


async def test_an_agent_has_one_ctx_and_it_goes_with_the_agent(runtime):
    """Whoever asks for it gets the same object; nothing keeps it, and what hangs on it, for the collector to find."""
    references = []

    @runtime.entry_point("api")
    async def api(ctx, _):
        references.extend([weakref.ref(ctx), weakref.ref(ctx._running)])
        assert hc.current_execution() is ctx
        node = ctx.node("loop", loop_config={"max_iterations": 1, "max_history_tokens": 100})
        async with node, ctx.turn("gpt-4o", prompt=[{"role": "user", "content": "Go on."}]) as turn:
            turn.release()
        del ctx, node, turn
        await deep_call(1)
        assert hc.current_execution().totals.llm_calls == 1

    async with runtime:
        gc.disable()
        try:
            assert (await runtime.trigger_and_wait("api")).error is None
            await runtime.bus.drain()
            assert [reference() for reference in references] == [None, None]
        finally:
            gc.enable()


async def test_nodes_nest_and_end(runtime, collect):
    """The innermost node counts; leaving it, by an exception too, gives the outer one back."""
    seen = collect(runtime, TURN)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.node("outer"):
            with contextlib.suppress(ValueError):
                async with ctx.node("inner"):
                    await deep_call(1)
                    raise ValueError
            await deep_call(2)
        await deep_call(3)

    async with runtime:
        assert (await runtime.trigger_and_wait("api")).error is None
    assert [turn.node_id for turn in seen] == ["inner", "outer", ""]


async def test_a_sync_agent_runs_in_a_thread_with_its_execution(runtime, collect):
    """A plain function is an agent, too: nodes, turns and current_execution() work in its thread."""
    seen = collect(runtime, TURN)
    loop_thread = threading.get_ident()

    @runtime.entry_point("sync")
    def sync(ctx, value):
        assert threading.get_ident() != loop_thread
        assert hc.current_execution() is ctx
        with ctx.node("think"), ctx.turn("m", max_tokens=9) as turn:
            turn.settle(hc.Usage(turn.max_tokens, 1))
        return value * 2

    async with runtime:
        result = await runtime.trigger_and_wait("sync", 21)
    assert (result.status, result.output, result.metrics["input_tokens"]) == ("completed", 42, 9)
    assert [turn.node_id for turn in seen] == ["think"]


async def test_a_turn_without_a_limit_has_none_to_send(runtime):
    """A client sends no limit for None; a provider refuses 0."""
    sent = []

    @runtime.entry_point("api")
    async def api(ctx, _):
        for limit in ({}, {"max_tokens": 0}, {"max_tokens": 9}):
            async with ctx.turn("m", **limit) as turn:
                sent.append(turn.max_tokens)
                turn.release()

    async with runtime:
        await runtime.trigger_and_wait("api")
    assert sent == [None, None, 9]


async def test_a_thread_of_the_agents_own_may_ask_for_turns(runtime):
    """A sync agent that starts threads itself (a ThreadPoolExecutor) passes the gate from there."""

    def work(ctx):
        with ctx.turn("m") as turn:
            turn.settle(hc.Usage(5, 0))

    @runtime.entry_point("sync")
    def sync(ctx, _):
        threads = [threading.Thread(target=work, args=(ctx,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    async with runtime:
        result = await runtime.trigger_and_wait("sync")
    assert (result.status, result.metrics["llm_calls"], result.metrics["input_tokens"]) == ("completed", 4, 20)


async def test_a_sync_turn_on_the_event_loop_is_refused_with_the_way_out(runtime):
    """`with ctx.turn(...)` in an async agent would wait for itself; it says what to write instead."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        with ctx.turn("m"):
            pass

    async with runtime:
        result = await runtime.trigger_and_wait("api")
    assert result.status == "failed"
    assert "async with ctx.turn" in str(result.error)


async def test_a_hundred_sync_agents_mix_nothing(runtime):
    """Each thread has its own execution; no turn is counted for another."""

    @runtime.entry_point("sync")
    def sync(ctx, tokens):
        for _ in range(3):
            with ctx.turn("m") as turn:
                turn.settle(hc.Usage(tokens, 0))
        return hc.current_execution().execution_id

    results = []

    async def one(tokens: int) -> None:
        results.append((tokens, await runtime.trigger_and_wait("sync", tokens)))

    async with runtime, anyio.create_task_group() as group:
        for tokens in range(1, 101):
            group.start_soon(one, tokens)
    assert len(results) == 100
    for tokens, result in results:
        assert result.output == result.execution_id
        assert result.metrics["input_tokens"] == 3 * tokens
    assert runtime.usage.total.input_tokens == 3 * sum(range(1, 101))


async def test_an_agent_may_be_any_callable(runtime):
    """A function that gives a coroutine, and an object with an async __call__, are awaited."""

    class Agent:
        async def __call__(self, ctx, value):
            return value + 1

    async def inner(value):
        return value + 2

    runtime.entry_point("object")(Agent())
    runtime.entry_point("lambda")(lambda ctx, value: inner(value))
    async with runtime:
        assert (await runtime.trigger_and_wait("object", 1)).output == 2
        assert (await runtime.trigger_and_wait("lambda", 1)).output == 3


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"model": None}, "ctx.turn(model)"),
        ({"model": ""}, "ctx.turn(model)"),
        ({"model": 4}, "ctx.turn(model)"),
        ({"model": "m", "input_tokens": -1}, "ctx.turn(input_tokens=…)"),
        ({"model": "m", "input_tokens": 1.5}, "ctx.turn(input_tokens=…)"),
        ({"model": "m", "max_tokens": "many"}, "ctx.turn(max_tokens=…)"),
        ({"model": "m", "max_tokens": True}, "ctx.turn(max_tokens=…)"),
    ],
)
async def test_a_turn_that_cannot_be_asked_for_is_refused_by_key(runtime, collect, arguments, key):
    """A model that is no name, or a count that is none, is an error before anything is sent."""
    seen = collect(runtime, TURN)

    @runtime.entry_point("api")
    async def api(ctx, _):
        ctx.turn(**arguments)

    async with runtime:
        result = await runtime.trigger_and_wait("api")
    assert isinstance(result.error, hc.ConfigError)
    assert result.error.key == key
    assert seen == []


@pytest.mark.parametrize("name", ["", None, 5, "n" * 2**20, "\ud800"])
async def test_a_node_needs_a_name_that_can_be_logged(runtime, name):
    """What is no text, empty, a megabyte or no Unicode is refused where the node is opened."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        ctx.node(name)

    async with runtime:
        result = await runtime.trigger_and_wait("api")
    assert isinstance(result.error, hc.ConfigError)
    assert "ctx.node" in result.error.key


async def test_what_an_agent_publishes_says_whose_it_is(runtime, collect):
    """`ctx.publish` fills in what the event leaves empty, from threads and child tasks too, and overwrites nothing."""
    seen = collect(runtime, hc.EventType.CONTEXT_COMPACTED)
    mine = hc.ContextCompacted(tokens_before=10, tokens_after=4)

    @runtime.entry_point("api", agent_id="clerk")
    async def api(ctx, _):
        ctx.publish(mine)
        async with ctx.node("plan"), anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, ctx.publish, hc.ContextCompacted())
        with ctx.node("review", agent_id="critic"):
            ctx.publish(hc.ContextCompacted())
            ctx.publish(hc.ContextCompacted(node_id="own", agent_id="a", user_id="bob", tags={"k": "v"}, task_id="t2"))

    async with runtime:
        who = {"user_id": "ada", "org_id": "acme", "task_id": "t1", "tags": {"customer": "c7"}}
        result = await runtime.trigger_and_wait("api", **who)
    assert [(e.node_id, e.agent_id) for e in seen] == [
        ("", "clerk"),
        ("plan", "clerk"),
        ("review", "critic"),
        ("own", "a"),
    ]
    assert {(e.session_id, e.execution_id, e.org_id) for e in seen} == {
        (result.session_id, result.execution_id, "acme")
    }
    assert [(e.user_id, e.task_id, e.tags) for e in seen] == [
        *[("ada", "t1", {"customer": "c7"})] * 3,
        ("bob", "t2", {"k": "v"}),
    ]
    assert (seen[0].event_id, seen[0].timestamp_ns, seen[0].tokens_saved) == (mine.event_id, mine.timestamp_ns, 6)


async def test_a_turn_that_an_agent_publishes_itself_counts_for_it(runtime, collect):
    """A turn taken elsewhere, handed over as an event, is in the execution's sums."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        ctx.publish(hc.LLMTurnComplete(model="m", usage=hc.Usage(10, 5)))

    async with runtime:
        result = await runtime.trigger_and_wait("api")
    assert (result.metrics["llm_calls"], result.metrics["total_tokens"]) == (1, 15)


async def test_a_child_does_not_take_its_parents_node(runtime, collect):
    """What an execution publishes itself says whose it is: its start and its turns are in no node of the parent."""
    seen = collect(runtime, hc.EventType.EXECUTION_STARTED, TURN)

    @runtime.entry_point("child")
    async def child(ctx, _):
        await deep_call(1)

    @runtime.entry_point("parent")
    async def parent(ctx, _):
        async with ctx.node("delegate"):
            await runtime.trigger_and_wait("child")
            turn = ctx.turn("m")
        async with turn, ctx.node("elsewhere"):
            turn.settle(hc.Usage(1, 0))

    async with runtime:
        await runtime.trigger_and_wait("parent")
    assert [event.node_id for event in seen] == ["", "", "", "delegate"]
