"""The built-in subscribers, one file or folder each; all of them are plugins."""

from hivecost.subscribers.budget_watcher import BudgetWatcher
from hivecost.subscribers.cost_reporter import CostReporter
from hivecost.subscribers.log_writer import LogWriter
from hivecost.subscribers.runaway_breaker import RunawayBreaker
from hivecost.subscribers.runaway_detector import RunawayRules
from hivecost.subscribers.turn_pacer import TurnPacer
from hivecost.subscribers.usage_aggregator import DIMENSIONS, UsageAggregator

__all__ = [
    "DIMENSIONS",
    "BudgetWatcher",
    "CostReporter",
    "LogWriter",
    "RunawayBreaker",
    "RunawayRules",
    "TurnPacer",
    "UsageAggregator",
]
