"""A conversation is within its budget before each turn, is compacted rarely, and never comes out broken."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import anyio
import pytest

import hivecost as hc
from hivecost.compaction import Summary, SummaryRequest, problems
from hivecost.runtime.context_keeper import CACHE_TTL_S, ContextKeeper, SummaryTask
from hivecost.runtime.conversation import FittedPrompt
from hivecost.runtime.loop_config import LoopConfig, rules_of
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio
MODEL = "claude-sonnet-4-5"


class Agent:
    """A tool loop over one conversation: each answer calls a tool, whose result has so many characters."""

    def __init__(self, *, writes_a_summary: Any = None, prices: Any = None, model: str = MODEL, **loop: Any) -> None:
        self.clock, self.events, self.model = FakeClock(), list[dict[str, Any]](), model
        self.keeper = ContextKeeper(
            rules_of(LoopConfig(), LoopConfig(**loop)),
            prices=hc.PriceBook(prices),
            clock=self.clock,
            publish=lambda **fields: self.events.append(fields),
            summarize=writes_a_summary,
        )
        self.messages: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Go on."}]
        self.turns = 0

    async def turn(self, result: str = "word " * 400, *, takes_back: bool = False) -> FittedPrompt:
        fitted = await self.keeper.fit(self.messages, model=self.model)
        assert not problems(fitted.messages, "openai_chat")
        fitted.report(tokens_of(fitted.messages))
        if takes_back:
            self.messages = list(fitted.messages)
        self.turns += 1
        call = {"id": f"call_{self.turns}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        self.messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        return fitted

    def done(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["status"] == "done"]


def tokens_of(messages: list[Any]) -> int:
    """Stands for the provider's count."""
    return sum(len(str(message)) for message in messages) // 4


async def test_every_turn_is_within_the_budget():
    """Also where the agent goes on with its own list, and not with the one that was sent."""
    own, back = Agent(max_history_tokens=8_000), Agent(max_history_tokens=8_000)
    for _ in range(60):
        first, second = await own.turn(), await back.turn(takes_back=True)
        assert tokens_of(first.messages) <= 8_000 * 1.02
        assert first.messages == second.messages
    assert 2 <= len(own.done()) <= 15
    assert own.messages[2]["role"] == "assistant"
    assert len(own.messages) == 2 + 2 * 60


async def test_a_prompt_under_its_budget_is_the_list_that_was_given():
    agent = Agent(max_history_tokens=8_000)
    fitted = await agent.keeper.fit(agent.messages, model=MODEL)
    assert fitted.messages == agent.messages
    assert agent.events == []


async def test_without_limits_nothing_is_looked_at():
    agent = Agent()
    assert (await agent.keeper.fit(agent.messages, model=MODEL)).messages is agent.messages
    assert agent.keeper.is_idle


@pytest.mark.parametrize("prompt", ["Say hello.", 5, None, {"prompt": "Say hello."}, [{"parts": [{"text": "hi"}]}]])
async def test_what_is_no_conversation_is_sent_as_it_is(prompt):
    assert (await Agent(max_history_tokens=1).keeper.fit(prompt, model=MODEL)).prompt is prompt


async def test_a_whole_request_keeps_what_is_around_its_messages():
    """The tools count, and the request that was given stays as it was."""
    agent = Agent(max_history_tokens=1_200)
    agent.messages = [
        message for _ in range(3) for message in (*agent.messages, {"role": "assistant", "content": "a" * 1_200})
    ]
    request = {"model": MODEL, "tools": [{"name": "read", "description": "word " * 400}], "messages": agent.messages}
    fitted = await agent.keeper.fit(request, model=MODEL)
    assert fitted.prompt == {**request, "messages": fitted.messages}
    assert len(request["messages"]) == 9
    assert agent.events[-1]["tokens_before"] > tokens_of(agent.messages) + 400


async def test_a_threshold_that_cannot_be_reached_is_no_loop():
    """The next comes when a fifth of the budget is new, then two, then four; or when the user speaks."""
    agent = Agent(max_history_tokens=1_000)
    agent.messages[0] = {"role": "system", "content": "word " * 2_000}
    for _ in range(100):
        await agent.turn("short")
    assert 1 <= len(agent.events) <= 5
    assert {event["status"] for event in agent.events} <= {"failed", "done"}
    before = len(agent.events)
    agent.messages.append({"role": "user", "content": "And now?"})
    await agent.turn("short")
    assert len(agent.events) == before + 1


