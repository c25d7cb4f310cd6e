"""One run of an agent, as the code inside it sees it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar, Token
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
from msgspec.structs import replace

from hivecost.attribution import Attribution, attribution_fields, checked_name, checked_text
from hivecost.errors import BudgetExceededError, ConfigError, ExecutionCancelledError, HiveCostError
from hivecost.events import Event, LLMTurnComplete, Totals
from hivecost.forking import end_child
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import Limit
from hivecost.ledger.caps import Cap
from hivecost.loops import Loop, Task, run_on, wait_on
from hivecost.money import TURN_COST_MAX_NANOUSD, to_nanousd
from hivecost.plain_text import plain_str
from hivecost.runtime.admission import Admission
from hivecost.runtime.breakdown import Breakdown, Tally
from hivecost.runtime.charge import Charge
from hivecost.runtime.hosts import ExecutionHost
from hivecost.runtime.prompt_count import Count, PromptCount
from hivecost.runtime.result import ExecutionResult
from hivecost.runtime.turn import Turn
from hivecost.usage import tokens_of

T = TypeVar("T")

#: Why a forked child gets nothing.
PARENTS: Final = "this runtime belongs to the parent process: in a forked child, make an AgentRuntime of its own"

_CACHE_WRITES: Final = (None, "", "5m", "1h")

_current_execution: ContextVar[Execution | None] = ContextVar("hivecost_execution", default=None)
_current_node: ContextVar[Node | None] = ContextVar("hivecost_node", default=None)


def current_execution() -> Execution:
    """The execution that the calling code belongs to, however deep. Raises LookupError outside of one."""
    execution = _current_execution.get()
    if execution is None:
        raise LookupError("no execution is running here; trigger one with runtime.trigger(...)")
    return execution


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
    def running(self, execution: Execution) -> Iterator[None]:
        """Around the code, where it runs."""
        try:
            with execution.entered(), self._scope or nullcontext(), execution.ending_forked_children():
                yield
                self.is_complete = True
        except BaseException as error:
            self.error = error
            raise


class Execution:
    """The `ctx` of an entry point, or of `runtime.execution(...)`."""

    def __init__(
        self,
        host: ExecutionHost,
        loop: Loop,
        entry_point: str,
        attribution: Attribution,
        *,
        body: Body,
        parent: Execution | None = None,
    ) -> None:
        self.execution_id = attribution.execution_id
        self.session_id = attribution.session_id
        self.agent_id = attribution.agent_id
        #: "" where it has none.
        self.entry_point = entry_point
        #: Whose spending this is.
        self.attribution = attribution
        #: The execution inside of which it was started.
        self.parent = parent
        #: The caps of all its turns, the nearest first.
        self.caps: tuple[Cap, ...] = ()
        #: Those of the nodes that the agent is in, wherever.
        self.open_caps: list[Cap] = []
        #: Those that it started and that run.
        self.children: set[Execution] = set()
        self.breakdown = Breakdown()
        self._own, self._below = Tally(self.breakdown), Tally()
        #: How often a budget refused one of its turns.
        self.refusals = 0
        self.clock = host.clock
        self.prices = host.prices
        self.gate = host.gate
        self.started_ns = self.clock.now_ns()
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
        self._request = TurnRequest(model="", ancestors=attribution.ancestors, **attribution_fields(attribution))
        self._host = host
        self._loop = loop
        #: Turns that wait at the gate.
        self._waiting: set[anyio.CancelScope] = set()

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags it was triggered with; read-only, as all its turns share them."""
        return self.attribution.tags

    def node(self, node_id: str, *, agent_id: str | None = None, limit: Limit | None = None) -> Node:
        """`async with ctx.node("plan"):` (or `with`): turns inside belong to this node, in child tasks too.

        With a `limit` such as `"$0.20"` those turns, and those of executions that are started inside, have no more than
        that, and no more than what the budgets around it have left: one that does not fit raises BudgetExhaustedError.
        """
        return Node(self, node_id, agent_id, None if limit is None else self.gate.cap(f"cap of node {node_id}", limit))

    def caps_here(self) -> tuple[Cap, ...]:
        """The caps of what is done at this point of the agent: of the nodes that it is in, and its own.

        A thread that the agent started by itself does not know where it is: all that are open bind it.
        """
        if self.open_caps and _current_execution.get() is not self:
            return (*self.open_caps, *self.caps)
        node = _current_node.get()
        return self.caps if node is None else (*node.caps, *self.caps)

    def turn(
        self,
        model: str,
        *,
        input_tokens: int = 0,
        max_tokens: int = 0,
        stream_tokens: int = 0,
        prompt: Any = None,
        tools: Any = None,
        count: Count | None = None,
        cache_write: Literal["", "5m", "1h"] | None = None,
        service_tier: str = "",
        attempts: int = 1,
        provider: str = "",
    ) -> Turn:
        """The gate for one LLM call: `async with ctx.turn(model=…) as turn:` (or `with` in a sync agent).

        `input_tokens` is the most the prompt can count. Without it a text `prompt` (messages, or the whole request as a
        dict) and its `tools` are counted where a hard budget holds money for them: by the tokenizer of OpenAI's models
        (extra `tokens`), else by `count`, such as `lambda: client.messages.count_tokens(...)`, else a token for each
        byte. What nobody can count is held at the model's context window. `cache_write` ("", "5m", "1h") says what the
        prompt asks for where its `cache_control` does not, and `service_tier` which tier the request does.
        `max_tokens` is the output limit you mean to send; without it the longest answer of the model is held. Send
        `turn.model`, and `turn.max_tokens` unless it is None: a hard budget may have lowered them.

        With `stream_tokens` a hard budget holds only so much of the output at first: read the answer through
        `turn.stream(response)`, which holds more as it comes. `attempts` is how often the call may be sent, retries of
        an SDK included. Entering waits for rate limits and for money that others hold, and raises BudgetExceededError
        when a budget refuses the turn, PriceUnknownError where a hard budget in USD meets a model without a price,
        ConfigError where nothing bounds the turn, and ExecutionCancelledError after a cancellation.
        """
        model = checked_name("ctx.turn(model)", model)
        provider = checked_text("ctx.turn(provider=…)", provider or "")
        for name, number, least in (
            ("input_tokens", input_tokens, 0),
            ("max_tokens", max_tokens, 0),
            ("stream_tokens", stream_tokens, 0),
            ("attempts", attempts, 1),
        ):
            if type(number) is not int or number < least:
                raise ConfigError(f"ctx.turn({name}=…)", f"a whole number, {least} or more", got=number)
        if cache_write not in _CACHE_WRITES:
            raise ConfigError("ctx.turn(cache_write=…)", 'one of "", "5m", "1h"', got=cache_write)
        request = replace(
            self._request_here(),
            model=model,
            provider=provider,
            input_tokens=input_tokens,
            max_tokens=max_tokens,
            stream_tokens=stream_tokens,
            attempts=attempts,
            cache_write=cache_write,
            service_tier=service_tier,
        )
        if prompt is None:
            return Turn(self, request, input_tokens, self.caps_here())
        prompt_count = PromptCount(prompt, tools, count)
        about = input_tokens or tokens_of(prompt_count.byte_bound)
        counts = None if input_tokens else prompt_count
        return Turn(self, prompt_count.described(request), about, self.caps_here(), counts)

    def _request_here(self) -> TurnRequest:
        """Whose request it is that is made at this point of the agent; what is asked for is still open."""
        node = _current_node.get()
        if node is None:
            return self._request
        return replace(self._request, node_id=node.node_id, agent_id=node.agent_id or self.agent_id)

    @property
    def parent_execution_id(self) -> str:
        """The execution that started this one; "" when none did."""
        return self.attribution.parent_execution_id

    @property
    def totals(self) -> Totals:
        """The sums of its own turns."""
        return self._own.totals

    @property
    def tree_totals(self) -> Totals:
        """The sums of its turns and of those of all executions inside of it."""
        return self._own.totals + self._below.totals

    def charge(self, name: str, *, usd: str | float | Decimal) -> Charge:
        """Hold and charge money that is not tokens: `await ctx.charge("search-api", usd="0.01")`, or `async with`.

        `usd` is the most that it can cost. Budgets and caps in USD count it as they count turns, those in tokens and
        calls do not; `match={"model": "search-api"}` names it. In sums it is among `charges`, not `llm_calls`. Raises
        as `turn` does, and ConfigError for a name or an amount that cannot be.
        """
        checked_name("ctx.charge(name)", name)
        nanousd = to_nanousd(usd, key="ctx.charge(usd=…)")
        if nanousd > TURN_COST_MAX_NANOUSD:
            raise ConfigError("ctx.charge(usd=…)", "at most one million USD", got=str(usd))
        request = replace(self._request_here(), model=plain_str(name), charge_nanousd=nanousd)
        return Charge(self, request, self.caps_here())

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

    @property
    def is_cancelled(self) -> bool:
        """True once the execution was asked to stop; a long sync agent looks here now and then."""
        return self.cancel_reason is not None

    async def pass_gate(self, request: TurnRequest, caps: Sequence[Cap]) -> Admission:
        """What Turn asks before it is sent; on the runtime's loop."""
        self.refuse_when_over()
        await anyio.lowlevel.checkpoint()  # an agent that never waits would keep handlers from stopping it
        self.refuse_when_over()
        return self.gate.admit_nowait(request, caps) or await self._wait_at_gate(request, caps)

    async def _wait_at_gate(self, request: TurnRequest, caps: Sequence[Cap]) -> Admission:
        """Cancelling the execution lets go of whoever waits here, whichever task or thread that is for."""
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
        try:
            self.refuse_when_over()
        except ExecutionCancelledError:
            if admission is not None:
                self.gate.release(admission)
            raise
        assert admission is not None  # noqa: S101  # only a cancelled execution lets go of who waits
        return admission

    async def extend(self, admission: Admission, input_tokens: int, output_tokens: int) -> None:
        """Hold what so many tokens can cost, from any loop. Raise BudgetExceededError and LedgerUnavailableError."""
        try:
            await self.run_at_home(lambda: self.gate.extend(admission, input_tokens, output_tokens))
        except BudgetExceededError:
            self.refusals += 1
            raise

    def let_go_of_waiters(self) -> None:
        """It was cancelled: whoever waits at the gate for it is refused. Loop thread only."""
        for waiting in list(self._waiting):
            waiting.cancel()

    @contextmanager
    def ending_forked_children(self) -> Iterator[None]:
        """Around the agent. A child forked inside it ends where the agent does: nobody is there to return to."""
        try:
            yield
        except BaseException as error:
            if self.is_forked:
                end_child(error)
            raise
        if self.is_forked:
            end_child(None)

    def is_of(self, host: ExecutionHost) -> bool:
        """Whether this runtime started it."""
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

        Raises HiveCostError when the runtime's loop has ended, or is blocked.
        """
        return function() if self._loop.is_here() else self._run_there(function)

    async def _run_there(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self.refuse_when_over()
        return await run_on(self._loop, self._as_here(function))

    def _as_here(self, function: Callable[[], Coroutine[Any, Any, T]]) -> Callable[[], Coroutine[Any, Any, T]]:
        """The function, which finds the execution and the node of this point of the agent, wherever it is awaited."""
        node = _current_node.get()

        async def inside() -> T:
            self.enter_context()
            _current_node.set(node)
            return await function()

        return inside

    def call_from_thread(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Call an async function from the thread of a sync agent, or from one that it started.

        Raises ExecutionCancelledError when the execution is cancelled meanwhile, and HiveCostError on the event loop,
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

    def publish(self, event: Event) -> None:
        """Hand an event to the bus from wherever the agent runs; a loss is counted, never raised into the agent.

        What the event leaves empty of session, execution, node, agent, user, org, task and tags is filled in.
        """
        who = attribution_fields(self.attribution)
        node = _current_node.get()
        if node is not None and _current_execution.get() is self:
            who |= {"node_id": node.node_id, "agent_id": node.agent_id or self.agent_id}
        missing = {name: value for name, value in who.items() if value and not getattr(event, name)}
        event = replace(event, **missing) if missing else event
        if isinstance(event, LLMTurnComplete):
            self.gate.tell_unasked(event)
        self.publish_as_is(event)

    def publish_as_is(self, event: Event) -> None:
        """Do the same with an event that says whose it is."""
        self._host.publish_for_agent(event)

    def attributed(self, **fields: Any) -> dict[str, Any]:
        """This execution's attribution as the fields of an event."""
        return {"timestamp_ns": self.clock.now_ns(), **attribution_fields(self.attribution), **fields}

    def enter_context(self) -> tuple[Token[Execution | None], Token[Node | None]]:
        """From here on this execution is the current one, in none of its nodes."""
        return _current_execution.set(self), _current_node.set(None)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The same until the block ends."""
        execution, node = self.enter_context()
        try:
            yield
        finally:
            with suppress(ValueError):  # the block is left in another context, which knows of neither
                _current_execution.reset(execution)
                _current_node.reset(node)


class Node:
    """A named step inside an execution."""

    def __init__(self, execution: Execution, node_id: str, agent_id: str | None, cap: Cap | None) -> None:
        self._execution = execution
        self._cap = cap
        self.node_id = checked_name("ctx.node(…)", node_id)
        self.agent_id = None if agent_id is None else checked_text("ctx.node(agent_id=…)", agent_id)
        #: Its own and those of the nodes around it, the nearest first.
        self.caps: tuple[Cap, ...] = () if cap is None else (cap,)
        self._token: Token[Node | None] | None = None

    def __enter__(self) -> Self:
        around = _current_node.get()
        if around is not None:
            self.caps += around.caps
        if self._cap is not None:
            self._execution.open_caps.append(self._cap)
        self._token = _current_node.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current_node.reset(self._token)
            if self._cap is not None:
                self._execution.open_caps.remove(self._cap)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
