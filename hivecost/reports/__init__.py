"""What people read: one file for each report, one for each format."""

from hivecost.reports.json_document import to_json
from hivecost.reports.session import BudgetLine, SessionReport, load_session_report
from hivecost.reports.terminal import render_session, render_sessions

__all__ = [
    "BudgetLine",
    "SessionReport",
    "load_session_report",
    "render_session",
    "render_sessions",
    "to_json",
]
