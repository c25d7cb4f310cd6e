"""What people read, as numbers: one file for each report."""

from typing import TYPE_CHECKING, Final

from hivecost.lazy_names import lazy_names

if TYPE_CHECKING:
    from hivecost.reports.advice import DOWNGRADE_RULE, Advice, Batching, Compression, Downgrade, Pruning, load_advice
    from hivecost.reports.budgets import (
        BudgetLedgerLine,
        BudgetReport,
        InDoubt,
        load_budget_changes,
        load_budget_report,
        load_doubts,
        require_ledger,
    )
    from hivecost.reports.caching import CachingLine
    from hivecost.reports.explanation import AccountExplanation, BudgetExplanation, RefusalLine, explain_budget
    from hivecost.reports.gaps import Gaps
    from hivecost.reports.missing import require_log
    from hivecost.reports.repricing import RepricedModel, RepricingReport, reprice_log
    from hivecost.reports.session import AlertLine, SessionError, SessionPeople, SessionReport, load_session_report
    from hivecost.reports.session_budgets import BudgetLine
    from hivecost.reports.spend import SpendLine, SpendReport, load_spend

__all__ = [
    "DOWNGRADE_RULE",
    "AccountExplanation",
    "Advice",
    "AlertLine",
    "Batching",
    "BudgetExplanation",
    "BudgetLedgerLine",
    "BudgetLine",
    "BudgetReport",
    "CachingLine",
    "Compression",
    "Downgrade",
    "Gaps",
    "InDoubt",
    "Pruning",
    "RefusalLine",
    "RepricedModel",
    "RepricingReport",
    "SessionError",
    "SessionPeople",
    "SessionReport",
    "SpendLine",
    "SpendReport",
    "explain_budget",
    "load_advice",
    "load_budget_changes",
    "load_budget_report",
    "load_doubts",
    "load_session_report",
    "load_spend",
    "reprice_log",
    "require_ledger",
    "require_log",
]

#: Where each name lives.
_MODULES: Final = {
    "hivecost.reports.advice": (
        "DOWNGRADE_RULE",
        "Advice",
        "Batching",
        "Compression",
        "Downgrade",
        "Pruning",
        "load_advice",
    ),
    "hivecost.reports.budgets": (
        "BudgetLedgerLine",
        "BudgetReport",
        "InDoubt",
        "load_budget_changes",
        "load_budget_report",
        "load_doubts",
        "require_ledger",
    ),
    "hivecost.reports.caching": ("CachingLine",),
    "hivecost.reports.explanation": ("AccountExplanation", "BudgetExplanation", "RefusalLine", "explain_budget"),
    "hivecost.reports.gaps": ("Gaps",),
    "hivecost.reports.missing": ("require_log",),
    "hivecost.reports.repricing": ("RepricedModel", "RepricingReport", "reprice_log"),
    "hivecost.reports.session": (
        "AlertLine",
        "SessionError",
        "SessionPeople",
        "SessionReport",
        "load_session_report",
    ),
    "hivecost.reports.session_budgets": ("BudgetLine",),
    "hivecost.reports.spend": ("SpendLine", "SpendReport", "load_spend"),
}
__getattr__ = lazy_names(__name__, _MODULES)
