"""What a node's loop obeys is obeyed in its turns: the prompt fits, and there are no more turns than there may be."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import pytest

import hivecost as hc
from hivecost.compaction import problems

pytestmark = pytest.mark.anyio
CONFIG = {"log": False, "runaway": "off"}


def conversation(results: int, size: int = 2_000) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Go on."}]
    for number in range(results):
        call = {"id": f"call_{number}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call_{number}", "content": "word " * (size // 5)})
    return messages


async def test_a_prompt_over_the_context_budget_is_compacted_before_it_is_held_for(tmp_path):
    """The hold is for what is sent; the event says whose it was; the agent's own list stays as it was."""
    events: list[hc.ContextCompacted] = []
    budget = hc.Budget("day", "$5", window="day")
    async with hc.AgentRuntime(tmp_path, config=CONFIG, budgets=[budget]) as runtime:
        runtime.bus.subscribe(event_types=[hc.EventType.CONTEXT_COMPACTED], handler=events.append)
        async with runtime.execution(agent_id="planner", user_id="ada") as ctx:
            messages = conversation(12)
            before = [*messages]
            node = ctx.node("search", loop_config={"max_history_tokens": 3_000})
            async with node, ctx.turn("gpt-4o", prompt=messages, max_tokens=100) as turn:
                assert not problems(turn.messages, "openai_chat")
                assert len(str(turn.messages)) < len(str(messages)) / 2
                assert turn.request.input_tokens < len(str(messages)) / 2
                turn.settle(hc.Usage(1_000, 10))
            assert messages == before
        await runtime.bus.drain()
    [event] = events
    assert (event.node_id, event.agent_id, event.user_id, event.trigger) == ("search", "planner", "ada", "budget")
    assert event.tokens_after < 3_000 < event.tokens_before
    assert event.data["savings_pct"] > 50


async def test_the_next_count_begins_at_what_the_provider_counted(tmp_path):
    """It said 2,900 of a prompt that looks like 500: the next is over the budget."""
    async with hc.AgentRuntime(tmp_path, config=CONFIG) as runtime, runtime.execution() as ctx:
        messages = conversation(5, size=400)
        async with ctx.node("search", loop_config={"max_history_tokens": 3_000, "keep_tool_results": 1}):
            async with ctx.turn("gpt-4o", prompt=messages) as turn:
                assert turn.messages == messages
                turn.settle(hc.Usage(2_900, 10))
            messages += conversation(1)[1:]
            async with ctx.turn("gpt-4o", prompt=messages) as turn:
                assert turn.messages != messages
                turn.release()


async def test_a_whole_request_is_given_back_with_other_messages(tmp_path):
    async with hc.AgentRuntime(tmp_path, config=CONFIG) as runtime, runtime.execution() as ctx:
        request = {"model": "gpt-4o", "temperature": 0, "messages": conversation(12)}
        node = ctx.node("search", loop_config=hc.LoopConfig(max_history_tokens=3_000))
        async with node, ctx.turn("gpt-4o", prompt=request) as turn:
            assert turn.prompt == {**request, "messages": turn.messages}
            turn.release()
        async with ctx.turn("gpt-4o", prompt=request) as turn:
            assert (turn.prompt, turn.messages) == (request, request["messages"])
            turn.release()


async def test_the_graph_of_the_runtime_says_what_its_nodes_obey(tmp_path):
    """A node over the graph, and what is said where it is entered over both."""
    graph = hc.GraphSpec(
        id="g",
        loop_config={"max_output_tokens": 500},
        nodes=[hc.NodeSpec(id="n", loop_config={"max_output_tokens": 300})],
    )
    async with hc.AgentRuntime(tmp_path, config={**CONFIG, "graph": graph}) as runtime, runtime.execution() as ctx:

        async def allowed(asked: int = 0) -> int | None:
            async with ctx.turn("gpt-4o", input_tokens=10, max_tokens=asked) as turn:
                turn.release()
                return turn.max_tokens

        assert (await allowed(), await allowed(100), await allowed(800)) == (500, 100, 500)
        async with ctx.node("n"):
            assert (await allowed(), await allowed(800)) == (300, 300)
        async with ctx.node("n", loop_config={"max_output_tokens": "unlimited"}):
            assert (await allowed(), await allowed(800)) == (None, 800)
        async with ctx.node("other"):
            assert await allowed() == 500


