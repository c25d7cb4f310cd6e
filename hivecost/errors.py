"""Every error hivecost raises, in one tree.

HiveCostError
├── BudgetExceededError          a budget stops this execution
│   ├── BudgetExhaustedError     the period's money is spent; carries reset_at
│   └── BudgetBusyError          held by others just now; carries retry_after_s
├── PriceUnknownError            no rate for this model; names the near ones
├── PriceUpdateError             rates that cannot be fetched or believed
├── UsageInvalidError            impossible token counts
├── EventFormatError             bytes that are no event
├── LedgerUnavailableError       the ledger cannot be reached: refused
├── StoreError
│   ├── StoreLockedError         another writer holds the file
│   ├── StoreCorruptError        the file is not a sound database
│   ├── StoreVersionError        written by a newer hivecost
│   ├── StoreUnusablePathError   the base path cannot hold a database
│   │   └── StoreMovedError      it was removed, moved or replaced while it was open
│   └── SessionNotFoundError     nothing was ever logged under this id
├── ConfigError                  names file, key and what was expected
├── PluginError                  names the plugin
├── ContextBudgetError           a conversation cannot be made to fit its context budget
├── LoopLimitError               a node's loop has had as many turns as it may
├── BusClosedError               publish() or wait_for() on a bus that is not open
├── ReentrancyError              a handler or an execution waits for itself
├── UnknownEntryPointError       trigger() of a name nobody registered
└── ExecutionCancelledError      the execution this code belongs to was cancelled
"""

from __future__ import annotations

from datetime import datetime

from hivecost.plain_text import printable, shown


class HiveCostError(Exception):
    """The root: `except HiveCostError` catches all that hivecost raises on purpose."""


class BudgetExceededError(HiveCostError):
    """A budget stops an execution.

    Raised in a handler of an event that has an `execution_id`, it cancels that execution with this error
    as the reason. A handler of lists names the culprit with `execution_id`.
    """

    def __init__(self, message: str = "budget exceeded", *, budget: str = "", execution_id: str = "") -> None:
        super().__init__(message)
        self.budget = budget
        self.execution_id = execution_id
        #: Which account of the budget, and how it stood, in nano-USD, tokens or calls; set where a ledger refused.
        self.scope = ""
        self.period = ""
        self.used = 0
        self.limit = 0
        #: What the turn asked for (0: nobody said), and what was left for it.
        self.needed = 0
        self.remaining = 0


class BudgetExhaustedError(BudgetExceededError):
    """The account is spent until `reset_at` (None: it never resets)."""

    def __init__(
        self, message: str, *, budget: str = "", execution_id: str = "", reset_at: datetime | None = None
    ) -> None:
        super().__init__(message, budget=budget, execution_id=execution_id)
        self.reset_at = reset_at


class BudgetBusyError(BudgetExceededError):
    """The rest of the account is held by other turns; worth asking again after `retry_after_s`."""

    def __init__(self, message: str, *, budget: str = "", execution_id: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message, budget=budget, execution_id=execution_id)
        self.retry_after_s = retry_after_s


class PriceUnknownError(HiveCostError, LookupError):
    """No price table knows `model`; `suggestions` are near names that are known, `needed_for` says what needs it."""

    def __init__(self, model: str, *, suggestions: tuple[str, ...] = (), needed_for: str = "") -> None:
        near = f" (did you mean {', '.join(map(repr, suggestions))}?)" if suggestions else ""
        why = f", and {needed_for}" if needed_for else ""
        super().__init__(
            f"no price is known for model {model!r}{near}{why}; write under [prices] in hivecost.toml "
            f'"{model}" = {{ input = USD, output = USD }}, per 1M tokens, or "{model}" = 0 where it is free (or '
            f'"ollama/*" = 0), or under [aliases] "{model}" = "MODEL" for a deployment of MODEL; commands take '
            f'such a file with --prices, Python takes prices={{"{model}": {{"input": USD, "output": USD}}}}'
        )
        self.model = model
        self.suggestions = suggestions


class PriceUpdateError(HiveCostError):
    """New rates could not be fetched, or cannot be believed; the ones in use stay."""


class UsageInvalidError(HiveCostError, ValueError):
    """Token counts that cannot be: negative, no integer, or beyond any model."""


class EventFormatError(HiveCostError, ValueError):
    """Bytes that no version of hivecost wrote as an event."""


class LedgerUnavailableError(HiveCostError):
    """The ledger cannot be reached, so nothing is granted (fail closed)."""


class StoreError(HiveCostError):
    """The runtime log cannot be read or written."""


class StoreLockedError(StoreError):
    """Another connection holds the database."""


class StoreCorruptError(StoreError):
    """The file is not a sound SQLite database."""


class StoreVersionError(StoreError):
    """The database was written by a newer hivecost than this one."""


class StoreUnusablePathError(StoreError):
    """The base path is a file, cannot be written, or its disk is full."""


class StoreMovedError(StoreUnusablePathError):
    """The database was removed, moved or replaced while it was open; nothing more is written or granted there."""


class SessionNotFoundError(StoreError, LookupError):
    """The log holds nothing under this session id."""


class ConfigError(HiveCostError, ValueError):
    """A setting that cannot be used: says where it stands and what was expected there."""

    def __init__(self, key: str, expected: str, *, file: str = "", got: object = None) -> None:
        where = f"{file}: {key}" if file else key
        found = "" if got is None else f", got {shown(got)}"
        super().__init__(printable(f"{where}: expected {expected}{found}"))
        self.key = key
        self.expected = expected
        self.file = file


class PluginError(HiveCostError):
    """A plugin that is not one, or failed to start or stop; `plugin` is its name."""

    def __init__(self, plugin: str, problem: str) -> None:
        super().__init__(f"plugin {plugin!r}: {problem}")
        self.plugin = plugin


class ContextBudgetError(HiveCostError):
    """A conversation needs more tokens than its context budget, and what is left of it may not go.

    `need` and `budget` are tokens; `largest` names the largest messages that stay, as (index, tokens).
    """

    def __init__(self, *, need: int, budget: int, largest: tuple[tuple[int, int], ...] = ()) -> None:
        parts = ", ".join(f"message {index}: {tokens:,}" for index, tokens in largest)
        super().__init__(
            f"the conversation needs {need:,} tokens, and its context budget is {budget:,}; the largest parts that "
            f"stay are {parts or 'outside of its messages'}; raise max_history_tokens, or shorten them"
        )
        self.need = need
        self.budget = budget
        self.largest = largest


class LoopLimitError(HiveCostError):
    """A node's loop has had as many turns as it may; the execution that this ends is `completed`.

    `limit` is the key of the loop configuration, `value` what it says, and `node_id` whose it is ("" for none's).
    """

    def __init__(self, limit: str, value: int, *, node_id: str = "") -> None:
        where = f"node {node_id!r}" if node_id else "the agent's loop"
        super().__init__(printable(f"{where} has {limit} = {value:,}, and has had them all"))
        self.limit = limit
        self.value = value
        self.node_id = node_id


class BusClosedError(HiveCostError):
    """The bus is not open: publish, and wait for events, inside `async with bus`."""


class ReentrancyError(HiveCostError):
    """Code asked to wait for its own end: a handler for all handlers or its bus to close, an execution for itself."""


class UnknownEntryPointError(HiveCostError, LookupError):
    """No entry point of this name is registered; the message lists those that are."""


class ExecutionCancelledError(HiveCostError):
    """The execution was cancelled; its next turn is refused with this."""
