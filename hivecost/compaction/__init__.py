"""Context budgets: counting a conversation, and making it smaller without breaking it or its prompt's cache."""

from typing import TYPE_CHECKING, Final

from hivecost.lazy_names import lazy_names

if TYPE_CHECKING:
    from hivecost.compaction.arrival import cut_long_results, whole_results
    from hivecost.compaction.breaking_even import BreakEven, CacheState, Rates, break_even
    from hivecost.compaction.cache_marks import needs_cache_marks, with_cache_marks
    from hivecost.compaction.carrying import PromptBill, PromptLayout, ResultPlace, carried_results, shared_out
    from hivecost.compaction.checking import Problem, problems
    from hivecost.compaction.compacting import Summarizer, compact
    from hivecost.compaction.config import CompactionConfig, StrategyName
    from hivecost.compaction.counting import ContextCount, Counter, CountSource
    from hivecost.compaction.grouping import Unit, units
    from hivecost.compaction.outcome import Compaction, CompactionStatus, CompactionStep
    from hivecost.compaction.plan import CompactionPlan, plan_compaction, prune_tool_results
    from hivecost.compaction.prompt import Prompt, read_prompt
    from hivecost.compaction.reading import Conversation, ShapeName, read_conversation
    from hivecost.compaction.strategies.summarize import Summary, SummaryRequest
    from hivecost.compaction.tool_calls import ToolCalls, limit_tool_calls

__all__ = [
    "BreakEven",
    "CacheState",
    "Compaction",
    "CompactionConfig",
    "CompactionPlan",
    "CompactionStatus",
    "CompactionStep",
    "ContextCount",
    "Conversation",
    "CountSource",
    "Counter",
    "Problem",
    "Prompt",
    "PromptBill",
    "PromptLayout",
    "Rates",
    "ResultPlace",
    "ShapeName",
    "StrategyName",
    "Summarizer",
    "Summary",
    "SummaryRequest",
    "ToolCalls",
    "Unit",
    "break_even",
    "carried_results",
    "compact",
    "cut_long_results",
    "limit_tool_calls",
    "needs_cache_marks",
    "plan_compaction",
    "problems",
    "prune_tool_results",
    "read_conversation",
    "read_prompt",
    "shared_out",
    "units",
    "whole_results",
    "with_cache_marks",
]

#: Where each name lives.
_MODULES: Final = {
    "hivecost.compaction.arrival": ("cut_long_results", "whole_results"),
    "hivecost.compaction.breaking_even": ("BreakEven", "CacheState", "Rates", "break_even"),
    "hivecost.compaction.cache_marks": ("needs_cache_marks", "with_cache_marks"),
    "hivecost.compaction.carrying": ("PromptBill", "PromptLayout", "ResultPlace", "carried_results", "shared_out"),
    "hivecost.compaction.compacting": ("Summarizer", "compact"),
    "hivecost.compaction.config": ("CompactionConfig", "StrategyName"),
    "hivecost.compaction.counting": ("ContextCount", "Counter", "CountSource"),
    "hivecost.compaction.outcome": ("Compaction", "CompactionStatus", "CompactionStep"),
    "hivecost.compaction.plan": ("CompactionPlan", "plan_compaction", "prune_tool_results"),
    "hivecost.compaction.checking": ("Problem", "problems"),
    "hivecost.compaction.prompt": ("Prompt", "read_prompt"),
    "hivecost.compaction.reading": ("Conversation", "ShapeName", "read_conversation"),
    "hivecost.compaction.strategies.summarize": ("Summary", "SummaryRequest"),
    "hivecost.compaction.tool_calls": ("ToolCalls", "limit_tool_calls"),
    "hivecost.compaction.grouping": ("Unit", "units"),
}
__getattr__ = lazy_names(__name__, _MODULES)
