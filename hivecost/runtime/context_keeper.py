"""Keeps the conversations of a node within their context budget: they are counted before each turn, and compacted."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hivecost.clock import Clock
from hivecost.compaction import (
    CacheState,
    Compaction,
    CompactionPlan,
    ContextCount,
    Counter,
    Prompt,
    Rates,
    Summary,
    SummaryRequest,
    cut_long_results,
    plan_compaction,
    prune_tool_results,
    read_conversation,
    read_prompt,
    whole_results,
)
from hivecost.errors import BudgetExceededError, ContextBudgetError
from hivecost.events import CompactionTrigger
from hivecost.plain_text import shown
from hivecost.pricing import PriceBook
from hivecost.runtime.conversation import SKIPS_TOLD_EVERY, Conversation, FittedPrompt
from hivecost.runtime.loop_config import LoopRules


class SummaryTask(msgspec.Struct, frozen=True):
    """A summary that a compaction asks for."""

    request: SummaryRequest
    #: The conversation, before it is compacted.
    prompt: Prompt
    #: What the agent asks.
    model: str
    provider: str


#: Writes a summary of a conversation.
Summarize = Callable[[SummaryTask], Awaitable[Summary]]
#: Publishes CONTEXT_COMPACTED with these fields.
PublishCompacted = Callable[..., None]

#: Conversations of one node that are told apart; of more, the one that rested longest begins anew.
CONVERSATIONS_MAX: Final = 16
#: How long providers keep a prompt in their cache at least after it was read.
CACHE_TTL_S: Final = 300.0
#: A compaction that saves a smaller share is not tried again until more has come.
_SHARE_SAVED_MIN: Final = 0.1
#: How much of the budget has to come before a compaction that was of no use is tried again: twice as much each time.
_SHARE_NEW_MIN: Final = 0.2
#: A summariser that failed so often is not asked again.
_FAILURES_MAX: Final = 3
#: Prompts that the provider called too long, one after the other, until that is an error.
_OVERFLOWS_MAX: Final = 2

_log = logging.getLogger("hivecost.compaction")


class ContextKeeper:
    """Fits prompts to what a node's loop obeys. Cancelled anywhere, a conversation stays as it was."""

    def __init__(
        self,
        rules: LoopRules,
        *,
        prices: PriceBook,
        clock: Clock,
        publish: PublishCompacted,
        summarize: Summarize | None = None,
    ) -> None:
        self._rules = rules
        self._prices = prices
        self._clock = clock
        self._publish = publish
        self._summarize = summarize
        self._failures = 0
        self._conversations: list[Conversation] = []

    @property
    def is_idle(self) -> bool:
        """Whether nothing of what the loop obeys is about its conversation."""
        rules = self._rules
        return rules.max_history_tokens is rules.tool_result_budget is rules.max_tool_result_tokens is None

    async def fit(self, prompt: Any, *, model: str, provider: str = "") -> FittedPrompt:
        """Return the prompt within its budget; as it is, where nothing is to be done or it is no conversation.

        Raise ContextBudgetError where what may not go is over the budget and over what the model reads, and where the
        provider refused the last two prompts as too long.
        """
        read = None if self.is_idle else read_prompt(prompt, provider=provider)
        if read is None:
            return FittedPrompt(prompt, prompt)
        conversation, messages = self._find(read, model, provider)
        new = len(conversation.kept)
        if self._rules.max_tool_result_tokens is not None:
            messages = cut_long_results(
                messages,
                shape=read.shape,
                tokens=self._rules.max_tool_result_tokens,
                since=new,
                counter=conversation.counter,
            )
        fitted = replace(read, messages=messages)
        edit = _Edit(self._rules, self._prices, conversation, fitted, new=new, model=model, provider=provider)
        cache = self._cache(conversation, model)
        compaction = await self._compacted(edit, cache)
        warm = edit.rates if compaction is not None and edit.cache(cache) == "warm" else None
        conversation.model, conversation.sent_s = model, self._clock.monotonic_s()
        if conversation in self._conversations:
            self._conversations.remove(conversation)
        self._conversations = [*self._conversations[1 - CONVERSATIONS_MAX :], conversation]
        return conversation.send(read, fitted, edit.results, compaction, warm)

    def _find(self, read: Prompt, model: str, provider: str) -> tuple[Conversation, list[Any]]:
        for conversation in self._conversations:
            messages = conversation.continues(read.messages)
            if messages is not None:
                if conversation.model != model:
                    conversation.counter = Counter(model, provider=provider, around=read.around)
                return conversation, messages
        return Conversation(model, provider, read), list(read.messages)

    def _cache(self, conversation: Conversation, model: str) -> CacheState:
        """Tell whether the provider can still have the conversation's prompt in its cache."""
        rested_s = None if conversation.sent_s is None else self._clock.monotonic_s() - conversation.sent_s
        return "cold" if rested_s is None or rested_s > CACHE_TTL_S or conversation.model != model else "warm"

    async def _compacted(self, edit: _Edit, cache: CacheState) -> Compaction | None:
        """Compact what has to be smaller, and prune what it pays to; None where neither is."""
        conversation, count = edit.conversation, edit.count
        if conversation.overflows >= _OVERFLOWS_MAX:
            raise ContextBudgetError(need=count.tokens, budget=edit.overflow_budget, largest=edit.largest())
        if conversation.overflows:
            return await self._forced(edit, "overflow", edit.overflow_budget, cache)
        budget = self._rules.max_history_tokens
        if budget is not None and count.tokens > budget:
            if edit.is_stalled(budget):
                edit.require_fit(conversation.error)
                return None
            return await self._forced(edit, "budget", budget, cache)
        keep = self._rules.tool_result_budget
        if keep is not None and edit.results > keep:
            return self._pruned(edit, keep, cache)
        return None

    async def _forced(
        self, edit: _Edit, trigger: CompactionTrigger, budget: int, cache: CacheState
    ) -> Compaction | None:
        conversation = edit.conversation
        plan = plan_compaction(
            edit.prompt.messages,
            shape=edit.prompt.shape,
            budget=budget,
            config=self._rules.compaction,
            count=conversation.counter,
            rates=edit.rates,
            cache=edit.cache(cache),
            turns_ahead=self._rules.turns_ahead,
            can_summarize=self._summarize is not None and self._failures < _FAILURES_MAX,
        )
        try:
            compaction = await self._run(plan, edit)
        except ContextBudgetError as error:
            conversation.stall(edit.count.tokens, error)
            self._tell(edit, trigger, None, status="failed", reason=str(error))
            if trigger == "overflow":
                raise
            edit.require_fit(error)
            return None
        if compaction.tokens_saved >= _SHARE_SAVED_MIN * compaction.tokens_before:
            conversation.stalled_at, conversation.stalls = None, 0
        else:
            conversation.stall(compaction.tokens_after, None)
        if compaction.status == "done":
            self._tell(edit, trigger, compaction, status="done")
        return compaction

    def _pruned(self, edit: _Edit, keep: int, cache: CacheState) -> Compaction | None:
        conversation = edit.conversation
        compaction = prune_tool_results(
            edit.prompt.messages,
            shape=edit.prompt.shape,
            keep=keep,
            config=self._rules.compaction,
            count=conversation.counter,
            rates=edit.rates,
            turns_ahead=self._rules.turns_ahead,
            cache=edit.cache(cache),
        )
        if compaction.status == "done":
            self._tell(edit, "tool_results", compaction, status="done")
            return compaction
        if compaction.status == "skipped" and conversation.turns_since_skip >= SKIPS_TOLD_EVERY:
            conversation.turns_since_skip = 0
            self._tell(edit, "tool_results", compaction, status="skipped", reason=compaction.reason)
        return None

    async def _run(self, plan: CompactionPlan, edit: _Edit) -> Compaction:
        try:
            request = next(plan)
            while True:
                task = SummaryTask(request, edit.prompt, edit.model, edit.provider)
                request = plan.send(await self._summary(task))
        except StopIteration as stop:
            result: Compaction = stop.value
            return result

    async def _summary(self, task: SummaryTask) -> Summary:
        assert self._summarize is not None  # noqa: S101  # else the plan asks for none
        try:
            summary = await self._summarize(task)
        except BudgetExceededError as error:  # no failure of whoever summarizes
            return Summary("", problem=f"no budget pays for the summary: {shown(error)}")
        except Exception as error:  # the edge: a summary that fails is no error of the agent's
            _log.warning("a conversation could not be summarized: %s", shown(error))
            summary = Summary("", problem=f"the summarizer failed: {shown(error)}")
        if summary.text.strip():
            return summary
        self._failures += 1
        if self._failures == _FAILURES_MAX:
            _log.warning("the summarizer failed %d times, and is not asked again in this execution", self._failures)
        return summary

    def _tell(
        self,
        edit: _Edit,
        trigger: CompactionTrigger,
        compaction: Compaction | None,
        *,
        status: str,
        reason: str = "",
    ) -> None:
        """Publish what was done, or why nothing was."""
        tokens, messages = edit.count.tokens, edit.prompt.messages
        came_of_it: dict[str, Any] = {}
        if compaction is not None:
            tokens, messages = compaction.tokens_after, compaction.messages
            came_of_it = {
                "strategy": compaction.strategy,
                "steps": tuple(step.strategy for step in compaction.steps if step.status == "done"),
                "cost_nanousd": compaction.summary_nanousd,
                "cache_rewrite_nanousd": compaction.cache_rewrite_nanousd,
                "saves_per_turn_nanousd": compaction.saves_per_turn_nanousd,
                "breaks_even_after_turns": compaction.breaks_even_after,
            }
        self._publish(
            tokens_before=edit.count.tokens,
            tokens_after=tokens,
            messages_before=len(edit.prompt.messages),
            messages_after=len(messages),
            trigger=trigger,
            count_source=edit.count.source,
            status=status,
            reason=reason,
            **came_of_it,
        )


