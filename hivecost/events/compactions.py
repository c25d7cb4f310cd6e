"""What was done so that a conversation fits its context budget."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from hivecost.events.base import Event, EventType

#: Why: the context budget, more results of tools than a node keeps, the cost controller, a provider that called the
#: prompt too long, or somebody who asked for it.
CompactionTrigger = Literal["budget", "tool_results", "cost", "overflow", "manual"]


class ContextCompacted(Event, frozen=True, kw_only=True, tag=EventType.CONTEXT_COMPACTED.value):
    """A conversation was shortened to fit its budget, or was not: `status` says so.

    Amounts are in nano-USD, and None where no price is known.
    """

    type: ClassVar[EventType] = EventType.CONTEXT_COMPACTED

    tokens_before: int = 0
    tokens_after: int = 0
    #: The last one that changed something: `prune_old_tool_results`, `summarize`, `keep_recent` …
    strategy: str = ""
    #: All that changed something, in their order.
    steps: tuple[str, ...] = ()
    trigger: CompactionTrigger | Literal[""] = ""
    #: How the tokens were counted: `reported` by the provider, by its `tokenizer`, or `estimated`.
    count_source: str = ""
    messages_before: int = 0
    messages_after: int = 0
    #: What summaries cost.
    cost_nanousd: int | None = 0
    #: What the provider charges once for writing the rest of the prompt into its cache again.
    cache_rewrite_nanousd: int | None = 0
    #: What each further turn costs less.
    saves_per_turn_nanousd: int | None = 0
    #: After how many turns that has paid for it; None for never.
    breaks_even_after_turns: float | None = None
    #: `skipped`: it would not have paid. `failed`: what may not go is over the budget.
    status: Literal["done", "skipped", "failed"] = "done"
    #: Why it was skipped, or failed.
    reason: str = ""

    @property
    def tokens_saved(self) -> int:
        """How many tokens shorter the context is."""
        return self.tokens_before - self.tokens_after

    def _derived(self) -> dict[str, Any]:
        saved = self.tokens_saved
        share = 100 * saved / self.tokens_before if self.tokens_before else 0.0
        return {"tokens_saved": saved, "savings_pct": share}
