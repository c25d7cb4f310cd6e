"""The runtime, as whoever runs agents sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import msgspec

from hivecost.backends import Ledger, as_place, open_price_book
from hivecost.bus import EventBus, refuse_in_handler
from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.discovery import load_plugin_class
from hivecost.errors import (
    ConfigError,
    HiveCostError,
    UnknownEntryPointError,
)
from hivecost.forking import leave_child, tell_children
from hivecost.gate_contract import GateCheck, GatePass, TurnRequest
from hivecost.ledger import Budget, Limit, OpenLedger, listed_budgets
from hivecost.ledger.caps import Cap, CapMode
from hivecost.plugin import Plugin, require_plugin
from hivecost.pricing import PriceBook
from hivecost.runtime.budgets import RuntimeBudgets
from hivecost.runtime.config import RuntimeConfig, read_config
from hivecost.runtime.config_file import ConfigFile, read_config_file, require_distinct
from hivecost.runtime.config_reload import ConfigReload, compare, in_force_after
from hivecost.runtime.entry_point import EntryPoint
from hivecost.runtime.execution_block import ExecutionBlock
from hivecost.runtime.executions import Executions
from hivecost.runtime.log import ReadableLog
from hivecost.runtime.match_values import placed
from hivecost.runtime.plugins import AttachedPlugin, AttachedPlugins
from hivecost.runtime.result import ExecutionResult
from hivecost.runtime.running_execution import RunningExecution
from hivecost.runtime.wiring import Wiring
from hivecost.subscribers import UsageAggregator

if TYPE_CHECKING:
    from hivecost.runtime.summaries import Summarizer

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Summarizer = TypeVar("_Summarizer", bound="Summarizer")


class RuntimeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the runtime was made."""

    running: int
    started: int
    #: Turns on the bus that belong to no execution running here.
    foreign_turns: int
    #: Events that agents reported when the bus was closed already.
    events_lost: int


