"""What a turn's prompt says of the turn: what it is held at follows from it, before anything is sent."""

from __future__ import annotations

import threading

import pytest

import hivecost as hc
from hivecost.pricing import count_tokens
from hivecost.runtime import prompt_count
from hivecost.runtime.prompt_count import PromptCount

pytestmark = pytest.mark.anyio

WINDOW = hc.PriceBook().limits("gpt-4o").context_window
TEXT = [{"role": "user", "content": "hello"}]


@pytest.fixture
def held(tmp_path):
    """What a turn with this request holds, in nano-USD."""

    async def held(model="gpt-4o", **asked):
        runtime = hc.AgentRuntime(tmp_path, budgets=[hc.Budget("all", limit="$100")])

        @runtime.entry_point("agent")
        async def agent(ctx, request):
            async with ctx.turn(model, **asked) as turn:
                (account,) = await runtime.budgets.status()
                turn.settle(hc.Usage(1, 1))
            return account.held

        async with runtime:
            return (await runtime.trigger_and_wait("agent")).output

    return held


async def test_every_answer_that_is_asked_for_is_held(held):
    """OpenAI bills the output of all `n`."""
    one = await held(prompt={"messages": TEXT}, max_tokens=1_000)
    assert await held(prompt={"messages": TEXT, "n": 3}, max_tokens=1_000) >= one + 2 * 1_000 * 10_000


async def test_the_tier_that_the_request_asks_for_is_held(held):
    """Also where only the request says it."""
    request = {"messages": TEXT, "service_tier": "priority"}
    assert await held(prompt=request, max_tokens=100) == await held(
        prompt=request, max_tokens=100, service_tier="priority"
    )
    assert await held(prompt=request, max_tokens=100) > await held(prompt={"messages": TEXT}, max_tokens=100)


async def test_the_fees_of_the_providers_tools_are_held(held):
    """As often as the request lets it call them."""
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
    plain = {"prompt": {"messages": TEXT}, "input_tokens": 1_000, "max_tokens": 100}
    searching = plain | {"prompt": {"messages": TEXT, "tools": [tool]}}
    fees = await held("claude-sonnet-4-5", **searching) - await held("claude-sonnet-4-5", **plain)
    assert fees >= 5 * 10_000_000


@pytest.mark.parametrize(
    ("model", "request_"),
    [
        ("gpt-4o", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        ("openrouter/openai/gpt-4o:online", {"messages": TEXT}),
    ],
)
async def test_what_the_prompt_does_not_bound_is_held_at_the_context_window(held, model, request_):
    """What the provider reads besides is none of its bytes."""
    assert await held(model, prompt=request_, max_tokens=1) >= WINDOW * 2_500


def test_a_prompt_of_text_is_counted_by_its_bytes():
    """And says so."""
    request = PromptCount(TEXT, None, None).described(hc.TurnRequest(model="gpt-4o"))
    assert request.is_text
    assert 0 < request.input_tokens < 200
    assert (request.answers, request.tool_calls, request.service_tier) == (1, 0, "")


async def test_a_short_prompt_is_counted_without_a_thread(monkeypatch):
    """Once its vocabulary is loaded, and unless it is long: either would keep an event loop."""
    threads = []

    def counted(prompt, model):
        threads.append(threading.current_thread() is threading.main_thread())
        return count_tokens(prompt, model)

    async def count(text):
        prompt = PromptCount([{"role": "user", "content": text}], None, None)
        return (await prompt.counted(hc.TurnRequest(model="gpt-4o"))).input_tokens

    monkeypatch.setattr(prompt_count, "count_tokens", counted)
    monkeypatch.setattr("hivecost.pricing.tokenizer._encodings", {})
    assert await count("hello") == await count("hello") < await count("hello " * 1_000)
    assert threads == [False, True, False]
