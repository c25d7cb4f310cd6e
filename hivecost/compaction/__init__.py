"""Context budgets: counting a conversation, and making it smaller without breaking it or its prompt's cache."""

from hivecost.compaction.arrival import cut_long_results, whole_results
from hivecost.compaction.break_even import BreakEven, CacheState, Rates, break_even
from hivecost.compaction.cache_marks import needs_cache_marks, with_cache_marks
from hivecost.compaction.carrying import PromptBill, PromptLayout, ResultPlace, carried_results, shared_out
from hivecost.compaction.compact import Summarizer, compact
from hivecost.compaction.config import CompactionConfig, StrategyName
from hivecost.compaction.counting import ContextCount, Counter, CountSource
from hivecost.compaction.outcome import Compaction, CompactionStatus, CompactionStep
from hivecost.compaction.plan import CompactionPlan, plan_compaction, prune_tool_results
from hivecost.compaction.problems import Problem, problems
from hivecost.compaction.prompt import Prompt, read_prompt
from hivecost.compaction.reading import Conversation, ShapeName, read_conversation
from hivecost.compaction.strategies.summarize import Summary, SummaryRequest
from hivecost.compaction.tool_calls import ToolCalls, limit_tool_calls
from hivecost.compaction.units import Unit, units

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