async def test_an_execution_that_runs_into_max_iterations_is_completed(tmp_path):
    """With what it was stopped by; the last turn knows that it is the last."""
    last: list[bool] = []
    async with hc.AgentRuntime(tmp_path, config=CONFIG) as runtime:

        @runtime.entry_point("loop")
        async def loop(ctx: hc.Execution, _: object) -> None:
            async with ctx.node("search", loop_config={"max_iterations": 3}):
                while True:
                    async with ctx.turn("gpt-4o", input_tokens=10) as turn:
                        last.append(turn.is_last)
                        turn.settle(hc.Usage(10, 5))

        result = await runtime.trigger_and_wait("loop", None)
        other = await runtime.trigger_and_wait("loop", None)
    assert (result.status, result.stop_reason, result.error) == ("completed", "max_iterations", None)
    assert last == [False, False, True] * 2
    assert (result.metrics["llm_calls"], other.metrics["llm_calls"]) == (3, 3)


async def test_an_agent_may_come_to_an_end_by_itself(tmp_path):
    """Whoever catches the limit goes on with what it has."""
    async with hc.AgentRuntime(tmp_path, config=CONFIG) as runtime:

        @runtime.entry_point("loop")
        async def loop(ctx: hc.Execution, _: object) -> list[object]:
            turns = 0
            async with ctx.node("search", loop_config={"max_iterations": 2}):
                try:
                    while True:
                        async with ctx.turn("gpt-4o", input_tokens=10) as turn:
                            turns += 1
                            turn.settle(hc.Usage(10, 5))
                except hc.LoopLimitError as error:
                    return [turns, error.limit, error.value, error.node_id]

        result = await runtime.trigger_and_wait("loop", None)
    assert (result.status, result.stop_reason) == ("completed", "")
    assert result.output == [2, "max_iterations", 2, "search"]


async def in_a_group(turns):
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(turns)


async def passed_on(turns):
    try:
        await turns()
    except hc.LoopLimitError as error:
        raise RuntimeError("the framework's") from error


async def beside_a_fault(turns):
    async with anyio.create_task_group() as group:
        group.start_soon(turns)
        raise ValueError("a fault")


@pytest.mark.parametrize(
    ("way", "status", "stop_reason"),
    [
        (in_a_group, "completed", "max_iterations"),
        (passed_on, "completed", "max_iterations"),
        (beside_a_fault, "failed", ""),
    ],
)
async def test_a_limit_ends_an_execution_however_it_comes(tmp_path, way, status, stop_reason):
    """From a task group, or passed on by a framework, as by itself; beside a fault that counts."""
    async with hc.AgentRuntime(tmp_path, config=CONFIG) as runtime:

        @runtime.entry_point("loop")
        async def loop(ctx: hc.Execution, _: object) -> None:
            async def turns():
                while True:
                    async with ctx.turn("gpt-4o", input_tokens=10) as turn:
                        turn.settle(hc.Usage(10, 5))

            async with ctx.node("search", loop_config={"max_iterations": 3}):
                await way(turns)

        result = await runtime.trigger_and_wait("loop", None)
    assert (result.status, result.stop_reason) == (status, stop_reason)


async def test_what_is_refused_is_no_iteration(tmp_path):
    """Nor is a turn that is cancelled while it waits."""
    tight = hc.Budget("day", "$0.0001", window="day", on_short="refuse")
    runtime = hc.AgentRuntime(tmp_path, config=CONFIG, budgets=[tight])
    async with runtime, runtime.execution() as ctx, ctx.node("search", loop_config={"max_iterations": 1}):
        for _ in range(3):
            with pytest.raises(hc.BudgetExceededError):
                await ctx.turn("gpt-4o", input_tokens=100_000).__aenter__()
        async with ctx.turn("gpt-4o", input_tokens=1, max_tokens=1) as turn:
            assert turn.is_last
            turn.settle(hc.Usage(1, 1))


class TooLongError(Exception):
    status_code = 400
    body = {"error": {"code": "context_length_exceeded", "message": "too long"}}  # noqa: RUF012


