"""The runtime: the one place that wires bus, prices, gate, plugins and executions together."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio
import anyio.abc
import msgspec
from msgspec.structs import replace

from hivecost.backends import Ledger, as_place, open_backend, open_price_book
from hivecost.bus import EventBus
from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.discovery import load_plugin_class
from hivecost.errors import (
    BudgetExceededError,
    BusClosedError,
    ConfigError,
    HiveCostError,
    PluginError,
    StoreError,
    UnknownEntryPointError,
)
from hivecost.events import Event, LLMTurnComplete
from hivecost.forking import leave_child, tell_children
from hivecost.gate_contract import GateCheck, TurnRequest
from hivecost.ledger import Budget, Limit, OpenLedger, listed_budgets
from hivecost.ledger.caps import Cap, CapMode
from hivecost.plugin import Plugin, require_plugin
from hivecost.pricing import PriceBook
from hivecost.runtime.budgets import RuntimeBudgets
from hivecost.runtime.capped_turns import CappedTurns
from hivecost.runtime.closing import Closing
from hivecost.runtime.config import RuntimeConfig, read_config
from hivecost.runtime.config_file import ConfigFile, read_config_file, require_distinct
from hivecost.runtime.config_reload import ConfigReload, compare, in_force_after
from hivecost.runtime.disabled import IDLE_PLUGINS, PassThroughGate, is_disabled, tell_disabled
from hivecost.runtime.entry_point import EntryPoint
from hivecost.runtime.execution import Execution
from hivecost.runtime.execution_block import ExecutionBlock
from hivecost.runtime.executions import Executions
from hivecost.runtime.gate import Gate
from hivecost.runtime.log import ReadableLog
from hivecost.runtime.match_values import placed
from hivecost.runtime.plugins import AttachedPlugin, PluginRack
from hivecost.runtime.result import ExecutionResult
from hivecost.runtime.switch_interval import switch_interval
from hivecost.runtime.termination import Termination, ending_on_sigterm, pass_on
from hivecost.runtime.turn_checks import admit_turn, with_plain_names
from hivecost.signals import subscriber_failed
from hivecost.subscribers import BudgetWatcher, LogWriter, RunawayBreaker, UsageAggregator

#: What plugins and the ledger say last is handed on for so long, however late it is.
_LAST_EVENTS_S: Final = 0.1

_log = logging.getLogger("hivecost.runtime")
_Function = TypeVar("_Function", bound=Callable[..., Any])


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
        self._is_disabled = is_disabled()
        #: A folder, or the URL of another place.
        self.base_path = as_place(base_path)
        self._backend = open_backend(base_path)
        self.clock = clock
        self._own_budgets = listed_budgets(budgets)
        self._file: ConfigFile | None = None
        if isinstance(config, str | Path):
            self._file = read_config_file(config)
            config, prices = self._file.runtime, self._file.prices_or(prices)
        self.config = read_config(config)
        self.prices = prices if isinstance(prices, PriceBook) else open_price_book(base_path, prices, clock=clock)
        self.prices.load()
        self.bus = EventBus(admit=self._admit, close_timeout_s=self.config.close_timeout_s)
        #: Sums over everything this runtime has seen, by execution, session, node, agent, model, user, task and day.
        self.usage = UsageAggregator()
        #: The runtime log: `log.error` and `log.lost` say when it cannot be written, `log.sums` what is in it.
        self.log = ReadableLog(self.base_path)
        listed = require_distinct((*(self._file.budgets if self._file else ()), *self._own_budgets))
        budgets = tuple(placed(budget, self.prices) for budget in listed)
        #: What turns pass before they are sent; `gate.ledger` is that of the hard budgets.
        self.gate = (PassThroughGate if self._is_disabled else Gate)(
            (budget for budget in budgets if budget.mode == "hard"),
            open_ledger,
            resolved=self.resolved,
            for_model=self.for_model,
            capped=CappedTurns(self.prices, clock, self.publish_for_agent),
            clock=clock,
        )
        self._watcher = BudgetWatcher(
            (budget for budget in budgets if budget.mode != "hard"), is_logged=self._writes_a_log, prices=self.prices
        )
        #: How the budgets stand, and changing them while agents run.
        self.budgets = RuntimeBudgets(
            self.gate,
            self._watcher,
            clock=clock,
            prices=self.prices,
            watch=self._watch,
            record=self._record_budgets_again,
        )
        self.plugins = PluginRack(self, idle=IDLE_PLUGINS if self._is_disabled else ())
        self._entry_points: dict[str, EntryPoint] = {}
        self._executions = Executions(self, cancel_grace_s=self.config.cancel_grace_s)
        self._lifecycle: AbstractAsyncContextManager[None] | None = None
        self._opened_in: anyio.TaskInfo | None = None
        self._is_forked = False
        tell_children(self)
        self._foreign_turns = 0
        self._events_lost = 0
        self._register_own_plugins()
        for plugin in plugins:
            self.register_plugin(plugin)

    def _register_own_plugins(self) -> None:
        if self.config.log:
            self.plugins.register(self.log)
        self.plugins.register(self.usage)
        if self.config.runaway != "off":
            self.plugins.register(
                RunawayBreaker(
                    self.config.runaway_rules,
                    action=self.config.runaway,
                    throttle_s=self.config.runaway_throttle_s,
                )
            )
        if self._watcher.accounts.budgets:
            self.plugins.register(self._watcher)

    async def _watch(self) -> None:
        """Attach the watcher of budgets that are not hard, where there were none. Raises PluginError."""
        attached = next((attached for attached in self.plugins if attached.plugin is self._watcher), None)
        if attached is None:
            attached = self.plugins.register(self._watcher)
            if self._lifecycle is not None:
                await attached.wait_ready()
        elif attached.error is not None:
            raise attached.error

    def _writes_a_log(self) -> bool:
        return any(isinstance(attached.plugin, LogWriter) and not attached.is_idle for attached in self.plugins)

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

        Raises PluginError for what is no plugin. `await runtime.register_plugin(p).wait_ready()` raises it, too, when
        the plugin fails to start; otherwise that is logged and kept in `runtime.plugins[name].error`.
        """
        candidate = load_plugin_class(plugin)() if isinstance(plugin, str) else plugin
        return self.plugins.register(require_plugin(candidate))

    def add_gate_check(self, check: GateCheck) -> Callable[[], None]:
        """Await `check(request)` before each turn is sent: it may wait, or refuse by raising."""
        return self.gate.add_check(check)

    # -- lifecycle ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._lifecycle is not None:
            where = "in the parent process" if self._is_forked else "already"
            raise HiveCostError(f"this runtime is running {where}; make a second AgentRuntime for another loop")
        self._lifecycle, self._opened_in = self._run(), anyio.get_current_task()
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
        self.bus.refuse_in_handler("leaving the runtime")
        self._executions.refuse_inside("leaving the runtime")
        if self._lifecycle is not None and self._opened_in != anyio.get_current_task():
            raise HiveCostError(
                "this runtime was opened in another task, and only that can close it: write `async with runtime:`, or "
                "use hc.run_in_background(...), which is opened and closed anywhere"
            )
        lifecycle, self._lifecycle = self._lifecycle, None
        return None if lifecycle is None else await lifecycle.__aexit__(kind, error, trace)

    def _forked(self) -> None:
        """This process is a child of the one where it runs."""
        self._is_forked = self._executions.disown() or self._lifecycle is not None

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        """Open until the block ends; then wait for running executions, drain the bus and stop the plugins."""
        if self._is_disabled:
            tell_disabled()
        failure: BaseException | None = None
        closing = Closing(self.config.close_timeout_s)
        with self._outside() as termination:
            async with (
                self._living(),
                self._open_bus(closing),
                self.gate.open(
                    self.base_path,
                    prices=self.prices,
                    publish=self.publish_for_agent,
                    closing=closing,
                ),
                anyio.create_task_group() as plugin_tasks,
            ):
                try:
                    await self.plugins.start(plugin_tasks)
                    await self._record_budgets()
                    failure = self._unwatched_budgets()
                    if failure is None:
                        async with self._executions.hosted():
                            if termination.received:
                                self._executions.terminate()
                            yield
                finally:
                    with anyio.CancelScope(shield=True):
                        await self._wind_down(plugin_tasks, closing)
        if failure is None:
            failure, self._executions.failure = self._executions.failure, None
        if failure is not None:
            raise failure
        if termination.received:
            pass_on()

    @asynccontextmanager
    async def _living(self) -> AsyncIterator[None]:
        """Those who read the log can tell that it runs."""
        if self._is_disabled or not self.config.log:
            yield
            return
        async with self._backend.living() as self._executions.runtime_id:
            yield

    @contextmanager
    def _outside(self) -> Iterator[Termination]:
        """What is different outside of the runtime while it runs."""
        subscriber_failed.connect(self._on_subscriber_failed, sender=self.bus)
        try:
            with (
                switch_interval(self.config.switch_interval_s),
                ending_on_sigterm(self.config.handle_signals, self._executions.terminate) as termination,
            ):
                yield termination
        finally:
            # From this sender alone, blinker would keep the receiver, and with it the runtime, for ever.
            subscriber_failed.disconnect(self._on_subscriber_failed)

    def _unwatched_budgets(self) -> PluginError | None:
        """Budgets that are not watched would be none: their watcher is the one plugin that must start."""
        watcher = next((attached for attached in self.plugins if attached.plugin.name == BudgetWatcher.name), None)
        return None if watcher is None else watcher.error

    async def _record_budgets_again(self) -> None:
        """Some of them changed; while the runtime does not run, its next start says so."""
        if self._lifecycle is not None:
            await self._record_budgets()

    async def _record_budgets(self) -> None:
        """Keep what the budgets are beside what is spent on them, for those who only look at the log."""
        budgets = (*self.gate.budgets, *self._watcher.accounts.budgets.values())
        if not budgets or not self._writes_a_log() or self.log.error is not None:
            return
        try:
            await self._backend.writer(clock=self.clock).define(budgets, self.clock.now_ns())
        except StoreError as error:
            _log.error("`hivecost budget status` will not know these budgets: %s", error)

    async def _wind_down(self, plugin_tasks: anyio.abc.TaskGroup, closing: Closing) -> None:
        with anyio.move_on_after(closing.left_s(at_least_s=0)):
            await self.bus.drain()
        await self.plugins.stop(closing)
        plugin_tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _open_bus(self, closing: Closing) -> AsyncIterator[None]:
        async with self.bus:
            try:
                yield
            finally:
                await self.bus.aclose(timeout_s=closing.left_s(at_least_s=_LAST_EVENTS_S))

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

        Raises UnknownEntryPointError, ConfigError for attribution that cannot be used, ExecutionCancelledError inside
        an execution that was cancelled or has ended, in tasks that it left running, too, and HiveCostError when the
        runtime does not run, its block has raised, it closes and this is no execution that still runs, or executions
        are nested too deep.
        """
        self._executions.refuse_ended()  # here, because another loop does not know who asks
        entry = self._entry_point(entry_point)
        cap = self._cap(f"cap of {entry.name}", "trigger", limit, mode)
        given = {"session_id": session_id, "user_id": user_id, "org_id": org_id, "task_id": task_id}

        async def start() -> Execution:
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
        """An execution without an entry point: the code in the block is the agent.

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
        """The result of an execution that runs or is among the last 1,000 that ended.

        Raises LookupError for others, and ReentrancyError inside that execution itself, in tasks and threads of it too.
        """
        return await self._executions.run_at_home(partial(self._executions.wait, execution_id))

    def _cap(self, name: str, method: str, limit: Limit | None, mode: CapMode) -> Cap | None:
        if limit is None and mode != "hard":
            raise ConfigError(f"{method}(limit=…)", f"the limit that mode={mode!r} is about")
        return None if limit is None else self.gate.cap(name, limit, mode=mode)

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
        """The same without await, from anywhere: threads and signal handlers included."""
        return self._executions.cancel(execution_id, reason, after_turn=after_turn)

    def _on_subscriber_failed(self, sender: Any, *, event: Event | list[Event], error: Exception, **_: Any) -> None:
        """A BudgetExceededError that a handler raises cancels the execution it is about."""
        if self._is_disabled or not isinstance(error, BudgetExceededError):
            return
        events = event if isinstance(event, list) else [event]
        ids = {error.execution_id} if error.execution_id else {one.execution_id for one in events}
        if len(ids) == 1:
            self._executions.cancel(ids.pop(), error)
        else:
            _log.error(
                "%r names no execution_id, and its batch is of %d executions: none is cancelled", error, len(ids)
            )

    async def reload_config(self) -> ConfigReload:
        """Read the configuration file again: its budgets and their limits are in force now, and what was spent stays.

        What it does not name any more is retired, as `budgets.configure` does. Everything else that changed is in the
        answer's `needs_restart`. A file that cannot be used changes nothing. Raises ConfigError, and
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

    # -- for executions and plugins ----------------------------------------------------------------------------

    def publish_for_agent(self, event: Event) -> None:
        """Publish without waiting, from any thread; a loss is counted and logged, never raised into the agent."""
        try:
            self.bus.publish_nowait(event)
        except BusClosedError as error:
            self._events_lost += 1
            why = error if self._is_forked else "it came after the runtime closed"
            _log.error("%s of execution %s is lost: %s", event.type, event.execution_id, why)

    def resolved(self, request: TurnRequest) -> TurnRequest:
        """The request with the model and the provider as the price book understands them."""
        if request.is_charge:
            return request
        provider, model = self.prices.resolve(request.model, request.provider)
        if (provider, model) == (request.resolved_provider, request.resolved_model):
            return request
        return replace(request, resolved_provider=provider, resolved_model=model)

    def for_model(self, request: TurnRequest, model: str) -> TurnRequest:
        """The request as another model would be asked, at the host that was named for it if that has the model."""
        provider, model = self.prices.beside(request.model, model, request.provider)
        return self.resolved(request.for_model(model, provider))

    def end_executions(self, why: str) -> None:
        """Cancel what runs, and start nothing any more. On the runtime's loop."""
        self._executions.end(why)

    def collect_turns(self) -> None:
        """Count the turns that other threads settled so far."""
        self.bus.collect()

    def _admit(self, event: Event) -> Event:
        """Price a turn that came without a cost, and count it with its execution."""
        if not isinstance(event, LLMTurnComplete):
            return with_plain_names(event)
        event = admit_turn(event, self.prices)
        execution = self._executions.running.get(event.execution_id)
        if execution is None:
            self._foreign_turns += 1
            if not self._executions.knows(event.execution_id):
                self.gate.tell_unasked(event)
        else:
            execution.count(event)
        return event

    async def flush(self) -> None:
        """Return when everything published so far is in the runtime log. Raises StoreError if it cannot be written."""
        await self._executions.run_at_home(self.log.flush)

    def statistics(self) -> RuntimeStatistics:
        """Counts of executions, and of what was out of the ordinary; `bus.statistics()` has the queues."""
        return RuntimeStatistics(
            running=len(self._executions.running),
            started=self._executions.started,
            foreign_turns=self._foreign_turns,
            events_lost=self._events_lost,
        )
