"""Compacting a conversation from code that waits for nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from hivecost.compaction.breaking_even import CacheState, Rates
from hivecost.compaction.counting import ContextCount, Counter
from hivecost.compaction.outcome import Compaction
from hivecost.compaction.plan import plan_compaction
from hivecost.compaction.reading import ShapeName
from hivecost.compaction.strategies.summarize import Summary, SummaryRequest
from hivecost.plain_text import shown
from hivecost.pricing.quotes import Quote

_log = logging.getLogger("hivecost.compaction")

#: Writes a summary: its text, or a Summary with what it cost; None where it refuses to.
Summarizer = Callable[[SummaryRequest], str | Summary | None]


def compact(
    messages: list[Any],
    *,
    shape: ShapeName,
    budget: int,
    config: Any = None,
    count: Counter | ContextCount | None = None,
    rates: Rates | Quote | None = None,
    turns_ahead: int = 5,
    cache: CacheState = "warm",
    must_pay: bool = False,
    summarize: Summarizer | None = None,
) -> Compaction:
    """Make a conversation of more than `budget` tokens smaller, down to `compact_to` of the budget.

    `shape` is `openai_chat`, `anthropic` or `responses`. `config` is a CompactionConfig, a mapping of its fields, or an
    object that has some of them, such as a LoopConfig. `count` is the Counter of the conversation, or what the provider
    counted for exactly these messages; without, they are estimated by their size. `rates` is what
    `PriceBook.quote(model)` gives; without, a cache is taken to be read at a tenth of the price of fresh input.

    With `must_pay`, for edits that are to save money, the messages stay as they are unless the edit pays within
    `turns_ahead` turns, and no budget is an error: what reading fewer tokens saves each turn is held against writing
    the prompt's cache anew behind the first change, and against the summary. The formula is in
    `hivecost.compaction.breaking_even`. `cache` says whether the provider has the prompt in its cache.

    Nothing a provider accepts becomes something it refuses: calls and results stay together, and system messages, the
    user's last words and calls that are running stay as they are. `messages` is never changed. Without `summarize` the
    strategies that need it are passed over; a summary that is empty, no shorter, or fails with an exception is
    discarded.

    Raise ContextBudgetError where what may not go is over the budget, and ConfigError for a value that cannot be.
    """
    plan = plan_compaction(
        messages,
        shape=shape,
        budget=budget,
        config=config,
        count=count,
        rates=rates,
        turns_ahead=turns_ahead,
        cache=cache,
        must_pay=must_pay,
        can_summarize=summarize is not None,
    )
    try:
        request = next(plan)
        while summarize is not None:
            request = plan.send(_summary(summarize, request))
    except StopIteration as stop:
        result: Compaction = stop.value
        return result
    raise AssertionError("a summary was asked for, and nobody can write one")


def _summary(summarize: Summarizer, request: SummaryRequest) -> Summary:
    try:
        written = summarize(request)
    except Exception as error:  # the edge: a summary that fails is no error of the agent's
        _log.warning("a conversation could not be summarized: %s", shown(error))
        return Summary("", problem=f"the summarizer failed: {shown(error)}")
    if isinstance(written, Summary):
        return written
    return Summary(written) if isinstance(written, str) else Summary("", problem="the summarizer gave no text")