async def test_a_prompt_that_the_provider_refuses_as_too_long_is_halved(tmp_path):
    """Once, then it is an error."""
    messages, sent = conversation(12), list[int]()

    async def refused(ctx: hc.Execution) -> None:
        async with ctx.turn("gpt-4o", prompt=messages) as turn:
            sent.append(len(str(turn.messages)))
            raise TooLongError

    runtime = hc.AgentRuntime(tmp_path, config=CONFIG)
    async with runtime, runtime.execution() as ctx, ctx.node("search", loop_config={"max_history_tokens": 100_000}):
        for error in (TooLongError, TooLongError, hc.ContextBudgetError):
            with pytest.raises(error):
                await refused(ctx)
    assert sent[1] <= sent[0] / 2 == len(str(messages)) / 2


def test_a_sync_agent_has_the_same_loop(tmp_path):
    loop_config = {"max_history_tokens": 3_000, "max_iterations": 1}
    runtime = hc.run_in_background(tmp_path, config=CONFIG)
    with runtime, runtime.execution() as ctx, ctx.node("search", loop_config=loop_config):
        with ctx.turn("gpt-4o", prompt=conversation(12)) as turn:
            assert len(str(turn.messages)) < 12_000
            turn.settle(hc.Usage(1_000, 10))
        with pytest.raises(hc.LoopLimitError), ctx.turn("gpt-4o", prompt=conversation(12)):
            pass


async def test_a_loop_config_that_cannot_be_is_named(tmp_path):
    async with hc.AgentRuntime(tmp_path, config=CONFIG) as runtime, runtime.execution() as ctx:
        with pytest.raises(hc.ConfigError, match=r"ctx\.node\('n'\)\.loop_config\.max_iterations"):
            ctx.node("n", loop_config={"max_iterations": 0})


async def test_turns_at_once_count_one_by_one(tmp_path):
    """Of ten that begin together, three pass."""
    passed = 0

    async def one(ctx: hc.Execution) -> None:
        nonlocal passed
        with suppress(hc.LoopLimitError):
            async with ctx.turn("gpt-4o", prompt=conversation(1)) as turn:
                passed += 1
                await anyio.sleep(0)
                turn.settle(hc.Usage(10, 5))

    runtime = hc.AgentRuntime(tmp_path, config=CONFIG)
    async with (
        runtime,
        runtime.execution() as ctx,
        ctx.node("search", loop_config={"max_iterations": 3}),
        anyio.create_task_group() as tasks,
    ):
        for _ in range(10):
            tasks.start_soon(one, ctx)
    assert passed == 3


def answer(text: str, prompt_tokens: int = 500) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 50, "total_tokens": prompt_tokens + 50}
    return {"model": "gpt-5-mini", "usage": usage, "choices": [{"message": {"content": text}}]}


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_summary_is_a_turn_of_the_node_under_its_budgets(tmp_path, is_async):
    """Named as what it is, of the model that the loop's configuration says; what it cost is in the event."""
    events: list[hc.Event] = []
    asked: list[hc.Turn] = []

    def write(turn: hc.Turn) -> str:
        asked.append(turn)
        turn.settle(answer("It goes on."))
        return "It goes on."

    async def write_async(turn: hc.Turn) -> str:
        return write(turn)

    runtime = hc.AgentRuntime(tmp_path, config=CONFIG, budgets=[hc.Budget("day", "$5", window="day")])
    runtime.summarizer(write_async if is_async else write)
    loop_config = {"max_history_tokens": 3_000, "context_overflow_strategy": "summarize", "summary_model": "gpt-5-mini"}
    async with runtime, runtime.execution(agent_id="planner") as ctx, ctx.node("search", loop_config=loop_config):
        runtime.bus.subscribe(handler=events.append)
        async with ctx.turn("gpt-4o", prompt=conversation(12)) as turn:
            assert "It goes on." in str(turn.messages)
            turn.settle(hc.Usage(1_000, 10))
        await runtime.bus.drain()
    [summary] = [event for event in events if isinstance(event, hc.LLMTurnComplete) and event.tags]
    [compacted] = [event for event in events if isinstance(event, hc.ContextCompacted)]
    assert (summary.node_id, summary.agent_id, dict(summary.tags)) == ("search", "planner", {"purpose": "compaction"})
    assert summary.asked_model == "gpt-5-mini"
    assert compacted.cost_nanousd == summary.cost.nanousd > 0
    assert asked[0].max_tokens == 600
    assert [message["role"] for message in asked[0].messages] == ["system", "user"]


