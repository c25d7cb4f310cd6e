"""The demo's agents. They call a provider over HTTP as real ones do; only the provider is an emulator."""

from __future__ import annotations

from typing import Any

import httpx2

from hivecost.events import Usage
from hivecost.runtime import AgentRuntime, Execution
from hivecost.testing import Behaviour, ProviderEmulator

_PLAN_MODEL = "gpt-4o"
_RESEARCH_MODEL = "claude-sonnet-4-5"
_HOUSE_MODEL = "our-finetuned-llama"


def serve_models() -> ProviderEmulator:
    """Return a provider emulator whose three models need some time, and always answer with the same usage."""
    provider = ProviderEmulator()
    provider.always(Behaviour(usage=Usage(2_400, 260), latency_s=0.3), model=_PLAN_MODEL)
    provider.always(Behaviour(usage=Usage(5_200, 410, cache_read_tokens=4_000), latency_s=0.4), model=_RESEARCH_MODEL)
    provider.always(Behaviour(usage=Usage(900, 120), latency_s=0.2), model=_HOUSE_MODEL)
    return provider


def register_agents(runtime: AgentRuntime, provider: ProviderEmulator) -> None:
    """Register async agents, of which one starts another, and one that is a plain function in a thread."""
    chat_url = f"{provider.openai_base_url}/chat/completions"
    messages_url = f"{provider.anthropic_base_url}/v1/messages"

    async def chat(ctx: Execution, prompt: str) -> None:
        async with (
            httpx2.AsyncClient(timeout=30) as client,
            ctx.turn(_PLAN_MODEL, input_tokens=2_400, max_tokens=300, provider="openai") as turn,
        ):
            response = await client.post(chat_url, json=_request(_PLAN_MODEL, prompt, turn.max_tokens))
            turn.settle(response.raise_for_status().json())

    @runtime.entry_point("planner")
    async def planner(ctx: Execution, _: object) -> str:
        async with ctx.node("plan"):
            await chat(ctx, "Make a plan.")
        async with ctx.node("review"):
            await chat(ctx, "Is the plan any good?")
        return "a plan"

    @runtime.entry_point("researcher")
    def researcher(ctx: Execution, _: object) -> str:
        with httpx2.Client(timeout=30) as client:
            for node, model, url in [
                ("search", _RESEARCH_MODEL, messages_url),
                ("search", _RESEARCH_MODEL, messages_url),
                ("classify", _HOUSE_MODEL, chat_url),
            ]:
                with ctx.node(node), ctx.turn(model, max_tokens=800) as turn:
                    response = client.post(url, json=_request(model, "Find out.", turn.max_tokens))
                    turn.settle(response.raise_for_status().json())
        return "findings"

    @runtime.entry_point("runaway")
    async def runaway(ctx: Execution, _: object) -> None:
        async with ctx.node("retry-loop"):
            while True:  # "I did not quite get that. Let me try again."
                await chat(ctx, "Try again.")

    @runtime.entry_point("support")
    async def support(ctx: Execution, _: object) -> None:
        async with ctx.node("answer"):
            while True:  # one customer's question after the other
                await chat(ctx, "Where is my parcel?")

    @runtime.entry_point("scout")
    async def scout(ctx: Execution, _: object) -> None:
        async with ctx.node("look"):
            while True:  # one more page, and one more
                await chat(ctx, "Look further.")

    @runtime.entry_point("lead")
    async def lead(ctx: Execution, _: object) -> str:
        found = await runtime.trigger_and_wait("scout")
        return f"what was found until it was {found.status}"


def _request(model: str, prompt: str, max_tokens: int | None) -> dict[str, Any]:
    return {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": prompt}]}
