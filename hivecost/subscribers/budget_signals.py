"""Tells the control plane what budgets tell the bus."""

from __future__ import annotations

from hivecost.events import BudgetExceeded, BudgetWarning
from hivecost.signals import budget_exhausted, budget_warning


def announce_warning(sender: object, warning: BudgetWarning) -> None:
    """Announce `budget_warning` with what the event says."""
    budget_warning.announce(sender, fraction=warning.fraction, **_facts(warning))


def announce_exhausted(sender: object, exceeded: BudgetExceeded) -> None:
    """Announce `budget_exhausted` with what the event says."""
    budget_exhausted.announce(sender, **_facts(exceeded))


def _facts(event: BudgetWarning | BudgetExceeded) -> dict[str, object]:
    return {
        "budget": event.budget,
        "scope": event.scope,
        "execution_id": event.execution_id,
        "used": event.used,
        "limit": event.limit,
        "unit": event.unit,
    }
