"""Cost control for agent runtimes: count, price, budget and stop every LLM call.

Names are imported from their rooms when they are first used, so that `import hivecost` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hivecost.bus import Block, DropNewest, DropOldest, EventBus
    from hivecost.clock import Clock, SystemClock
    from hivecost.errors import (
        BudgetBusyError,
        BudgetExceededError,
        BudgetExhaustedError,
        BusClosedError,
        ConfigError,
        EventFormatError,
        ExecutionCancelledError,
        HiveCostError,
        LedgerUnavailableError,
        PluginError,
        PriceUnknownError,
        ReentrancyError,
        SessionNotFoundError,
        StoreCorruptError,
        StoreError,
        StoreLockedError,
        StoreUnusablePathError,
        StoreVersionError,
        UnknownEntryPointError,
        UsageInvalidError,
    )
    from hivecost.events import (
        AlertRaised,
        BudgetExceeded,
        BudgetWarning,
        ContextCompacted,
        Cost,
        CostStatus,
        CustomEvent,
        Event,
        EventType,
        ExecutionCompleted,
        ExecutionStarted,
        ExecutionStatus,
        LLMTurnComplete,
        RateLimited,
        ToolCallCompleted,
        Totals,
        UnknownEvent,
        Usage,
        new_session_id,
    )
    from hivecost.ledger import Budget, RunawayRules
    from hivecost.plugin import Plugin, PluginHost, TurnRequest
    from hivecost.pricing import PriceBook, UsageReading, UsageStream, calculate_cost, read_usage
    from hivecost.queries import RuntimeLogStore, SessionStore, SpendStore
    from hivecost.rate_limits import RateLimiter
    from hivecost.runtime import (
        AgentRuntime,
        Execution,
        ExecutionResult,
        GraphSpec,
        LoopConfig,
        NodeSpec,
        RuntimeConfig,
        Turn,
        current_execution,
    )
    from hivecost.signals import (
        budget_exhausted,
        cancellation_ignored,
        events_dropped,
        execution_cancelled,
        subscriber_failed,
    )
    from hivecost.store import Store
    from hivecost.subscribers import BudgetWatcher, CostReporter, LogWriter, RunawayBreaker, TurnPacer, UsageAggregator

__all__ = [
    "AgentRuntime",
    "AlertRaised",
    "Block",
    "Budget",
    "BudgetBusyError",
    "BudgetExceeded",
    "BudgetExceededError",
    "BudgetExhaustedError",
    "BudgetWarning",
    "BudgetWatcher",
    "BusClosedError",
    "Clock",
    "ConfigError",
    "ContextCompacted",
    "Cost",
    "CostReporter",
    "CostStatus",
    "CustomEvent",
    "DropNewest",
    "DropOldest",
    "Event",
    "EventBus",
    "EventFormatError",
    "EventType",
    "Execution",
    "ExecutionCancelledError",
    "ExecutionCompleted",
    "ExecutionResult",
    "ExecutionStarted",
    "ExecutionStatus",
    "GraphSpec",
    "HiveCostError",
    "LLMTurnComplete",
    "LedgerUnavailableError",
    "LogWriter",
    "LoopConfig",
    "NodeSpec",
    "Plugin",
    "PluginError",
    "PluginHost",
    "PriceBook",
    "PriceUnknownError",
    "RateLimited",
    "RateLimiter",
    "ReentrancyError",
    "RunawayBreaker",
    "RunawayRules",
    "RuntimeConfig",
    "RuntimeLogStore",
    "SessionNotFoundError",
    "SessionStore",
    "SpendStore",
    "Store",
    "StoreCorruptError",
    "StoreError",
    "StoreLockedError",
    "StoreUnusablePathError",
    "StoreVersionError",
    "SystemClock",
    "ToolCallCompleted",
    "Totals",
    "Turn",
    "TurnPacer",
    "TurnRequest",
    "UnknownEntryPointError",
    "UnknownEvent",
    "Usage",
    "UsageAggregator",
    "UsageInvalidError",
    "UsageReading",
    "UsageStream",
    "budget_exhausted",
    "calculate_cost",
    "cancellation_ignored",
    "current_execution",
    "events_dropped",
    "execution_cancelled",
    "new_session_id",
    "read_usage",
    "subscriber_failed",
]

#: Where each name lives.
_ROOMS = {
    "hivecost.bus": (
        "Block",
        "DropNewest",
        "DropOldest",
        "EventBus",
    ),
    "hivecost.clock": (
        "Clock",
        "SystemClock",
    ),
    "hivecost.errors": (
        "BudgetBusyError",
        "BudgetExceededError",
        "BudgetExhaustedError",
        "BusClosedError",
        "ConfigError",
        "EventFormatError",
        "ExecutionCancelledError",
        "HiveCostError",
        "LedgerUnavailableError",
        "PluginError",
        "PriceUnknownError",
        "ReentrancyError",
        "SessionNotFoundError",
        "StoreCorruptError",
        "StoreError",
        "StoreLockedError",
        "StoreUnusablePathError",
        "StoreVersionError",
        "UnknownEntryPointError",
        "UsageInvalidError",
    ),
    "hivecost.events": (
        "AlertRaised",
        "BudgetExceeded",
        "BudgetWarning",
        "ContextCompacted",
        "Cost",
        "CostStatus",
        "CustomEvent",
        "Event",
        "EventType",
        "ExecutionCompleted",
        "ExecutionStarted",
        "ExecutionStatus",
        "LLMTurnComplete",
        "RateLimited",
        "ToolCallCompleted",
        "Totals",
        "UnknownEvent",
        "Usage",
        "new_session_id",
    ),
    "hivecost.ledger": ("Budget", "RunawayRules"),
    "hivecost.plugin": (
        "Plugin",
        "PluginHost",
        "TurnRequest",
    ),
    "hivecost.pricing": (
        "PriceBook",
        "UsageReading",
        "UsageStream",
        "calculate_cost",
        "read_usage",
    ),
    "hivecost.queries": (
        "RuntimeLogStore",
        "SessionStore",
        "SpendStore",
    ),
    "hivecost.rate_limits": ("RateLimiter",),
    "hivecost.runtime": (
        "AgentRuntime",
        "Execution",
        "ExecutionResult",
        "GraphSpec",
        "LoopConfig",
        "NodeSpec",
        "RuntimeConfig",
        "Turn",
        "current_execution",
    ),
    "hivecost.signals": (
        "budget_exhausted",
        "cancellation_ignored",
        "events_dropped",
        "execution_cancelled",
        "subscriber_failed",
    ),
    "hivecost.store": ("Store",),
    "hivecost.subscribers": (
        "BudgetWatcher",
        "CostReporter",
        "LogWriter",
        "RunawayBreaker",
        "TurnPacer",
        "UsageAggregator",
    ),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'hivecost' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
