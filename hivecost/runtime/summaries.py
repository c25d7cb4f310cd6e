"""Summaries of conversations: a turn of its own, held and priced as any other, which the user's function takes."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio.to_thread
from msgspec.structs import replace

from hivecost.compaction import Rates, Summary
from hivecost.frozen import frozen
from hivecost.gate_contract import TurnRequest
from hivecost.ledger.caps import Cap
from hivecost.pricing import PriceBook
from hivecost.runtime.context_keeper import SummaryTask
from hivecost.runtime.hosts import TurnHost
from hivecost.runtime.prompt_count import PromptCount
from hivecost.runtime.turn import Turn
from hivecost.usage import tokens_of

#: Takes a turn that was let pass, sends `turn.prompt`, settles it, and returns the text of the answer.
Summarizer = Callable[[Turn], Awaitable[str] | str]

#: The agent's own model, which has the conversation in its cache.
SAME: Final = "same"
#: By which reports tell summaries from the agent's own turns.
_PURPOSE: Final = {"purpose": "compaction"}


async def summarize(
    function: Summarizer,
    task: SummaryTask,
    *,
    host: TurnHost,
    whose: TurnRequest,
    caps: tuple[Cap, ...],
    model: str,
) -> Summary:
    """Have a summary written by this model, or "same", within `caps`: it is a turn of the node that it is for.

    Raise as a turn does, and what the function raises.
    """
    is_same = model == SAME
    prompt = _own_prompt(task) if is_same else _fresh_prompt(task)
    request = replace(
        whose,
        model=task.model if is_same else model,
        provider=task.provider if is_same else "",
        max_tokens=task.request.max_tokens,
        tags=frozen({**whose.tags, **_PURPOSE}),
    )
    count = PromptCount(prompt, None, None)
    async with Turn(host, count.described(request), tokens_of(count.byte_bound), caps, count, given=prompt) as turn:
        text = await _written(function, turn)
    cost = turn.cost
    return Summary(text, None if cost is None else cost.nanousd)


async def _written(function: Summarizer, turn: Turn) -> str:
    if inspect.iscoroutinefunction(function):
        text = await function(turn)
    else:
        answer = await anyio.to_thread.run_sync(function, turn)
        text = await answer if inspect.isawaitable(answer) else answer
    if not isinstance(text, str):
        raise TypeError(f"the summarizer has to return the text of the summary, and returned {type(text).__name__}")
    return text


def model_for_summaries(said: str, prices: PriceBook, task: SummaryTask) -> str:
    """Return who writes a summary: whom the loop's configuration names, else the cheapest of the user's own models.

    Of the price table that the user gave, one that reads so much and is no dearer than the agent's model; else "same".
    """
    if said:
        return said
    request = task.request
    needed = request.prompt_tokens + request.max_tokens

    def cost(model: str, provider: str = "") -> int | None:
        rates = Rates.of(prices.quote(model, provider=provider), request.prompt_tokens)
        return rates.nanousd(request.prompt_tokens * rates.input + request.max_tokens * rates.output)

    own = [model for provider, model in prices.models() if not provider]
    fitting = [model for model in own if (prices.limits(model).context_window or needed) >= needed]
    costs = {model: nanousd for model in fitting if (nanousd := cost(model)) is not None}
    cheapest = min(costs, key=lambda model: costs[model], default=None)
    at_most = cost(task.model, task.provider)
    if cheapest is None or (at_most is not None and costs[cheapest] > at_most):
        return SAME
    return cheapest


def _fresh_prompt(task: SummaryTask) -> Any:
    """Return the prompt for another model, in the shape of the conversation."""
    instructions, transcript = task.request.instructions, task.request.transcript
    user = {"role": "user", "content": transcript}
    if task.prompt.shape == "anthropic":
        return {"system": instructions, "messages": [user]}
    return [{"role": "system", "content": instructions}, user]


def _own_prompt(task: SummaryTask) -> Any:
    """Return the conversation as it was sent, with the instruction last, so that it is read from the cache."""
    return task.prompt.with_messages([*task.prompt.messages, {"role": "user", "content": task.request.instructions}])
