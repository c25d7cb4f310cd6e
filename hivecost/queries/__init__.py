"""SQL in, Structs out: what the runtime log says."""

from hivecost.queries.breakdown import pruned_before, session_events, unpriced_reasons
from hivecost.queries.budgets import load_budget_changes, load_budgets, load_overruled_limits
from hivecost.queries.instants import Moment, instant_ns
from hivecost.queries.reader import require_log
from hivecost.queries.repricings import RepricedTotals, load_repriced
from hivecost.queries.runtime_log import ModelTotals, NodeDetails, NodeTotals, Run, RuntimeLogStore, SessionDetails
from hivecost.queries.sessions import SessionMetrics, SessionState, SessionStore, SessionTimestamps
from hivecost.queries.spend import SpendRow, SpendStore
from hivecost.queries.spending import (
    PAGE_TURNS,
    Spending,
    last_turn,
    pruned_calls,
    spending_since,
    spending_where,
    turns_after,
)
from hivecost.queries.steps import Step
from hivecost.queries.turns import turn_pages
from hivecost.store import BudgetChange, BudgetState

__all__ = [
    "PAGE_TURNS",
    "BudgetChange",
    "BudgetState",
    "ModelTotals",
    "Moment",
    "NodeDetails",
    "NodeTotals",
    "RepricedTotals",
    "Run",
    "RuntimeLogStore",
    "SessionDetails",
    "SessionMetrics",
    "SessionState",
    "SessionStore",
    "SessionTimestamps",
    "SpendRow",
    "SpendStore",
    "Spending",
    "Step",
    "instant_ns",
    "last_turn",
    "load_budget_changes",
    "load_budgets",
    "load_overruled_limits",
    "load_repriced",
    "pruned_before",
    "pruned_calls",
    "require_log",
    "session_events",
    "spending_since",
    "spending_where",
    "turn_pages",
    "turns_after",
    "unpriced_reasons",
]
