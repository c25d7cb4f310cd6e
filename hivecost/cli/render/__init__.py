"""What is printed of a report: text for a terminal, in the one place that knows rich; JSON and CSV."""

from typing import TYPE_CHECKING, Final

from hivecost.lazy_names import lazy_names

if TYPE_CHECKING:
    from hivecost.cli.render.advice import render_advice
    from hivecost.cli.render.budgets import render_budgets, render_changes, render_doubts
    from hivecost.cli.render.documents import to_csv, to_json
    from hivecost.cli.render.explanation import render_explanation
    from hivecost.cli.render.graph import render_graph
    from hivecost.cli.render.progress import pricing_progress
    from hivecost.cli.render.rates import render_rate_changes, render_rate_list, render_rates
    from hivecost.cli.render.repricing import render_repricing
    from hivecost.cli.render.session import render_session, render_sessions
    from hivecost.cli.render.sheet import render_sheet

__all__ = [
    "pricing_progress",
    "render_advice",
    "render_budgets",
    "render_changes",
    "render_doubts",
    "render_explanation",
    "render_graph",
    "render_rate_changes",
    "render_rate_list",
    "render_rates",
    "render_repricing",
    "render_session",
    "render_sessions",
    "render_sheet",
    "to_csv",
    "to_json",
]

#: Where each name lives.
_MODULES: Final = {
    "hivecost.cli.render.advice": ("render_advice",),
    "hivecost.cli.render.budgets": ("render_budgets", "render_changes", "render_doubts"),
    "hivecost.cli.render.documents": ("to_csv", "to_json"),
    "hivecost.cli.render.explanation": ("render_explanation",),
    "hivecost.cli.render.graph": ("render_graph",),
    "hivecost.cli.render.progress": ("pricing_progress",),
    "hivecost.cli.render.rates": ("render_rate_changes", "render_rate_list", "render_rates"),
    "hivecost.cli.render.repricing": ("render_repricing",),
    "hivecost.cli.render.session": ("render_session", "render_sessions"),
    "hivecost.cli.render.sheet": ("render_sheet",),
}
__getattr__ = lazy_names(__name__, _MODULES)