class AgentRuntime:
    """Hosts agents and attaches hivecost to them.

    `base_path` is the folder of the runtime log, or the URL of another backend, such as `memory://demo`. `budgets` are
    watched or held, `prices` is the user's own table (`{"my-model": {"input": 2.50, "output": 10.00}}`, USD per 1M
    tokens, or the path of a TOML file) and wins over those of the last `hivecost prices update` and the shipped ones,
    `plugins` attach in order. `config` is the path of a `hivecost.toml`, whose budgets come before those given here, or
    settings in Python. `open_ledger` makes the ledger of the hard budgets, where it is not to be the one in
    `base_path`; `hivecost.testing.LedgerContract` tests another.
    """

    def __init__(
        self,
        base_path: str | Path,
        *,
        budgets: Budget | Iterable[Budget] = (),
        prices: Mapping[str, Any] | str | Path | PriceBook | None = None,
        plugins: Iterable[Plugin] = (),
        config: RuntimeConfig | Mapping[str, Any] | str | Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
        open_ledger: OpenLedger = Ledger.open,
    ) -> None:
        #: A folder, or the URL of another place.
        self.base_path = as_place(base_path)
        self.clock = clock
        self._own_budgets = listed_budgets(budgets)
        self._file: ConfigFile | None = None
        if isinstance(config, str | Path):
            self._file = read_config_file(config)
            config, prices = self._file.runtime, self._file.prices_or(prices)
        self.config = read_config(config)
        self.prices = prices if isinstance(prices, PriceBook) else open_price_book(base_path, prices, clock=clock)
        self.prices.load()
        listed = require_distinct((*(self._file.budgets if self._file else ()), *self._own_budgets))
        budgets = tuple(placed(budget, self.prices) for budget in listed)
        parts = self._parts = Wiring(self, self.config, budgets, self.prices, open_ledger)
        self.bus: EventBus = parts.bus
        #: How each plugin fares, by name.
        self.plugins: AttachedPlugins = parts.rack.attached
        #: Sums over everything this runtime has seen, by execution, session, node, agent, model, user, task and day.
        self.usage: UsageAggregator = parts.own.usage
        #: The runtime log: `log.error` and `log.lost` say when it cannot be written, `log.sums` what is in it.
        self.log: ReadableLog = parts.own.log
        #: How the budgets stand, and changing them while agents run.
        self.budgets: RuntimeBudgets = parts.budgets
        self._executions = parts.executions
        self._entry_points: dict[str, EntryPoint] = {}
        self._lifecycle: AbstractAsyncContextManager[None] | None = None
        self._opened_in: anyio.TaskInfo | None = None
        self._is_forked = False
        tell_children(self)
        for plugin in plugins:
            self.register_plugin(plugin)

    # -- registering -------------------------------------------------------------------------------------------

    def entry_point(self, name: str, *, agent_id: str = "") -> Callable[[_Function], _Function]:
        """Register the decorated function of (ctx, input), async or sync, to be triggered as `name`.

        `agent_id` is who its spending is attributed to; the entry point's name unless given.
        """

        def register(function: _Function) -> _Function:
            entry = EntryPoint(name, function, agent_id or name)
            self._entry_points[entry.name] = entry
            return function

        return register

    def register_plugin(self, plugin: Plugin | str) -> AttachedPlugin:
        """Attach a plugin, before or while running; a text is the name of an installed one.

        Raise PluginError for what is no plugin. `await runtime.register_plugin(p).wait_ready()` raises it, too, when
        the plugin fails to start; otherwise that is logged and kept in `runtime.plugins[name].error`.
        """
        candidate = load_plugin_class(plugin)() if isinstance(plugin, str) else plugin
        return self._parts.rack.register(require_plugin(candidate))

    def add_gate_check(self, check: GateCheck, *, passes: GatePass | None = None) -> Callable[[], None]:
        """Await `check(request)` before each turn is sent: it may wait, or refuse by raising.

        Where `passes(request)` is True, known at once, the check would do nothing about the turn and is not awaited.
        """
        return self._parts.gate.add_check(check, passes)

    def summarizer(self, function: _Summarizer) -> _Summarizer:
        """Register the decorated function, async or sync, which writes summaries where a conversation is compacted.

        It is given a turn that budgets let pass, with the node's attribution and the tag `purpose=compaction`: it sends
        `turn.prompt` to `turn.model` with `turn.max_tokens`, settles the turn, and returns the text of the answer.
        Where it raises, or a budget refuses the turn, the conversation is compacted without a summary.
        """
        self._parts.executions.summarizer = function
        return function

    # -- lifecycle ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._lifecycle is not None:
            where = "in the parent process" if self._is_forked else "already"
            raise HiveCostError(f"this runtime is running {where}; make a second AgentRuntime for another loop")
        self._lifecycle, self._opened_in = self._parts.run(), anyio.get_current_task()
        try:
            await self._lifecycle.__aenter__()
        except BaseException:
            self._lifecycle = None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._is_forked:
            leave_child(error)
            return None
        refuse_in_handler(self.bus, "leaving the runtime")
        self._executions.refuse_inside("leaving the runtime")
        if self._lifecycle is not None and self._opened_in != anyio.get_current_task():
            raise HiveCostError(
                "this runtime was opened in another task, and only that can close it: write `async with runtime:`, or "
                "use hc.run_in_background(...), which is opened and closed anywhere"
            )
        lifecycle, self._lifecycle = self._lifecycle, None
        return None if lifecycle is None else await lifecycle.__aexit__(kind, error, trace)

    def _forked(self) -> None:
        """Mark that this process is a forked child of the one where the runtime runs."""
        self._is_forked = self._parts.intake.is_forked = self._executions.disown() or self._lifecycle is not None

    # -- executions --------------------------------------------------------------------------------------------

    async def trigger(
        self,
        entry_point: str,
        input: Any = None,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        org_id: str | None = None,
        task_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        limit: Limit | None = None,
        mode: CapMode = "hard",
    ) -> str:
        """Start an execution and return its id at once; `await wait(id)` gives its result.

        Inside another execution it inherits the session, user, org, task and tags that are not given, its turns count
        on that one's own budgets as well, and it is cancelled with it. Elsewhere it starts a session of its own without
        a `session_id`. A `limit` such as `"$0.20"` is a cap of its own, over all that it starts, and needs no budget: a
        turn that does not fit is refused; with `mode="observe"` it only warns, at 90 % and above the limit.

        Raise UnknownEntryPointError, ConfigError for attribution that cannot be used, ExecutionCancelledError inside
        an execution that was cancelled or has ended, in tasks that it left running, too, and HiveCostError when the
        runtime does not run, its block has raised, it closes and this is no execution that still runs, or executions
        are nested too deep.
        """
        self._executions.refuse_ended()  # here, because another loop does not know who asks
        entry = self._entry_point(entry_point)
        cap = self._cap(f"cap of {entry.name}", "trigger", limit, mode)
        given = {"session_id": session_id, "user_id": user_id, "org_id": org_id, "task_id": task_id}

        async def start() -> RunningExecution:
            return self._executions.trigger(entry, input, given=given, tags=tags or {}, cap=cap)

        return (await self._executions.run_at_home(start)).execution_id

    def execution(
        self,
        *,
        agent_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        org_id: str | None = None,
        task_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        limit: Limit | None = None,
        mode: CapMode = "hard",
    ) -> ExecutionBlock:
        """Return an execution without an entry point: the code in the block is the agent.

        `async with runtime.execution(agent_id="planner") as ctx:` on the runtime's loop or on any other, `with` in a
        thread, or in a program that has no loop and `run_in_background`. Begins and ends as one that is triggered, and
        inherits as that does, `agent_id` too. What is raised in the block ends it (`cancelled` by a refusal, else
        `failed`), and goes on to the caller. When it is cancelled its next turn is refused, and on a loop its next
        await is cancelled; it is left by ExecutionCancelledError then. `ctx.result` and `wait(ctx.execution_id)` have
        the result. A child that is forked inside ends where the block does.

        Entering raises as `trigger` does, and HiveCostError for `with` on the runtime's own loop.
        """
        given = {
            "agent_id": agent_id,
            "session_id": session_id,
            "user_id": user_id,
            "org_id": org_id,
            "task_id": task_id,
        }
        cap = self._cap(f"cap of {agent_id or 'this execution'}", "execution", limit, mode)
        return ExecutionBlock(self._executions, partial(self._executions.start, given=given, tags=tags or {}, cap=cap))

    async def trigger_and_wait(self, /, entry_point: str, input: Any = None, **attribution: Any) -> ExecutionResult:
        """Run an execution to its end; `attribution` is as for `trigger`.

        An error inside it is in the result, not raised; so is a cancellation. When the caller is cancelled, so is
        the execution.
        """
        execution_id = await self.trigger(entry_point, input, **attribution)
        try:
            return await self.wait(execution_id)
        finally:
            self.cancel_execution_nowait(execution_id, "its caller was cancelled")

    async def wait(self, execution_id: str) -> ExecutionResult:
        """Return the result of an execution that runs or is among the last 1,000 that ended.

        Raise LookupError for others, and ReentrancyError inside that execution itself, in tasks and threads of it too.
        """
        return await self._executions.run_at_home(partial(self._executions.wait, execution_id))

    def _cap(self, name: str, method: str, limit: Limit | None, mode: CapMode) -> Cap | None:
        if limit is None and mode != "hard":
            raise ConfigError(f"{method}(limit=…)", f"the limit that mode={mode!r} is about")
        return None if limit is None else self._parts.gate.cap(name, limit, mode=mode)

    def _entry_point(self, name: str) -> EntryPoint:
        entry = self._entry_points.get(name)
        if entry is None:
            known = ", ".join(sorted(self._entry_points)) or "none"
            raise UnknownEntryPointError(f"no entry point {name!r} is registered (registered: {known})")
        return entry

    async def cancel_execution(
        self, execution_id: str, reason: str | BaseException | None = None, *, after_turn: bool = False
    ) -> bool:
        """Ask an execution to stop; returns at once, True if it was running.

        With `after_turn` what it does just now may finish, and its next turn is refused.

        Works from a handler, from the execution itself and from another loop. From a plain thread or a signal handler
        use `cancel_execution_nowait`, which does the same.
        """
        return self._executions.cancel(execution_id, reason, after_turn=after_turn)

    def cancel_execution_nowait(
        self, execution_id: str, reason: str | BaseException | None = None, *, after_turn: bool = False
    ) -> bool:
        """Cancel an execution without await, from anywhere: threads and signal handlers included."""
        return self._executions.cancel(execution_id, reason, after_turn=after_turn)

    async def reload_config(self) -> ConfigReload:
        """Read the configuration file again: its budgets and their limits are in force now, and what was spent stays.

        What it does not name any more is retired, as `budgets.configure` does. Everything else that changed is in the
        answer's `needs_restart`. A file that cannot be used changes nothing. Raise ConfigError, and
        LedgerUnavailableError.
        """
        if self._file is None:
            raise ConfigError("config", "the path of a TOML file when the runtime was made")
        fresh = read_config_file(self._file.path)
        require_distinct((*fresh.budgets, *self._own_budgets))
        reload = compare(self._file, fresh)
        changed = [budget for budget in reload.limits if self.budgets.has(budget.name)]
        retired = [budget.name for budget in reload.retired if self.budgets.has(budget.name)]
        await self.budgets.configure([*changed, *reload.added], retire=retired, by=fresh.path.name)
        self._file = in_force_after(self._file, reload)
        return reload

    # -- for plugins ----------------------------------------------------------------------------

    def resolved(self, request: TurnRequest) -> TurnRequest:
        """Return the request with the model and the provider as the price book understands them."""
        return self._parts.gate.resolved(request)

    def for_model(self, request: TurnRequest, model: str) -> TurnRequest:
        """Return the request for another model, at the host that was named for it if that has the model."""
        return self._parts.gate.for_model(request, model)

    async def flush(self) -> None:
        """Return when everything published so far is in the runtime log. Raise StoreError if it cannot be written."""
        await self._executions.run_at_home(self.log.flush)

    def statistics(self) -> RuntimeStatistics:
        """Return counts of executions, and of what was out of the ordinary; `bus.statistics()` has the queues."""
        return RuntimeStatistics(
            running=len(self._parts.registry.running),
            started=self._parts.registry.started,
            foreign_turns=self._parts.intake.foreign_turns,
            events_lost=self._parts.intake.events_lost,
        )


def executions_of(runtime: AgentRuntime) -> Executions:
    """Return what runs in a runtime, for whoever ends it from outside of its loop."""
    return runtime._executions  # noqa: SLF001  # no agent is to see them
