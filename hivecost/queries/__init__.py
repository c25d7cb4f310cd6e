"""SQL in, Structs out: what the runtime log says."""

from hivecost.queries.breakdown import session_events, unpriced_reasons
from hivecost.queries.budgets import BudgetChange, BudgetState, load_budget_changes, load_budgets
from hivecost.queries.instants import Moment
from hivecost.queries.repricings import RepricedTotals, load_repriced
from hivecost.queries.runtime_log import ModelTotals, NodeDetails, NodeTotals, Run, RuntimeLogStore, SessionDetails
from hivecost.queries.sessions import SessionMetrics, SessionState, SessionStore, SessionTimestamps
from hivecost.queries.spend import SpendRow, SpendStore
from hivecost.queries.steps import Step
from hivecost.queries.totals import LoggedTotals
from hivecost.queries.turns import turn_pages, turns_since

__all__ = [
    "BudgetChange",
    "BudgetState",
    "LoggedTotals",
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
    "Step",
    "load_budget_changes",
    "load_budgets",
    "load_repriced",
    "session_events",
    "turn_pages",
    "turns_since",
    "unpriced_reasons",
]
