"""What people read: one file for each report, one for each format."""

from typing import TYPE_CHECKING, Final

from hivecost.lazy_names import lazy_names

if TYPE_CHECKING:
    from hivecost.reports.advice import DOWNGRADE_RULE, Advice, Batching, Compression, Downgrade, load_advice
    from hivecost.reports.advice_terminal import render_advice
    from hivecost.reports.budgets import (
        BudgetLedgerLine,
        BudgetReport,
        load_budget_changes,
        load_budget_report,
        load_doubts,
        require_ledger,
    )
    from hivecost.reports.budgets_terminal import render_budgets, render_changes, render_doubts
    from hivecost.reports.caching import CachingLine
    from hivecost.reports.explanation import BudgetExplanation, explain_budget, render_explanation
    from hivecost.reports.in_doubt import InDoubt
    from hivecost.reports.json_document import to_json
    from hivecost.reports.missing import require_log
    from hivecost.reports.rates import render_rate_changes, render_rate_list, render_rates
    from hivecost.reports.repricing import RepricedModel, RepricingReport, render_repricing, reprice_log
    from hivecost.reports.session import AlertLine, SessionReport, load_session_report
    from hivecost.reports.session_budgets import BudgetLine
    from hivecost.reports.spend import SpendReport, load_spend, render_spend, spend_csv
    from hivecost.reports.terminal import render_session, render_sessions

__all__ = [
    "DOWNGRADE_RULE",
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
    "InDoubt",
    "RepricedModel",
    "RepricingReport",
    "SessionReport",
    "SpendReport",
    "explain_budget",
    "load_advice",
    "load_budget_changes",
    "load_budget_report",
    "load_doubts",
    "load_session_report",
    "load_spend",
    "render_advice",
    "render_budgets",
    "render_changes",
    "render_doubts",
    "render_explanation",
    "render_rate_changes",
    "render_rate_list",
    "render_rates",
    "render_repricing",
    "render_session",
    "render_sessions",
    "render_spend",
    "reprice_log",
    "require_ledger",
    "require_log",
    "spend_csv",
    "to_json",
]

#: Where each name lives.
_MODULES: Final = {
    "hivecost.reports.advice": ("DOWNGRADE_RULE", "Advice", "Batching", "Compression", "Downgrade", "load_advice"),
    "hivecost.reports.advice_terminal": ("render_advice",),
    "hivecost.reports.budgets": (
        "BudgetLedgerLine",
        "BudgetReport",
        "load_budget_changes",
        "load_budget_report",
        "load_doubts",
        "require_ledger",
    ),
    "hivecost.reports.budgets_terminal": ("render_budgets", "render_changes", "render_doubts"),
    "hivecost.reports.caching": ("CachingLine",),
    "hivecost.reports.explanation": ("BudgetExplanation", "explain_budget", "render_explanation"),
    "hivecost.reports.in_doubt": ("InDoubt",),
    "hivecost.reports.json_document": ("to_json",),
    "hivecost.reports.rates": ("render_rate_changes", "render_rate_list", "render_rates"),
    "hivecost.reports.missing": ("require_log",),
    "hivecost.reports.repricing": ("RepricedModel", "RepricingReport", "render_repricing", "reprice_log"),
    "hivecost.reports.session": ("AlertLine", "SessionReport", "load_session_report"),
    "hivecost.reports.session_budgets": ("BudgetLine",),
    "hivecost.reports.spend": ("SpendReport", "load_spend", "render_spend", "spend_csv"),
    "hivecost.reports.terminal": ("render_session", "render_sessions"),
}
__getattr__ = lazy_names(__name__, _MODULES)