async def test_what_cannot_be_made_to_fit_is_sent_if_the_model_reads_it():
    """And an error, with the messages as they were, where it does not."""
    window = {"mine": {"input": 1, "output": 1, "context_window": 1_500}}
    for size, fits in ((1_000, True), (4_000, False)):
        agent = Agent(max_history_tokens=500, prices=window, model="mine")
        agent.messages[0] = {"role": "system", "content": "word " * size}
        before = [*agent.messages]
        if fits:
            assert (await agent.turn()).messages == before
            continue
        for _ in range(2):
            with pytest.raises(hc.ContextBudgetError) as raised:
                await agent.turn()
            assert (raised.value.budget, raised.value.largest[0][0]) == (500, 0)
        assert agent.messages == before
        assert len(agent.events) == 2


async def test_results_are_pruned_after_a_turn_only_where_that_pays():
    """Pruning at each turn writes the cache anew each time; what is skipped is said once in ten turns."""
    agent = Agent(tool_result_budget=3)
    for _ in range(60):
        await agent.turn("word " * 1_000)
    assert {event["trigger"] for event in agent.events} == {"tool_results"}
    assert 1 <= len(agent.done()) <= 20
    assert all(event["breaks_even_after_turns"] <= 5 for event in agent.done())
    assert len(agent.events) - len(agent.done()) <= 7


async def test_a_prompt_that_is_not_in_the_cache_any_more_is_pruned_at_once():
    """The provider forgot it while the agent rested: nothing is lost by writing it anew."""
    agent = Agent(tool_result_budget=3)
    for _ in range(4):
        await agent.turn("word " * 60)
    before = len(agent.done())
    agent.clock.advance(CACHE_TTL_S + 1)
    await agent.turn()
    assert len(agent.done()) == before + 1


async def test_a_long_result_is_cut_when_it_comes():
    """Once: what was sent stays as it was."""
    agent = Agent(max_tool_result_tokens=100)
    first = None
    for _ in range(5):
        fitted = await agent.turn("a" * 4_000)
        results = [message for message in fitted.messages if message["role"] == "tool"]
        assert all(len(message["content"]) <= 400 for message in results)
        if first is not None:
            assert fitted.messages[: len(first)] == first
        first = fitted.messages


class Summarizer:
    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[SummaryRequest]()

    async def __call__(self, task: SummaryTask) -> Summary:
        self.asked.append(task.request)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return answer


async def test_a_summary_stands_for_what_it_replaced():
    """What it cost is in the event."""
    writes = Summarizer(Summary("The task goes on. " * 5, cost_nanousd=1_234))
    agent = Agent(writes_a_summary=writes, max_history_tokens=4_000, context_overflow_strategy="summarize")
    for _ in range(12):
        fitted = await agent.turn()
    assert writes.asked
    assert agent.done()[0]["cost_nanousd"] == 1_234
    assert agent.done()[0]["strategy"] == "summarize"
    assert sum("The task goes on." in str(message) for message in fitted.messages) == 1


async def test_a_summarizer_that_failed_three_times_is_left_alone():
    """Each time the next strategy does it; a refusal by a budget is no failure of it."""
    refused = hc.BudgetExhaustedError("no", reset_at=None)
    writes = Summarizer(refused, RuntimeError("down"), Summary(""), Summary("  "))
    agent = Agent(
        writes_a_summary=writes, max_history_tokens=2_000, context_overflow_strategy=("summarize", "keep_recent")
    )
    for _ in range(60):
        await agent.turn()
    assert len(writes.asked) == 4
    assert {event["strategy"] for event in agent.done()} == {"keep_recent"}
    assert len(agent.done()) > 4


async def test_a_prompt_that_the_provider_calls_too_long_is_halved_once():
    """Twice in a row is an error; an answer between them is none."""
    agent = Agent(max_history_tokens=100_000)
    for _ in range(20):
        fitted = await agent.turn()
    size = tokens_of(agent.messages)
    fitted.overflow()
    fitted = await agent.keeper.fit(agent.messages, model=MODEL)
    assert tokens_of(fitted.messages) < size / 2
    assert agent.events[-1]["trigger"] == "overflow"
    fitted.report(tokens_of(fitted.messages))
    fitted.overflow()
    fitted = await agent.keeper.fit(agent.messages, model=MODEL)
    fitted.overflow()
    with pytest.raises(hc.ContextBudgetError):
        await agent.keeper.fit(agent.messages, model=MODEL)