class _Edit:
    """What one prompt needs, and what may be done about it."""

    def __init__(
        self,
        rules: LoopRules,
        prices: PriceBook,
        conversation: Conversation,
        prompt: Prompt,
        *,
        new: int,
        model: str,
        provider: str,
    ) -> None:
        self.model = model
        self.conversation = conversation
        self.prompt = prompt
        self.count: ContextCount = conversation.counter.count(prompt.messages)
        self._rules = rules
        self._prices = prices
        self.provider = provider
        self._new = read_conversation(prompt.messages[new:], prompt.shape).entries
        #: Results of tools that were not replaced.
        self.results = conversation.results + whole_results(prompt.messages[new:], prompt.shape)

    @cached_property
    def rates(self) -> Rates:
        """What its tokens cost."""
        quote = self._prices.quote(self.model, provider=self.provider)
        return Rates.of(quote, self.count.tokens)

    def cache(self, state: CacheState) -> CacheState:
        """Return the state of the provider's cache; `none` where it reads one no cheaper."""
        rates = self.rates
        return "none" if rates.read >= rates.input else state

    @property
    def _window(self) -> int | None:
        return self._prices.limits(self.model, self.provider).context_window

    @property
    def overflow_budget(self) -> int:
        """Half of what was too much for the provider, whatever the budget says."""
        known = (self._rules.max_history_tokens, self._window, self.count.tokens)
        return max(1, min(tokens for tokens in known if tokens is not None) // 2)

    def is_stalled(self, budget: int) -> bool:
        """Tell whether a compaction was of no use just before, and too little has come since."""
        stalled_at, stalls = self.conversation.stalled_at, self.conversation.stalls
        if stalled_at is None or any(entry.has_words for entry in self._new):
            return False
        return self.count.tokens < stalled_at + _SHARE_NEW_MIN * budget * (1 << stalls - 1)

    def require_fit(self, error: ContextBudgetError | None) -> None:
        """Raise the error that a compaction gave, where the model cannot read the prompt as it is either."""
        window = self._window
        if error is not None and window is not None and self.count.tokens > window:
            raise error.with_traceback(None)

    def largest(self, count: int = 3) -> tuple[tuple[int, int], ...]:
        """Return the largest messages, as (index, tokens)."""
        sizes = [round(self.conversation.counter.size(message)) for message in self.prompt.messages]
        return tuple(sorted(enumerate(sizes), key=lambda item: (-item[1], item[0]))[:count])