async def test_a_summary_that_no_budget_pays_for_is_no_error_of_the_agent(tmp_path):
    """Nor one whose writer returns no text: the next strategy does it."""
    written: list[hc.Turn] = []
    config = {"max_history_tokens": 3_000, "context_overflow_strategy": ("summarize", "keep_recent")}
    tight = hc.Budget("mini", "1 tokens", match={"model": "gpt-5-mini"}, window="total", on_short="refuse")
    for model, asked in (("gpt-5-mini", 0), ("same", 1)):
        runtime = hc.AgentRuntime(tmp_path / model, config=CONFIG, budgets=[tight])
        runtime.summarizer(written.append)  # type: ignore[arg-type]
        node = {"loop_config": {**config, "summary_model": model}}
        async with runtime, runtime.execution() as ctx, ctx.node("search", **node):
            turn = await ctx.turn("gpt-4o", prompt=conversation(12)).__aenter__()
            assert len(str(turn.messages)) < 15_000
            turn.release()
        assert len(written) == asked


async def test_a_summary_counts_on_the_caps_around_it(tmp_path):
    """Of its node and of its execution: one that they cannot pay for is not written."""
    config = {"max_history_tokens": 3_000, "context_overflow_strategy": ("summarize", "keep_recent")}
    tight = {"limit": "10 tokens"}
    for of_execution, of_node, expected in (({}, {}, 1), (tight, {}, 0), ({}, tight, 0)):
        written: list[hc.Turn] = []
        runtime = hc.AgentRuntime(tmp_path, config=CONFIG)

        def write(turn: hc.Turn, written: list[hc.Turn] = written) -> str:
            written.append(turn)
            turn.settle(answer("It goes on."))
            return "It goes on."

        runtime.summarizer(write)
        node = {"loop_config": config, **of_node}
        async with runtime, runtime.execution(**of_execution) as ctx, ctx.node("search", **node):
            with suppress(hc.BudgetExceededError):  # the turn itself does not fit either
                (await ctx.turn("gpt-4o", prompt=conversation(12)).__aenter__()).release()
        assert len(written) == expected


async def test_who_writes_is_the_cheapest_of_the_users_own_models_that_reads_it(tmp_path):
    """None that is dearer than the agent's; without one, the agent's own, after the prompt that it has in its cache."""
    small = {"input": 0.1, "output": 0.2, "context_window": 500}
    tables = {
        "cheap": {"cheap": {"input": 0.1, "output": 0.4}, "mid": {"input": 1, "output": 4}, "small": small},
        "gpt-4o": {"dear": {"input": 100, "output": 400}, "small": small},
    }
    for expected, table in tables.items():
        asked: list[hc.Turn] = []

        def write(turn: hc.Turn, asked: list[hc.Turn] = asked) -> str:
            asked.append(turn)
            turn.settle(answer("It goes on."))
            return "It goes on."

        runtime = hc.AgentRuntime(tmp_path / expected, config=CONFIG, prices=table)
        runtime.summarizer(write)
        loop_config = {"max_history_tokens": 3_000, "context_overflow_strategy": "summarize"}
        messages = conversation(12)
        async with runtime, runtime.execution() as ctx, ctx.node("search", loop_config=loop_config):
            (await ctx.turn("gpt-4o", prompt=messages).__aenter__()).release()
        assert [turn.model for turn in asked] == [expected]
        assert (asked[0].messages[:-1] == messages) == (expected == "gpt-4o")


async def test_with_wind_down_there_is_one_turn_more_to_come_to_an_end_in(tmp_path):
    """Without, the last one is that one."""
    loop_config = {"max_iterations": 2, "on_limit": "wind_down", "max_tool_calls_per_turn": 4}
    runtime = hc.AgentRuntime(tmp_path, config=CONFIG)
    async with runtime, runtime.execution() as ctx, ctx.node("search", loop_config=loop_config):
        last = []
        for _ in range(3):
            async with ctx.turn("gpt-4o", input_tokens=10) as turn:
                last.append((turn.is_last, turn.max_tool_calls))
                turn.settle(hc.Usage(10, 5))
        with pytest.raises(hc.LoopLimitError):
            await ctx.turn("gpt-4o", input_tokens=10).__aenter__()
        assert last == [(False, 4), (False, 4), (True, 4)]


