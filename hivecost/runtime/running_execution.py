"""A running execution, as the runtime sees it: what its turns ask, what they add up to, and how it is let go."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from weakref import ReferenceType

import anyio
import anyio.from_thread
from msgspec.structs import replace

from hivecost.attribution import Attribution, attribution_fields
from hivecost.errors import BudgetExceededError, ExecutionCancelledError, HiveCostError
from hivecost.events import ContextCompacted, Event, LLMTurnComplete, Totals
from hivecost.forking import end_child
from hivecost.gate_contract import TurnRequest
from hivecost.ledger.caps import Cap
from hivecost.loops import Loop, Task, run_on, wait_on
from hivecost.runtime.admission import Admission
from hivecost.runtime.breakdown import Breakdown, Tally
from hivecost.runtime.hosts import ExecutionHost
from hivecost.runtime.loop_config import LoopConfig, LoopRules
from hivecost.runtime.node_loops import NodeLoop
from hivecost.runtime.result import ExecutionResult
from hivecost.runtime.specs import GraphSpec

if TYPE_CHECKING:
    from hivecost.compaction import Summary
    from hivecost.runtime.context_keeper import ContextKeeper, SummaryTask

T = TypeVar("T")

#: Why a forked child gets nothing.
PARENTS: Final = "this runtime belongs to the parent process: in a forked child, make an AgentRuntime of its own"


#: Of nodes that are told what they obey where they are entered.
_NO_GRAPH: Final = GraphSpec(id="none")


class NodeHere(NamedTuple):
    """The node that the code is in."""

    node_id: str
    agent_id: str | None
    #: Its own and those of the nodes around it, the nearest first.
    caps: tuple[Cap, ...]
    #: What is said of its loop here, before what its graph says.
    loop_config: LoopConfig | None


_running_here: ContextVar[RunningExecution | None] = ContextVar("hivecost_execution", default=None)
_node_here: ContextVar[NodeHere | None] = ContextVar("hivecost_node", default=None)


def running_here() -> RunningExecution | None:
    """Return the execution that the calling code belongs to, also when it is over."""
    return _running_here.get()


class Body:
    """The code of an execution: what cancels it, and how it ended."""

    def __init__(self, loop: Loop | None = None, scope: anyio.CancelScope | None = None) -> None:
        """`scope` is of `loop`, which runs the code; without them the code runs in a thread."""
        self.output: Any = None
        self.error: BaseException | None = None
        #: It came to its end, and nothing was raised or cancelled.
        self.is_complete = False
        #: It was cancelled before it ended.
        self.is_stopped = False
        self._loop = loop
        self._scope = scope

    def stop(self) -> None:
        """Cancel what it awaits; a thread cannot be cancelled. From any loop."""
        self.is_stopped = True
        if self._loop is None or self._scope is None:
            return
        if self._loop.is_here():
            self._scope.cancel()
        else:
            with suppress(RuntimeError):  # the loop has ended, and the code with it
                self._loop.call_threadsafe(self._scope.cancel)

    @contextmanager
    def running(self, execution: RunningExecution) -> Iterator[None]:
        """Wrap the code of the execution, in the place where it runs."""
        try:
            with execution.entered(), self._scope or nullcontext(), execution.ending_forked_children():
                yield
                self.is_complete = True
        except BaseException as error:
            self.error = error
            raise


class RunningExecution:
    """An execution from its start to its end, behind the Execution that its agent sees. It is a TurnHost."""

    def __init__(
        self,
        host: ExecutionHost,
        loop: Loop,
        entry_point: str,
        attribution: Attribution,
        *,
        body: Body,
        parent: RunningExecution | None = None,
    ) -> None:
        #: "" where it has none.
        self.entry_point = entry_point
        #: Whose spending this is.
        self.attribution = attribution
        #: The execution inside of which it was started.
        self.parent = parent
        #: What the agent sees of it, as long as anybody has that.
        self.face: ReferenceType[Any] | None = None
        #: The caps of all its turns, the nearest first.
        self.caps: tuple[Cap, ...] = ()
        #: Those that it started and that run.
        self.children: set[RunningExecution] = set()
        self.breakdown = Breakdown()
        self._own, self._below = Tally(self.breakdown), Tally()
        #: How often a budget refused one of its turns.
        self.refusals = 0
        self.clock = host.clock
        self.prices = host.prices
        self.gate = host.gate
        self.started_s = self.clock.monotonic_s()
        self.result: ExecutionResult | None = None
        self.finished = anyio.Event()
        #: How many tasks wait for the result.
        self.waiters = 0
        #: Made before the agent starts, so that it can be stopped before, too.
        self.body = body
        self.cancel_reason: BaseException | None = None
        #: Its next await is cancelled; without it, only its next turn is refused.
        self.is_stopped = False
        #: The cancellation hook was told.
        self.is_cancel_announced = False
        #: The task that reports it when it ignores its cancellation.
        self.watchdog: Task | None = None
        #: This process is a child that was forked while it ran: it goes on in the parent alone.
        self.is_forked = False
        #: What each of its turns asks for, but for what is asked.
        self._request = TurnRequest(model="", ancestors=attribution.ancestors, **attribution_fields(attribution))
        self._host = host
        self._loop = loop
        #: The caps of the nodes that the agent is in, wherever.
        self._open_caps: list[Cap] = []
        #: Those that were asked for, by node and by what was said of it there.
        self._loops: dict[tuple[str, LoopConfig | None], NodeLoop] = {}
        #: Turns that wait at the gate.
        self._waiting: set[anyio.CancelScope] = set()

    @property
    def execution_id(self) -> str:
        """The id of the execution, by which everything else refers to it."""
        return self.attribution.execution_id

    # -- where the agent is ------------------------------------------------------------------------------------

    def caps_here(self) -> tuple[Cap, ...]:
        """Return the caps that bind this point of the agent: those of the nodes that it is in, and its own.

        A thread that the agent started by itself does not know where it is: all that are open bind it.
        """
        if self._open_caps and _running_here.get() is not self:
            return (*self._open_caps, *self.caps)
        node = _node_here.get()
        return self.caps if node is None else (*node.caps, *self.caps)

    def request_here(self) -> TurnRequest:
        """Return a request with the attribution of this point of the agent; what is asked for is still open."""
        node = _node_here.get()
        if node is None:
            return self._request
        return replace(self._request, node_id=node.node_id, agent_id=node.agent_id or self.attribution.agent_id)

    def enter_node(
        self, node_id: str, agent_id: str | None, cap: Cap | None, loop_config: LoopConfig | None
    ) -> Token[NodeHere | None]:
        """Enter this node, in which the agent is until `leave_node`."""
        around = _node_here.get()
        caps = () if cap is None else (cap,)
        self._open_caps += caps
        caps = caps if around is None else (*caps, *around.caps)
        return _node_here.set(NodeHere(node_id, agent_id, caps, loop_config))

    def loop_here(self) -> NodeLoop | None:
        """Return the loop of the agent's node, or its own outside of nodes; None where nothing configures one."""
        node = _node_here.get()
        own = None if node is None else node.loop_config
        if (own is None and self._host.graph is None) or self.gate.passes_all:
            return None
        node_id = "" if node is None else node.node_id
        loop = self._loops.get((node_id, own))
        if loop is None:
            rules = (self._host.graph or _NO_GRAPH).rules(node_id, own)
            loop = self._loops[node_id, own] = NodeLoop(node_id, rules, self._keeper(rules))
        return loop

    def forget_loops(self) -> None:
        """Forget the loops of an execution that is over: they refer to it, and it to them."""
        self._loops.clear()

    def _keeper(self, rules: LoopRules) -> ContextKeeper:
        # Only where a loop is configured: compaction takes as long to import as the rest of the runtime.
        from hivecost.runtime.context_keeper import ContextKeeper  # noqa: PLC0415  # as said above
        from hivecost.runtime.summaries import model_for_summaries, summarize  # noqa: PLC0415  # the same

        async def write(task: SummaryTask) -> Summary:
            assert self._host.summarizer is not None  # noqa: S101  # else nobody is asked
            model = model_for_summaries(rules.summary_model, self.prices, task)
            return await summarize(
                self._host.summarizer,
                task,
                host=self,
                whose=self.request_here(),
                caps=self.caps_here(),
                model=model,
            )

        return ContextKeeper(
            rules,
            prices=self.prices,
            clock=self.clock,
            publish=lambda **fields: self.publish(ContextCompacted(**fields)),
            summarize=None if self._host.summarizer is None else write,
        )

    def leave_node(self, entered: Token[NodeHere | None], cap: Cap | None) -> None:
        """Leave the node, and be where the agent was before."""
        _node_here.reset(entered)
        if cap is not None:
            self._open_caps.remove(cap)

    def enter_context(self) -> tuple[Token[RunningExecution | None], Token[NodeHere | None]]:
        """Make this execution the current one, in none of its nodes."""
        return _running_here.set(self), _node_here.set(None)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Enter the execution and the node until the block ends."""
        execution, node = self.enter_context()
        try:
            yield
        finally:
            with suppress(ValueError):  # the block is left in another context, which knows of neither
                _running_here.reset(execution)
                _node_here.reset(node)

    # -- its turns ---------------------------------------------------------------------------------------------

    @property
    def totals(self) -> Totals:
        """The sums of its own turns."""
        return self._own.totals

    @property
    def tree_totals(self) -> Totals:
        """The sums of its turns and of those of all executions inside of it."""
        return self._own.totals + self._below.totals

    def count(self, turn: LLMTurnComplete) -> None:
        """Add one of its turns to the totals."""
        self._own.add(turn)
        if self.parent is not None:
            self.parent.count_below(turn)

    def count_below(self, turn: LLMTurnComplete) -> None:
        """Add a turn of an execution inside of it."""
        self._below.add(turn)
        if self.parent is not None:
            self.parent.count_below(turn)

    async def pass_gate(self, request: TurnRequest, caps: Sequence[Cap]) -> Admission:
        """Ask the gate to let a turn be sent; on the runtime's loop."""
        self.refuse_when_over()
        await self._loop.turn()  # an agent that never waits would keep handlers from stopping it
        self.refuse_when_over()
        admission = self.gate.admit_nowait(request, caps)
        self._release_when_over(admission)  # what the gate looked at may have cancelled it
        return admission or await self._wait_at_gate(request, caps)

    async def _wait_at_gate(self, request: TurnRequest, caps: Sequence[Cap]) -> Admission:
        """Wait at the gate in a scope that cancelling the execution cancels, whichever task or thread waits."""
        admission: Admission | None = None
        with anyio.CancelScope() as waiting:
            self._waiting.add(waiting)
            try:
                admission = await self.gate.admit(request, caps)
            except BudgetExceededError:
                self.refusals += 1
                raise
            finally:
                self._waiting.discard(waiting)
        self._release_when_over(admission)
        assert admission is not None  # noqa: S101  # only a cancelled execution lets go of who waits
        return admission

    def _release_when_over(self, admission: Admission | None) -> None:
        """Raise, as `refuse_when_over` does, with nothing held."""
        try:
            self.refuse_when_over()
        except ExecutionCancelledError:
            if admission is not None:
                self.gate.release(admission)
            raise

    async def extend(self, admission: Admission, input_tokens: int, output_tokens: int) -> None:
        """Hold what so many tokens can cost, from any loop. Raise BudgetExceededError and LedgerUnavailableError."""
        try:
            await self.run_at_home(lambda: self.gate.extend(admission, input_tokens, output_tokens))
        except BudgetExceededError:
            self.refusals += 1
            raise

    def let_go_of_waiters(self) -> None:
        """Refuse whoever waits at the gate for this execution, which was cancelled. Loop thread only."""
        for waiting in list(self._waiting):
            waiting.cancel()

    def publish(self, event: Event) -> None:
        """Publish without waiting, from any thread, with what the event leaves empty of whose it is."""
        who = attribution_fields(self.attribution)
        node = _node_here.get()
        if node is not None and _running_here.get() is self:
            who |= {"node_id": node.node_id, "agent_id": node.agent_id or self.attribution.agent_id}
        missing = {name: value for name, value in who.items() if value and not getattr(event, name)}
        event = replace(event, **missing) if missing else event
        if isinstance(event, LLMTurnComplete):
            self.gate.tell_unasked(event)
        self.publish_as_is(event)

    def publish_as_is(self, event: Event) -> None:
        """Publish without waiting, from any thread, an event that says whose it is; a loss is counted, never raised."""
        self._host.publish(event)

    def attributed(self, **fields: Any) -> dict[str, Any]:
        """Return this execution's attribution as the fields of an event."""
        return {"timestamp_ns": self.clock.now_ns(), **attribution_fields(self.attribution), **fields}

    # -- loops, threads and processes --------------------------------------------------------------------------

    @contextmanager
    def ending_forked_children(self) -> Iterator[None]:
        """End a child that was forked inside the agent where the agent ends: nobody is there to return to."""
        try:
            yield
        except BaseException as error:
            if self.is_forked:
                end_child(error)
            raise
        if self.is_forked:
            end_child(None)

    def is_of(self, host: ExecutionHost) -> bool:
        """Tell whether this runtime started the execution."""
        return self._host is host

    def refuse_when_over(self) -> None:
        """Raise ExecutionCancelledError once it was cancelled or has ended."""
        if self.is_forked:
            raise HiveCostError(PARENTS)
        if self.cancel_reason is not None:
            raise ExecutionCancelledError(f"execution {self.execution_id} was cancelled: {self.cancel_reason}")
        if self.result is not None:
            raise ExecutionCancelledError(f"execution {self.execution_id} has ended")

    def run_at_home(self, function: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
        """Await an async function on the runtime's loop, from whichever loop this is called on.

        Raise HiveCostError when the runtime's loop has ended, or is blocked.
        """
        return function() if self._loop.is_here() else self._run_there(function)

    async def _run_there(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self.refuse_when_over()
        return await run_on(self._loop, self._as_here(function))

    def _as_here(self, function: Callable[[], Coroutine[Any, Any, T]]) -> Callable[[], Coroutine[Any, Any, T]]:
        """Return the function so that it finds this execution and node wherever it is awaited."""
        node = _node_here.get()

        async def inside() -> T:
            self.enter_context()
            _node_here.set(node)
            return await function()

        return inside

    def call_from_thread(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Call an async function from the thread of a sync agent, or from one that it started.

        Raise ExecutionCancelledError when the execution is cancelled meanwhile, and HiveCostError on the event loop,
        which would wait for itself.
        """
        self.refuse_when_over()
        if self._loop.is_here():
            raise HiveCostError("this code runs on the event loop: write `async with ctx.turn(...)`, `async for`")
        try:
            return anyio.from_thread.run(function)
        except anyio.NoEventLoopError:  # a thread that no event loop started
            return wait_on(self._loop, self._as_here(function))
        except CancelledError as error:
            raise ExecutionCancelledError(
                f"execution {self.execution_id} was cancelled: {self.cancel_reason}"
            ) from error