async def test_conversations_of_one_node_are_told_apart():
    """Each goes on from what was sent of it."""
    agent = Agent(max_history_tokens=3_000)
    conversations = [[{"role": "user", "content": f"Task {number}."}] for number in range(5)]
    for step in range(10):
        for number, messages in enumerate(conversations):
            fitted = await agent.keeper.fit(messages, model=MODEL)
            assert fitted.messages[0]["content"] == f"Task {number}."
            assert tokens_of(fitted.messages) <= 3_100
            fitted.report(tokens_of(fitted.messages))
            call = {"id": "call_0", "type": "function", "function": {"name": "read", "arguments": str(step)}}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": "call_0", "content": f"{number} " * 1_200})


async def test_cancelled_anywhere_the_conversation_stays_as_it_was():
    """A summary that is being written when the agent is stopped leaves no trace."""
    dice = random.Random(2026)

    async def writes(_: SummaryTask) -> Summary:
        for _ in range(dice.randrange(4)):
            await anyio.sleep(0)
        return Summary("What was done so far. " * 5)

    for _ in range(500):
        agent = Agent(writes_a_summary=writes, max_history_tokens=1_500, context_overflow_strategy="summarize")
        for _ in range(4):
            await agent.turn()
        before, events = [*agent.messages], len(agent.events)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def stop() -> None:
                    for _ in range(dice.randrange(4)):
                        await anyio.sleep(0)
                    scope.cancel()

                tasks.start_soon(stop)
                with suppress(hc.ContextBudgetError):
                    await agent.keeper.fit(agent.messages, model=MODEL)
        assert agent.messages == before
        assert len(agent.events) - events in (0, 1)
        assert not problems((await agent.keeper.fit(agent.messages, model=MODEL)).messages, "openai_chat")


@pytest.mark.parametrize("as_request", [False, True])
async def test_marks_for_claudes_cache_move_on_with_the_conversation(as_request):
    """Also where the agent goes on with the messages that it was given back, which have our marks."""
    agent = Agent(max_history_tokens=100_000)
    sent: list[list[bool]] = []
    messages: list[Any] = [{"role": "user", "content": "Go on."}]
    prompt: Any = {"system": "Be brief.", "messages": messages} if as_request else messages
    for turn in range(5):
        fitted = await agent.keeper.fit(prompt, model=MODEL, provider="anthropic")
        fitted.report(1_000 * (turn + 1))
        sent.append(["cache_control" in str(message) for message in fitted.messages])
        more = [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "And then?"}]
        messages = [*fitted.messages, *more]
        prompt = {**fitted.prompt, "messages": messages} if as_request else messages
    assert [marks[-2:] for marks in sent[1:]] == [[True, True]] * 4
    assert [sum(marks) for marks in sent] == [1, 2, 2, 2, 2]
    assert len(agent.keeper._conversations) == 1


async def test_results_are_counted_until_they_are_replaced():
    """Not by how many a compaction may not touch: eight stay, and the next prune comes soon behind them."""
    agent = Agent(tool_result_budget=8)
    for _ in range(9):
        await agent.turn("word " * 1_000)
    agent.clock.advance(CACHE_TTL_S + 1)
    await agent.turn("word " * 1_000)
    assert len(agent.done()) == 1
    agent.clock.advance(CACHE_TTL_S + 1)
    await agent.turn("word " * 1_000)
    assert len(agent.done()) == 2


async def test_another_model_is_priced_and_measured_by_itself():
    """What it costs and reads is its own from the first turn on, not that of the model before."""
    window = {"large": {"input": 1, "output": 1}, "small": {"input": 1, "output": 1, "context_window": 1_500}}
    agent = Agent(max_history_tokens=500, prices=window, model="large")
    agent.messages[0] = {"role": "system", "content": "word " * 4_000}
    await agent.turn()
    agent.model = "small"
    with pytest.raises(hc.ContextBudgetError):
        await agent.turn()


async def test_what_is_replaced_is_handed_out_once_for_the_agent_to_keep():
    agent = Agent(max_history_tokens=4_000, spill="kept", context_overflow_strategy="prune_old_tool_results")
    kept: dict[str, Any] = {}
    for number in range(14):
        fitted = await agent.turn(f"{number} " * 800)
        assert not {*kept} & {*fitted.spilled}
        kept |= fitted.spilled
        assert all(f"it is kept in {place}]" in str(fitted.messages) for place in kept)
    assert kept
    assert all(place.startswith("kept/read-") for place in kept)