async def test_a_turn_tells_what_its_prompt_sent_again_and_was_spared(tmp_path):
    """Results that an earlier turn brought, with their tool; and what compactions took out, in that turn and later."""
    events: list[hc.LLMTurnComplete] = []
    runtime = hc.AgentRuntime(tmp_path, config=CONFIG)
    async with runtime, runtime.execution() as ctx:
        runtime.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=events.append)
        messages = conversation(1)
        async with ctx.node("search", loop_config={"max_history_tokens": 3_000, "keep_tool_results": 1}):
            for number in range(6):
                async with ctx.turn("gpt-4o", prompt=messages) as turn:
                    turn.settle(hc.Usage(600 * (number % 5 + 1), 10))
                messages += conversation(1)[1:]
        async with ctx.turn("gpt-4o", prompt=messages) as turn:
            turn.settle(hc.Usage(600, 10))
        await runtime.bus.drain()
    first, second, third, *_, compacted, outside = events
    assert first.prompt is None
    assert outside.prompt is None
    assert (second.prompt.carried[0].tool, second.prompt.carried[0].results) == ("read", 1)
    assert third.prompt.carried[0].results == 2
    assert third.prompt.carried[0].nanousd < third.cost.input_nanousd
    assert (third.prompt.compacted_tokens, third.data["compression_ratio"]) == (0, 1.0)
    assert compacted.prompt.compacted_tokens > 1_000
    assert compacted.data["compression_ratio"] == 600 / (600 + compacted.prompt.compacted_tokens)


@pytest.mark.parametrize(("usage", "rate"), [(hc.Usage(900), 1_250), (hc.Usage(900, 0, 400), 1_250)])
async def test_what_was_just_taken_out_would_have_been_read_from_the_cache(tmp_path, usage, rate):
    """In the turn of a compaction, whether anything of the prompt that is left was read from it or not."""
    events: list[hc.LLMTurnComplete] = []
    runtime = hc.AgentRuntime(tmp_path, config=CONFIG)
    async with runtime, runtime.execution() as ctx, ctx.node("search", loop_config={"max_history_tokens": 3_000}):
        runtime.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=events.append)
        messages = conversation(5)
        for counted in (hc.Usage(2_900), usage):
            async with ctx.turn("gpt-4o", prompt=messages) as turn:
                turn.settle(counted)
            messages += conversation(1)[1:]
        await runtime.bus.drain()
    prompt = events[-1].prompt
    assert prompt.compacted_tokens > 0
    assert prompt.saved_nanousd == prompt.compacted_tokens * rate


async def test_a_turn_says_which_calls_of_its_answer_run(tmp_path):
    """So many as its node's loop lets run, and all where it has no limit."""
    [answer] = [message for message in conversation(1) if message["role"] == "assistant"]
    answer["tool_calls"] = [{**answer["tool_calls"][0], "id": f"call_{number}"} for number in range(3)]
    runtime = hc.AgentRuntime(tmp_path, config=CONFIG)
    async with runtime, runtime.execution() as ctx, ctx.node("search", loop_config={"max_tool_calls_per_turn": 2}):
        async with ctx.turn("gpt-4o", input_tokens=10) as turn:
            calls = turn.tool_calls({"choices": [{"message": answer}]})
            turn.release()
        async with ctx.node("other"), ctx.turn("gpt-4o", input_tokens=10) as turn:
            every = turn.tool_calls(answer)
            turn.release()
    assert isinstance(calls, hc.ToolCalls)
    assert calls.to_run == (*answer["tool_calls"][:2],)
    assert [result["tool_call_id"] for result in calls.refused] == ["call_2"]
    assert every == hc.ToolCalls((*answer["tool_calls"],))


async def test_a_turn_that_is_released_is_no_iteration(tmp_path):
    """Nothing was sent, however often that is said."""
    runtime = hc.AgentRuntime(tmp_path, config=CONFIG)
    async with runtime, runtime.execution() as ctx, ctx.node("search", loop_config={"max_iterations": 1}):
        for _ in range(3):
            async with ctx.turn("gpt-4o", input_tokens=10) as turn:
                turn.release()
                turn.release()
        async with ctx.turn("gpt-4o", input_tokens=10) as turn:
            assert turn.is_last
            turn.settle(hc.Usage(10, 5))
