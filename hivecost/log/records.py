"""The records of a runtime log: sessions, executions, nodes, what was spent, budgets and who changed them."""

from __future__ import annotations

import msgspec

from hivecost.events import Totals
from hivecost.ledger import Budget
from hivecost.log.rows import SumRow
from hivecost.log.steps import Step
from hivecost.money import USD, to_usd


class SessionMetrics(Totals, frozen=True, kw_only=True):
    """The sums of a session."""

    executions: int = 0

    @property
    def agent_runs(self) -> int:
        """The same as `executions`: how often an agent was run."""
        return self.executions

    @property
    def total_input_tokens(self) -> int:
        """The same as `input_tokens`."""
        return self.input_tokens

    @property
    def total_output_tokens(self) -> int:
        """The same as `output_tokens`."""
        return self.output_tokens

    @property
    def total_cached_tokens(self) -> int:
        """The same as `cache_read_tokens`."""
        return self.cache_read_tokens

    @property
    def total_cost_nanousd(self) -> int:
        """The same as `cost_nanousd`."""
        return self.cost_nanousd

    @property
    def total_cost_usd(self) -> USD:
        """The exact cost in USD of the turns that have one; `unpriced_calls` and `invalid_calls` are missing in it."""
        return to_usd(self.cost_nanousd)


class SessionTimestamps(msgspec.Struct, frozen=True, kw_only=True):
    """ISO 8601 in local time with the UTC offset, so that the date in it is the local day."""

    started_at: str
    updated_at: str
    #: None while an execution runs, when the last one was interrupted, and when none was ever announced.
    ended_at: str | None


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """A session and its sums."""

    session_id: str
    #: `running` while any execution runs, else how the last one ended; `interrupted` when its process was gone before
    #: it ended, and `unknown` when none was ever announced.
    status: str
    #: The first that was named in the session, each; "" when none was.
    agent_id: str
    user_id: str
    org_id: str
    metrics: SessionMetrics
    timestamps: SessionTimestamps


class NodeTotals(Totals, frozen=True, kw_only=True):
    """The sums of one node in a session."""

    #: "" for turns outside any node.
    node_id: str

    @property
    def llm_call_count(self) -> int:
        """The same as `llm_calls`."""
        return self.llm_calls


class NodeDetails(NodeTotals, frozen=True, kw_only=True):
    """A node of a session: its sums, the models it used in the order of first use, its steps.

    Where the log was pruned, `pruned_steps` more were counted in the sums than are in `steps`.
    """

    models: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def pruned_steps(self) -> int:
        """How many turns and charges were counted whose steps are pruned."""
        return self.llm_calls + self.charges - len(self.steps)


class SessionDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A session by its nodes, in the order of their first turn; before them those whose turns were all pruned."""

    session_id: str
    nodes: tuple[NodeDetails, ...]

    @property
    def pruned_steps(self) -> int:
        """Turns that are in the sums, and no longer in the log."""
        return sum(node.pruned_steps for node in self.nodes)


class ModelTotals(Totals, frozen=True, kw_only=True):
    """The sums of one model in a session."""

    model: str
    provider: str


def model_totals(row: SumRow) -> ModelTotals:
    """Return a row of `LogReader.sums` by model and provider as a record."""
    model, provider = row.group
    return ModelTotals(*row[1:], model=model, provider=provider)


class Run(Totals, frozen=True, kw_only=True):
    """An execution and its sums."""

    session_id: str
    execution_id: str
    #: `running`, `completed`, `failed` or `cancelled`; `interrupted` when its process was gone before it ended, and
    #: `unknown` when neither start nor end was logged.
    status: str
    entry_point: str
    error: str
    agent_id: str
    user_id: str
    org_id: str
    duration_ms: int
    #: ISO 8601 in local time.
    started_at: str
    #: None while it runs.
    ended_at: str | None
    #: The execution that started it; "" when none did.
    parent_execution_id: str = ""


class SpendRow(Totals, frozen=True, kw_only=True):
    """The sums of one group."""

    #: What was grouped by → its value, such as `{"day": "2026-11-22", "model": "gpt-4o"}`.
    group: dict[str, str]


class Repricing(msgspec.Struct, frozen=True, kw_only=True):
    """One turn at later rates; amounts are None when unknown."""

    run_id: str
    event_id: str
    session_id: str
    old_nanousd: int | None
    new_nanousd: int | None
    cost_status: str
    rate: str
    snapshot: str
    repriced_ns: int


class RepricedTotals(msgspec.Struct, frozen=True, kw_only=True):
    """A session's turns that were priced again, each by its last repricing. Sums are of the known costs."""

    calls: int
    old_nanousd: int
    new_nanousd: int
    old_unpriced_calls: int
    new_unpriced_calls: int
    #: Of the newest of these repricings.
    snapshot: str


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What pruning took out of the log, or with `dry_run` would."""

    turns: int
    events: int
    #: Accounts of hard budgets whose period was over, with nothing held or in doubt.
    accounts: int = 0
    #: Free for what is logged next; when the log was compacted, given back. About, for a dry run; 0: nobody counts.
    bytes_freed: int = 0
    #: The size of the log now; 0: nobody counts.
    file_bytes: int = 0


class StoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of events since a writer of the log was made."""

    #: Accepted and not yet committed, and the limit of that.
    queued: int = 0
    queue_max: int = 0
    #: Rows really inserted.
    written: int = 0
    #: Known already by their event id.
    duplicates: int = 0
    #: Accepted or refused, and not committed; `last_error` says why.
    lost: int = 0
    #: From before the instant up to which the log was pruned, and so not logged: they may have been already.
    late: int = 0
    #: Logged with their tags cut.
    truncated: int = 0
    commits: int = 0
    last_error: str = ""


class BudgetDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A budget as it was written down last: what it counts and its limit; what it does about it is not read."""

    budget: Budget
    first_seen_ns: int
    #: When a runtime or a Ledger last started with it, or it was changed.
    last_seen_ns: int
    #: It is hard, and was taken out of force after that.
    is_retired: bool = False
