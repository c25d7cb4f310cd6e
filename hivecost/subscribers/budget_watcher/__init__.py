"""Budgets that are counted after the fact: the watcher, what the runtime log says was spent, and what nobody saw."""

from hivecost.subscribers.budget_watcher.watcher import BudgetWatcher

__all__ = ["BudgetWatcher"]
