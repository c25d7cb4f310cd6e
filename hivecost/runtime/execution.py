"""One run of an agent, as the code inside it sees it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Literal, Self
from weakref import ref

from msgspec.structs import replace

from hivecost.attribution import Attribution, checked_name, checked_tags, checked_text
from hivecost.errors import ConfigError
from hivecost.events import Event, Totals
from hivecost.frozen import EMPTY
from hivecost.ledger import Limit
from hivecost.ledger.caps import Cap
from hivecost.money import TURN_COST_MAX_NANOUSD, to_nanousd
from hivecost.plain_text import plain_str
from hivecost.runtime.charge import Charge
from hivecost.runtime.loop_config import LoopConfig
from hivecost.runtime.node_loops import LoopTurn, described
from hivecost.runtime.prompt_count import Count, PromptCount
from hivecost.runtime.result import ExecutionResult
from hivecost.runtime.running_execution import NodeHere, RunningExecution, running_here
from hivecost.runtime.specs import loop_config_of
from hivecost.runtime.turn import Turn

_CACHE_WRITES: Final = (None, "", "5m", "1h")


def current_execution() -> Execution:
    """Return the execution that the calling code belongs to, however deep. Raise LookupError outside of one."""
    running = running_here()
    if running is None:
        raise LookupError("no execution is running here; trigger one with runtime.trigger(...)")
    return face_of(running)


def face_of(running: RunningExecution) -> Execution:
    """Return what an agent sees of its execution: the same object as long as anybody has it."""
    face: Execution | None = None if running.face is None else running.face()
    if face is None:
        face = Execution(running)
        running.face = ref(face)  # strong, it would be a circle that keeps all that the agent had
    return face


class Execution:
    """The `ctx` of an entry point, or of `runtime.execution(...)`."""

    __slots__ = ("__weakref__", "_running")

    def __init__(self, running: RunningExecution) -> None:
        self._running = running

    @property
    def execution_id(self) -> str:
        """The id of the execution."""
        return self._running.attribution.execution_id

    @property
    def session_id(self) -> str:
        """The session that it belongs to."""
        return self._running.attribution.session_id

    @property
    def agent_id(self) -> str:
        """Who its spending is attributed to; "" where nobody said."""
        return self._running.attribution.agent_id

    @property
    def parent_execution_id(self) -> str:
        """The execution that started this one; "" when none did."""
        return self._running.attribution.parent_execution_id

    @property
    def entry_point(self) -> str:
        """The name that it was triggered by; "" in a block of `runtime.execution(...)`."""
        return self._running.entry_point

    @property
    def attribution(self) -> Attribution:
        """Whose spending this is."""
        return self._running.attribution

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags it was triggered with; read-only, as all its turns share them."""
        return self._running.attribution.tags

    @property
    def totals(self) -> Totals:
        """The sums of its own turns."""
        return self._running.totals

    @property
    def tree_totals(self) -> Totals:
        """The sums of its turns and of those of all executions inside of it."""
        return self._running.tree_totals

    @property
    def is_cancelled(self) -> bool:
        """True once the execution was asked to stop; a long sync agent looks here now and then."""
        return self._running.cancel_reason is not None

    @property
    def result(self) -> ExecutionResult | None:
        """How it ended; None while it runs."""
        return self._running.result

    def node(
        self,
        node_id: str,
        *,
        agent_id: str | None = None,
        limit: Limit | None = None,
        loop_config: LoopConfig | Mapping[str, Any] | None = None,
    ) -> Node:
        """Return a node: in `async with ctx.node("plan"):` (or `with`), turns belong to it, in child tasks too.

        With a `limit` such as `"$0.20"` those turns, and those of executions that are started inside, have no more than
        that, and no more than what the budgets around it have left: one that does not fit raises BudgetExhaustedError.
        `loop_config`, such as `{"max_history_tokens": 100_000, "max_iterations": 50}`, comes before what the runtime's
        graph says of the node.
        """
        running = self._running
        own = None if loop_config is None else loop_config_of(f"ctx.node({node_id!r})", loop_config)
        cap = None if limit is None else running.gate.cap(f"cap of node {node_id}", limit)
        return Node(running, node_id, agent_id, cap, own)

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
        tags: Mapping[str, str] = EMPTY,
    ) -> Turn:
        """Return the gate for one LLM call: `async with ctx.turn(model=…) as turn:` (or `with` in a sync agent).

        `input_tokens` is the most the prompt can count. Without it a text `prompt` (messages, or the whole request as a
        dict) and its `tools` are counted where a hard budget holds money for them: by the tokenizer of OpenAI's models
        (extra `tokens`), else by `count`, such as `lambda: client.messages.count_tokens(...)`, else a token for each
        byte. What nobody can count is held at the model's context window. `cache_write` ("", "5m", "1h") says what the
        prompt asks for where its `cache_control` does not, and `service_tier` which tier the request does.
        `max_tokens` is the output limit you mean to send; without it the longest answer of the model is held. Send
        `turn.model`, and `turn.max_tokens` unless it is None: a hard budget may have lowered them. Where the loop of
        the node has limits, send `turn.messages`, too: a `prompt` over the context budget was compacted.

        With `stream_tokens` a hard budget holds only so much of the output at first: read the answer through
        `turn.stream(response)`, which holds more as it comes. `attempts` is how often the call may be sent, retries of
        an SDK included; `tags` are its own, beside those of the execution. Entering waits for rate limits and for money
        that others hold, and raises BudgetExceededError when a budget refuses the turn, PriceUnknownError where a hard
        budget in USD meets a model without a price, ConfigError where nothing bounds the turn, LoopLimitError and
        ContextBudgetError where the node's loop may go no further, and ExecutionCancelledError after a cancellation.
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
        running = self._running
        loop = running.loop_here()
        if loop is not None:
            max_tokens = loop.max_tokens(max_tokens)
        request = replace(
            running.request_here(),
            model=model,
            provider=provider,
            input_tokens=input_tokens,
            max_tokens=max_tokens,
            stream_tokens=stream_tokens,
            attempts=attempts,
            cache_write=cache_write,
            service_tier=service_tier,
        )
        if tags:
            request = replace(request, tags=checked_tags({**request.tags, **checked_tags(tags)}))
        caps = running.caps_here()
        if loop is not None:
            return Turn(running, request, input_tokens, caps, loop=LoopTurn(loop, prompt, tools, count, input_tokens))
        if prompt is None:
            return Turn(running, request, input_tokens, caps)
        request, about, counts = described(request, PromptCount(prompt, tools, count), input_tokens)
        return Turn(running, request, about, caps, counts, given=prompt)

    def charge(self, name: str, *, usd: str | float | Decimal) -> Charge:
        """Hold and charge money that is not tokens: `await ctx.charge("search-api", usd="0.01")`, or `async with`.

        `usd` is the most that it can cost. Budgets and caps in USD count it as they count turns, those in tokens and
        calls do not; `match={"model": "search-api"}` names it. In sums it is among `charges`, not `llm_calls`. Raise
        as `turn` does, and ConfigError for a name or an amount that cannot be.
        """
        checked_name("ctx.charge(name)", name)
        nanousd = to_nanousd(usd, key="ctx.charge(usd=…)")
        if nanousd > TURN_COST_MAX_NANOUSD:
            raise ConfigError("ctx.charge(usd=…)", "at most one million USD", got=str(usd))
        running = self._running
        request = replace(running.request_here(), model=plain_str(name), charge_nanousd=nanousd)
        return Charge(running, request, running.caps_here())

    def publish(self, event: Event) -> None:
        """Hand an event to the bus from wherever the agent runs; a loss is counted, never raised into the agent.

        What the event leaves empty of session, execution, node, agent, user, org, task and tags is filled in.
        """
        self._running.publish(event)


class Node:
    """A named step inside an execution."""

    def __init__(
        self,
        running: RunningExecution,
        node_id: str,
        agent_id: str | None,
        cap: Cap | None,
        loop_config: LoopConfig | None,
    ) -> None:
        self._running = running
        self._cap = cap
        self._loop_config = loop_config
        self._entered: Token[NodeHere | None] | None = None
        self.node_id = checked_name("ctx.node(…)", node_id)
        #: Who its spending is attributed to, where that is not the agent of the execution.
        self.agent_id = None if agent_id is None else checked_text("ctx.node(agent_id=…)", agent_id)

    def __enter__(self) -> Self:
        self._entered = self._running.enter_node(self.node_id, self.agent_id, self._cap, self._loop_config)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._entered is not None:
            self._running.leave_node(self._entered, self._cap)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
