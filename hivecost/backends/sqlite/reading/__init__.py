"""SQL in, Structs out: what the runtime log says."""

from typing import TYPE_CHECKING, Final

from hivecost.lazy_names import lazy_names

if TYPE_CHECKING:
    from hivecost.backends.sqlite.reading.accounts import (
        ELSEWHERE,
        add_spending,
        attributes_of,
        has_accounts_in_log,
        is_summed,
        logged_accounts,
    )
    from hivecost.backends.sqlite.reading.breakdown import (
        SessionError,
        SessionPeople,
        pruned_before,
        session_errors,
        session_events,
        session_people,
        unpriced_reasons,
        unseen_calls,
    )
    from hivecost.backends.sqlite.reading.budgets import (
        in_last_start,
        load_budget_changes,
        load_budgets,
        load_definitions,
        load_overruled_limits,
        load_refusals,
    )
    from hivecost.backends.sqlite.reading.connection import is_logged, require_log
    from hivecost.backends.sqlite.reading.repricings import RepricedTotals, load_repriced
    from hivecost.backends.sqlite.reading.runtime_log import RuntimeLogStore
    from hivecost.backends.sqlite.reading.sessions import SessionStore
    from hivecost.backends.sqlite.reading.spend import SpendStore
    from hivecost.backends.sqlite.reading.spending import (
        PAGE_TURNS,
        Spending,
        last_turn,
        pruned_calls,
        spending_of_session,
        spending_since,
        spending_where,
        turns_after,
    )
    from hivecost.backends.sqlite.reading.turns import turn_pages
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

#: Where each name lives.
_MODULES: Final = {
    "hivecost.ledger": (
        "BudgetChange",
        "BudgetState",
    ),
    "hivecost.log.instants": (
        "Moment",
        "instant_ns",
    ),
    "hivecost.log.records": (
        "BudgetDefinition",
        "ModelTotals",
        "NodeDetails",
        "NodeTotals",
        "Run",
        "SessionDetails",
        "SessionMetrics",
        "SessionState",
        "SessionTimestamps",
        "SpendRow",
    ),
    "hivecost.log.steps": ("Step",),
    "hivecost.backends.sqlite.reading.breakdown": (
        "SessionError",
        "SessionPeople",
        "pruned_before",
        "session_errors",
        "session_events",
        "session_people",
        "unpriced_reasons",
        "unseen_calls",
    ),
    "hivecost.backends.sqlite.reading.budgets": (
        "in_last_start",
        "load_budget_changes",
        "load_budgets",
        "load_definitions",
        "load_overruled_limits",
        "load_refusals",
    ),
    "hivecost.backends.sqlite.reading.accounts": (
        "ELSEWHERE",
        "add_spending",
        "attributes_of",
        "has_accounts_in_log",
        "is_summed",
        "logged_accounts",
    ),
    "hivecost.backends.sqlite.reading.connection": (
        "is_logged",
        "require_log",
    ),
    "hivecost.backends.sqlite.reading.repricings": (
        "RepricedTotals",
        "load_repriced",
    ),
    "hivecost.backends.sqlite.reading.runtime_log": ("RuntimeLogStore",),
    "hivecost.backends.sqlite.reading.sessions": ("SessionStore",),
    "hivecost.backends.sqlite.reading.spend": ("SpendStore",),
    "hivecost.backends.sqlite.reading.spending": (
        "PAGE_TURNS",
        "Spending",
        "last_turn",
        "pruned_calls",
        "spending_of_session",
        "spending_since",
        "spending_where",
        "turns_after",
    ),
    "hivecost.backends.sqlite.reading.turns": ("turn_pages",),
}
__getattr__ = lazy_names(__name__, _MODULES)
