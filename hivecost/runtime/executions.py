"""The executions of one runtime, from trigger to EXECUTION_COMPLETED."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.abc

from hivecost.attribution import DEPTH_MAX, Attribution
from hivecost.clock import Clock
from hivecost.errors import HiveCostError, ReentrancyError
from hivecost.events import ExecutionCompleted, ExecutionStarted, ExecutionStatus, new_execution_id, new_session_id
from hivecost.ledger import Lineage
from hivecost.ledger.caps import Cap
from hivecost.loops import Loop, current_loop, run_on, wait_on
from hivecost.pricing import PriceBook
from hivecost.runtime.cancelling import Cancelling
from hivecost.runtime.endings import ending, leaves_runtime
from hivecost.runtime.entry_point import THREADS_MAX, EntryPoint
from hivecost.runtime.gate import Gate
from hivecost.runtime.intake import Intake
from hivecost.runtime.registry import Registry
from hivecost.runtime.result import ExecutionResult, described, without_traceback
from hivecost.runtime.running_execution import PARENTS, Body, RunningExecution, running_here
from hivecost.runtime.specs import GraphSpec

if TYPE_CHECKING:
    from hivecost.runtime.summaries import Summarizer

T = TypeVar("T")

_log = logging.getLogger("hivecost.runtime")


class Executions:
    """Starts executions, of entry points in the runtime's task group, and sees each of them to its one end."""

    def __init__(
        self,
        registry: Registry,
        intake: Intake,
        gate: Gate,
        prices: PriceBook,
        clock: Clock,
        *,
        sender: object,
        cancel_grace_s: float,
        graph: GraphSpec | None,
    ) -> None:
        """`sender` is who the signals come from; `graph` says what the loops of nodes obey."""
        self.gate, self.prices, self.clock, self.graph = gate, prices, clock, graph
        self.publish = intake.publish
        #: Who writes summaries of conversations.
        self.summarizer: Summarizer | None = None
        self.running = registry.running
        #: By which readers of the log can tell whether the process lives; "": they cannot.
        self.runtime_id = ""
        #: What the runtime raises when it has closed: what an agent raised to leave the program, such as SystemExit,
        #: or else what its block raised.
        self.failure: BaseException | None = None
        self._registry = registry
        self._intake = intake
        self._cancelling = Cancelling(clock, sender, cancel_grace_s)
        self._group: anyio.abc.TaskGroup | None = None
        self._loop: Loop | None = None
        self._threads: anyio.CapacityLimiter | None = None
        self._idle = anyio.Event()
        self._is_forked = False
        self._lineage = Lineage()
        self._closing = False  # only running executions may start others
        self._ending = ""  # why nothing may be started any more

    def terminate(self) -> None:
        """Cancel what runs, and the runtime's block, from anywhere."""
        if self._loop is not None:
            self._loop.call_threadsafe(self._terminate)

    def _terminate(self) -> None:
        if self._group is not None:
            self.end("the process was asked to end (SIGTERM)")
            self._group.cancel_scope.cancel()

    @asynccontextmanager
    async def hosted(self) -> AsyncIterator[None]:
        """Let executions run until the block ends, then wait for those that do, and for what they start themselves.

        If the block raised they are cancelled, and nothing is started any more. What it raised is kept in `failure`.
        """
        async with anyio.create_task_group() as group:
            self._open(group, current_loop())
            try:
                yield
            except (anyio.get_cancelled_exc_class(), GeneratorExit):
                self.end("the block of the runtime was cancelled")
                raise
            except BaseException as error:  # SystemExit too is kept for later: a task group would wrap it
                if self.failure is None:
                    self.failure = error
                self.end("the block of the runtime raised")
            finally:
                with anyio.CancelScope(shield=True):
                    await self._close()

    def _open(self, group: anyio.abc.TaskGroup, loop: Loop) -> None:
        self._group, self._loop = group, loop
        self._threads = anyio.CapacityLimiter(THREADS_MAX)
        self.failure = None
        self._closing, self._ending = False, ""

    def end(self, why: str) -> None:
        """Start nothing any more, and cancel what runs."""
        self._ending = why
        self.cancel_all(why)

    async def _close(self) -> None:
        """Return when nothing runs any more. Meanwhile only what runs can start others, and nothing can after that."""
        self._closing = True
        while self.running:
            self._idle = anyio.Event()
            await self._idle.wait()
        self._group = None

    def disown(self) -> bool:
        """Disown, in a forked child, what runs in the parent. Return False when nothing could run there."""
        if self._group is not None or self.running:
            self._is_forked = True
            self._group = self._loop = None
            for execution in self.running.values():
                execution.is_forked = True
        return self._is_forked

    def _require_own_process(self) -> None:
        if self._is_forked:
            raise HiveCostError(PARENTS)

    def trigger(
        self,
        entry: EntryPoint,
        value: Any,
        *,
        given: Mapping[str, str | None],
        tags: Mapping[str, str],
        cap: Cap | None,
    ) -> RunningExecution:
        """Start an execution of an entry point, in a task of its own."""
        group, loop = self._require_open()
        body = Body(loop, anyio.CancelScope())
        execution = self.start(
            body, entry_point=entry.name, given={**given, "agent_id": entry.agent_id}, tags=tags, cap=cap
        )
        group.start_soon(self._run, execution, entry, value, name=f"hivecost {entry.name}")
        return execution

    def start(
        self,
        body: Body,
        *,
        given: Mapping[str, str | None],
        tags: Mapping[str, str],
        cap: Cap | None,
        entry_point: str = "",
    ) -> RunningExecution:
        """Begin the execution of a body, with what the one has that this is called in, where nothing is given."""
        _, loop = self._require_open()
        parent = self._parent()
        if parent is None and given["session_id"] is None:
            given = {**given, "session_id": new_session_id(self.clock.now_ns())}
        whose_parent = None if parent is None else parent.attribution
        attribution = Attribution.begin(new_execution_id(), whose_parent, given, tags)
        execution = RunningExecution(self, loop, entry_point, attribution, body=body, parent=parent)
        self._lineage.started(attribution, attribution.parent_execution_id)
        execution.caps = (*(() if cap is None else (cap,)), *(() if parent is None else parent.caps_here()))
        self._registry.add(execution)
        if parent is not None:
            parent.children.add(execution)
        started = ExecutionStarted(
            entry_point=entry_point,
            runtime_id=self.runtime_id,
            parent_execution_id=execution.attribution.parent_execution_id,
            **execution.attributed(),
        )
        execution.publish_as_is(started)
        return execution

    def refuse_ended(self) -> None:
        """Raise ExecutionCancelledError in what an execution left running when it ended."""
        here = self._here()
        if here is not None and here.result is not None:
            here.refuse_when_over()

    def _parent(self) -> RunningExecution | None:
        """Return the execution that starts another one now. Raise for one that is over, or too deep inside others."""
        parent = self._here()
        if parent is None:
            return None
        parent.refuse_when_over()
        if len(parent.attribution.ancestors) + 1 >= DEPTH_MAX:
            raise HiveCostError(f"executions start one another {DEPTH_MAX} deep: is that a loop?")
        return parent

    def _require_open(self) -> tuple[anyio.abc.TaskGroup, Loop]:
        self._require_own_process()
        if self._group is None or self._loop is None:
            raise HiveCostError("the runtime is not running; trigger inside `async with runtime:`")
        if self._ending:
            raise HiveCostError(f"the runtime is ending, because {self._ending}; nothing is started any more")
        if self._closing and self._current() is None:
            raise HiveCostError("the runtime is closing; only executions that still run may start others")
        return self._group, self._loop

    def _here(self) -> RunningExecution | None:
        """Return the execution of this runtime that the calling code belongs to, also when it is over."""
        here = running_here()
        return here if here is not None and here.is_of(self) else None

    def _current(self) -> RunningExecution | None:
        """Return the execution of this runtime that the calling code belongs to, while it runs; else None."""
        here = self._here()
        return here if here is not None and self.running.get(here.execution_id) is here else None

    async def _run(self, execution: RunningExecution, entry: EntryPoint, value: Any) -> None:
        assert self._group is not None  # noqa: S101  # set before anything can be started
        assert self._threads is not None  # noqa: S101  # the same
        body = execution.body
        try:
            with body.running(execution):
                execution.refuse_when_over()
                body.output = await entry.run(execution, value, self._threads)
        except BaseException as raised:
            # The edge: an agent's error is its result. Nor is a cancellation raised again: the task ends anyway, and
            # its group would end with it.
            if leaves_runtime(raised):  # as SystemExit: by the door
                self.failure = raised
                self._ending = f"an agent raised {type(raised).__name__}"
                self._group.cancel_scope.cancel()
        finally:
            self._finish(execution)

    async def finish(self, execution: RunningExecution) -> None:
        """Bring about the end of an execution whose body has ended, from whichever loop. Nothing cancels that."""
        if self._loop is None or self._loop.is_here():
            self._finish(execution)
            return
        with _unless_gone(execution), anyio.CancelScope(shield=True):
            await run_on(self._loop, partial(self._finish_at_home, execution), withdraws=False)

    def finish_from_thread(self, execution: RunningExecution) -> None:
        """Do the same from a thread, and wait for it."""
        if self._loop is None or self._loop.is_here():
            self._finish(execution)
            return
        with _unless_gone(execution):
            wait_on(self._loop, partial(self._finish_at_home, execution), withdraws=False)

    async def _finish_at_home(self, execution: RunningExecution) -> None:
        self._finish(execution)

    def _finish(self, execution: RunningExecution) -> None:
        """End the execution, in the one place where any does: exactly one EXECUTION_COMPLETED, whatever happened."""
        self._intake.collect()
        status, reason, stop_reason = ending(execution)
        duration_ms = round(1_000 * (self.clock.monotonic_s() - execution.started_s))
        totals = execution.totals
        unknown_calls = totals.unpriced_calls + totals.invalid_calls
        result = ExecutionResult(
            execution_id=execution.execution_id,
            session_id=execution.attribution.session_id,
            status=status,
            output=execution.body.output,
            error=reason,
            stop_reason=stop_reason,
            statistics=execution.breakdown.statistics(totals),
            refusals=execution.refusals,
            metrics={
                **totals.as_metrics(),
                **_tree_metrics(execution),
                "unpriced_calls": unknown_calls,
                "duration_ms": duration_ms,
            },
        )
        execution.publish_as_is(
            ExecutionCompleted(
                status=status,
                entry_point=execution.entry_point,
                error="" if reason is None else described(reason),
                stop_reason=stop_reason,
                duration_ms=duration_ms,
                llm_calls=totals.llm_calls,
                unpriced_calls=unknown_calls,
                input_tokens=totals.input_tokens,
                output_tokens=totals.output_tokens,
                cost_nanousd=totals.cost_nanousd,
                notional_nanousd=totals.notional_nanousd,
                parent_execution_id=execution.attribution.parent_execution_id,
                **execution.attributed(),
            )
        )
        if status is ExecutionStatus.CANCELLED and not execution.is_cancel_announced:
            self._cancelling.announce(execution, reason)  # a turn was refused, and nobody asked it to stop before
        self._leave(execution, status, reason)
        kept = without_traceback(result)
        self._registry.end(kept)
        execution.result = result if execution.waiters else kept
        execution.forget_loops()
        execution.body.error = None  # its traceback would keep all that the agent had
        execution.finished.set()
        if not self.running:
            self._idle.set()

    def _leave(self, execution: RunningExecution, status: ExecutionStatus, why: BaseException | None) -> None:
        """End what a cancelled one started, and forget whose accounts nothing counts on any more."""
        if execution.parent is not None:
            execution.parent.children.discard(execution)
        if status is ExecutionStatus.CANCELLED and self._loop is not None:
            self._cancelling.cancel_children(execution, self._loop, why, after_turn=False)
        for execution_id in self._lineage.ended(execution.execution_id):
            self.gate.forget_execution(execution_id)

    async def wait(self, execution_id: str) -> ExecutionResult:
        """Wait for the execution to end, and return its result; at once when it has ended.

        Raise LookupError when nobody knows it (any more), and ReentrancyError in that execution itself.
        """
        execution = self.running.get(execution_id)
        if execution is not None:
            self._require_own_process()
            if execution is self._current():
                error = ReentrancyError(f"execution {execution_id} would wait for itself")
                _log.error("%r", error)  # raised into the agent, it may end in a result that nobody looks at
                raise error
            return await self._wait_for(execution)
        return self._registry.result(execution_id)

    async def _wait_for(self, execution: RunningExecution) -> ExecutionResult:
        """Return the result with the error as it was raised; once nobody waits any more, its traceback is dropped."""
        execution.waiters += 1
        try:
            await execution.finished.wait()
        finally:
            execution.waiters -= 1
            result = execution.result
            if result is not None and not execution.waiters:
                execution.result = without_traceback(result)
        assert result is not None  # noqa: S101  # set before `finished`
        return result

    def refuse_inside(self, what: str) -> None:
        """Raise ReentrancyError in an execution that runs here, which `what` would wait for."""
        if self._current() is not None:
            raise ReentrancyError(f"{what} inside an execution would wait for that execution itself")

    # -- cancelling --------------------------------------------------------------------------------------------

    def cancel(self, execution_id: str, reason: str | BaseException | None, *, after_turn: bool = False) -> bool:
        """Ask an execution to stop, from any thread; False when it does not run. See `Cancelling.cancel`."""
        self._require_own_process()
        execution, loop = self.running.get(execution_id), self._loop
        if execution is None or loop is None:
            return False
        self._cancelling.cancel(execution, loop, reason, after_turn=after_turn)
        return True

    async def run_at_home(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await the function on the runtime's loop, from whichever loop this is called on."""
        here, loop = self._current(), self._loop
        if here is not None:
            return await here.run_at_home(function)
        return await (function() if loop is None or loop.is_here() else run_on(loop, function))

    def wait_at_home(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the same from a thread, and wait for it. Raise HiveCostError on the loop itself."""
        _, loop = self._require_open()
        here = self._current()
        if loop.is_here():
            raise HiveCostError("this code runs on the event loop: write `async with runtime.execution(...)`")
        return wait_on(loop, function) if here is None else here.call_from_thread(function)

    def cancel_all(self, reason: str) -> None:
        """Cancel every execution that runs."""
        for execution_id in list(self.running):
            self.cancel(execution_id, reason)


@contextmanager
def _unless_gone(execution: RunningExecution) -> Iterator[None]:
    """Say that nobody is left to hear of the end of an execution, when the runtime's loop is no more."""
    try:
        yield
    except HiveCostError as error:
        _log.error("the end of execution %s is lost: %s", execution.execution_id, error)


def _tree_metrics(execution: RunningExecution) -> dict[str, Any]:
    """Return the execution's figures and those of all executions inside of it, as far as they came."""
    totals = execution.tree_totals
    metrics = {
        "tree_cost_usd": float(totals.cost_usd),
        "tree_total_tokens": totals.total_tokens,
        "tree_llm_calls": totals.llm_calls,
    }
    return metrics | ({"tree_notional_usd": float(totals.notional_usd)} if totals.notional_nanousd else {})
