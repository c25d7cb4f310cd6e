"""The public names, and the room that each comes from; `hivecost/__init__.py` imports them when they are first used."""

from hivecost.attach import (
    install as install,
    node as node,
    tag as tag,
)
from hivecost.attribution import (
    Attributed as Attributed,
    Attribution as Attribution,
)
from hivecost.backends import (
    Ledger as Ledger,
    RuntimeLogStore as RuntimeLogStore,
    SessionStore as SessionStore,
    SpendStore as SpendStore,
)
from hivecost.backends.sqlite import (
    Store as Store,
)
from hivecost.bus import (
    Block as Block,
    DropNewest as DropNewest,
    DropOldest as DropOldest,
    EventBus as EventBus,
    Overflow as Overflow,
)
from hivecost.clock import (
    Clock as Clock,
    SystemClock as SystemClock,
)
from hivecost.compaction import (
    Compaction as Compaction,
    CompactionConfig as CompactionConfig,
    CompactionStep as CompactionStep,
    ContextCount as ContextCount,
    Counter as Counter,
    Rates as Rates,
    Summary as Summary,
    SummaryRequest as SummaryRequest,
    ToolCalls as ToolCalls,
    compact as compact,
)
from hivecost.discovery import (
    plugins as plugins,
)
from hivecost.errors import (
    BudgetBusyError as BudgetBusyError,
    BudgetExceededError as BudgetExceededError,
    BudgetExhaustedError as BudgetExhaustedError,
    BusClosedError as BusClosedError,
    ConfigError as ConfigError,
    ContextBudgetError as ContextBudgetError,
    EventFormatError as EventFormatError,
    ExecutionCancelledError as ExecutionCancelledError,
    HiveCostError as HiveCostError,
    LedgerUnavailableError as LedgerUnavailableError,
    LoopLimitError as LoopLimitError,
    PluginError as PluginError,
    PriceUnknownError as PriceUnknownError,
    PriceUpdateError as PriceUpdateError,
    ReentrancyError as ReentrancyError,
    SessionNotFoundError as SessionNotFoundError,
    StoreCorruptError as StoreCorruptError,
    StoreError as StoreError,
    StoreLockedError as StoreLockedError,
    StoreMovedError as StoreMovedError,
    StoreUnusablePathError as StoreUnusablePathError,
    StoreVersionError as StoreVersionError,
    UnknownEntryPointError as UnknownEntryPointError,
    UsageInvalidError as UsageInvalidError,
)
from hivecost.events import (
    AlertRaised as AlertRaised,
    BudgetExceeded as BudgetExceeded,
    BudgetWarning as BudgetWarning,
    CarriedResults as CarriedResults,
    ChargeSettled as ChargeSettled,
    ContextCompacted as ContextCompacted,
    Cost as Cost,
    CostStatus as CostStatus,
    CustomEvent as CustomEvent,
    Event as Event,
    EventType as EventType,
    ExecutionCompleted as ExecutionCompleted,
    ExecutionStarted as ExecutionStarted,
    ExecutionStatus as ExecutionStatus,
    LLMTurnComplete as LLMTurnComplete,
    RateLimited as RateLimited,
    SentPrompt as SentPrompt,
    ToolCallCompleted as ToolCallCompleted,
    Totals as Totals,
    UnknownEvent as UnknownEvent,
    Usage as Usage,
    new_session_id as new_session_id,
)
from hivecost.gate_contract import (
    TurnOutcome as TurnOutcome,
    TurnRequest as TurnRequest,
)
from hivecost.leasing import (
    LeasePolicy as LeasePolicy,
    LedgerHold as LedgerHold,
)
from hivecost.ledger import (
    AccountDetails as AccountDetails,
    AccountStatus as AccountStatus,
    Amounts as Amounts,
    Budget as Budget,
    BudgetChange as BudgetChange,
    BudgetState as BudgetState,
    DoubtAmount as DoubtAmount,
    DoubtfulHold as DoubtfulHold,
    LedgerStore as LedgerStore,
    LedgerStoreHold as LedgerStoreHold,
    OpenLedger as OpenLedger,
    Overrun as Overrun,
    Refusal as Refusal,
    Settlement as Settlement,
    ThresholdCrossing as ThresholdCrossing,
)
from hivecost.log.records import (
    ModelTotals as ModelTotals,
    NodeDetails as NodeDetails,
    NodeTotals as NodeTotals,
    Pruned as Pruned,
    Repricing as Repricing,
    Run as Run,
    SessionDetails as SessionDetails,
    SessionMetrics as SessionMetrics,
    SessionState as SessionState,
    SessionTimestamps as SessionTimestamps,
    SpendRow as SpendRow,
    StoreStatistics as StoreStatistics,
)
from hivecost.log.statistics import (
    Statistics as Statistics,
    UsageLimit as UsageLimit,
    UsageShare as UsageShare,
    breakdown_text as breakdown_text,
)
from hivecost.log.steps import (
    Step as Step,
)
from hivecost.money import (
    USD as USD,
)
from hivecost.plugin import (
    AccountView as AccountView,
    BudgetsView as BudgetsView,
    Bus as Bus,
    HostStatistics as HostStatistics,
    LogView as LogView,
    Plugin as Plugin,
    PluginHost as PluginHost,
    PricesView as PricesView,
    SessionView as SessionView,
    UsageView as UsageView,
)
from hivecost.pricing import (
    Band as Band,
    Card as Card,
    InputKind as InputKind,
    ModelChoice as ModelChoice,
    ModelLimits as ModelLimits,
    ModelName as ModelName,
    Offer as Offer,
    Price as Price,
    PriceBook as PriceBook,
    Quote as Quote,
    Validity as Validity,
    calculate_cost as calculate_cost,
    count_tokens as count_tokens,
    select_model as select_model,
)
from hivecost.rate_limits import (
    LimiterStatistics as LimiterStatistics,
    PacerStatistics as PacerStatistics,
    RateLimiter as RateLimiter,
)
from hivecost.runtime import (
    AgentRuntime as AgentRuntime,
    AttachedPlugin as AttachedPlugin,
    AttachedPlugins as AttachedPlugins,
    BackgroundBudgets as BackgroundBudgets,
    BackgroundRuntime as BackgroundRuntime,
    Charge as Charge,
    ConfigReload as ConfigReload,
    Execution as Execution,
    ExecutionBlock as ExecutionBlock,
    ExecutionResult as ExecutionResult,
    GraphSpec as GraphSpec,
    LoopConfig as LoopConfig,
    LoopRules as LoopRules,
    Node as Node,
    NodeSpec as NodeSpec,
    PluginStatus as PluginStatus,
    ReadableLog as ReadableLog,
    RuntimeBudgets as RuntimeBudgets,
    RuntimeConfig as RuntimeConfig,
    RuntimeStatistics as RuntimeStatistics,
    Turn as Turn,
    TurnStream as TurnStream,
    current_execution as current_execution,
    run_in_background as run_in_background,
)
from hivecost.signals import (
    budget_exhausted as budget_exhausted,
    budget_warning as budget_warning,
    cancellation_ignored as cancellation_ignored,
    events_dropped as events_dropped,
    execution_cancelled as execution_cancelled,
    subscriber_failed as subscriber_failed,
)
from hivecost.subscribers import (
    BudgetWatcher as BudgetWatcher,
    CostReporter as CostReporter,
    LogWriter as LogWriter,
    RunawayBreaker as RunawayBreaker,
    RunawayRules as RunawayRules,
    TurnPacer as TurnPacer,
    UsageAggregator as UsageAggregator,
)
from hivecost.subscription import (
    BusStatistics as BusStatistics,
    Subscription as Subscription,
    SubscriptionStatistics as SubscriptionStatistics,
)
from hivecost.usage import (
    StreamedAnswer as StreamedAnswer,
    UsagePass as UsagePass,
    UsageReading as UsageReading,
    UsageStatus as UsageStatus,
    UsageStream as UsageStream,
    read_usage as read_usage,
)

__version__: str
