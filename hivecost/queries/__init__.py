"""SQL in, Structs out: what the runtime log says."""

from hivecost.ledger import BudgetChange, BudgetState
from hivecost.log.instants import Moment, instant_ns
from hivecost.log.records import (
    BudgetDefinition,
    ModelTotals,
    NodeDetails,
    NodeTotals,
    Run,
    SessionDetails,
    SessionMetrics,
    SessionState,
    SessionTimestamps,
    SpendRow,
)
from hivecost.log.steps import Step
from hivecost.queries.breakdown import (
    SessionError,
    SessionPeople,
    pruned_before,
    session_errors,
    session_events,
    session_people,
    unpriced_reasons,
    unseen_calls,
)
from hivecost.queries.budgets import (
    in_last_start,
    load_budget_changes,
    load_budgets,
    load_definitions,
    load_overruled_limits,
    load_refusals,
)
from hivecost.queries.logged_accounts import (
    ELSEWHERE,
    add_spending,
    attributes_of,
    has_accounts_in_log,
    is_summed,
    logged_accounts,
)
from hivecost.queries.reader import is_logged, require_log
from hivecost.queries.repricings import RepricedTotals, load_repriced
from hivecost.queries.runtime_log import RuntimeLogStore
from hivecost.queries.sessions import SessionStore
from hivecost.queries.spend import SpendStore
from hivecost.queries.spending import (
    PAGE_TURNS,
    Spending,
    last_turn,
    pruned_calls,
    spending_of_session,
    spending_since,
    spending_where,
    turns_after,
)
from hivecost.queries.turns import turn_pages

__all__ = [
    "ELSEWHERE",
    "PAGE_TURNS",
    "BudgetChange",
    "BudgetDefinition",
    "BudgetState",
    "ModelTotals",
    "Moment",
    "NodeDetails",
    "NodeTotals",
    "RepricedTotals",
    "Run",
    "RuntimeLogStore",
    "SessionDetails",
    "SessionError",
    "SessionMetrics",
    "SessionPeople",
    "SessionState",
    "SessionStore",
    "SessionTimestamps",
    "SpendRow",
    "SpendStore",
    "Spending",
    "Step",
    "add_spending",
    "attributes_of",
    "has_accounts_in_log",
    "in_last_start",
    "instant_ns",
    "is_logged",
    "is_summed",
    "last_turn",
    "load_budget_changes",
    "load_budgets",
    "load_definitions",
    "load_overruled_limits",
    "load_refusals",
    "load_repriced",
    "logged_accounts",
    "pruned_before",
    "pruned_calls",
    "require_log",
    "session_errors",
    "session_events",
    "session_people",
    "spending_of_session",
    "spending_since",
    "spending_where",
    "turn_pages",
    "turns_after",
    "unpriced_reasons",
    "unseen_calls",
]
