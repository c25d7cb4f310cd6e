"""The loops of an execution's nodes: what each obeys, how far it is, and its conversations."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from hivecost.errors import LoopLimitError
from hivecost.events import Cost, SentPrompt, Usage
from hivecost.frozen import EMPTY
from hivecost.gate_contract import TurnRequest
from hivecost.runtime.billing_errors import is_context_overflow
from hivecost.runtime.loop_config import LoopRules
from hivecost.runtime.prompt_count import Count, PromptCount
from hivecost.usage import tokens_of

if TYPE_CHECKING:
    from hivecost.runtime.context_keeper import ContextKeeper
    from hivecost.runtime.conversation import FittedPrompt


class NodeLoop:
    """The loop of one node in one execution."""

    def __init__(self, node_id: str, rules: LoopRules, keeper: ContextKeeper) -> None:
        self.rules = rules
        self.keeper = keeper
        self._node_id = node_id
        self._lock = threading.Lock()  # a turn may be left in any thread
        self._turns = 0

    def max_tokens(self, asked: int) -> int:
        """Return the limit of an answer, where one was asked for or the loop has one."""
        limit = self.rules.max_output_tokens
        return asked if limit is None else min(asked or limit, limit)

    def begin_turn(self) -> bool:
        """Count a turn, and return whether it is the last one. Raise LoopLimitError behind that."""
        limit = self.rules.max_iterations
        most = None if limit is None else limit + (self.rules.on_limit == "wind_down")
        with self._lock:
            if limit is not None and self._turns == most:
                raise LoopLimitError("max_iterations", limit, node_id=self._node_id)
            self._turns += 1
            return self._turns == most

    def undo_turn(self) -> None:
        """Take back the count of a turn that was not sent."""
        with self._lock:
            self._turns -= 1


class LoopTurn:
    """What one turn has to do with the loop of its node: it is one of its turns, and its prompt is fitted."""

    def __init__(self, loop: NodeLoop, prompt: Any, tools: Any, count: Count | None, input_tokens: int) -> None:
        self._loop = loop
        self._given = prompt
        self._count = partial(PromptCount, tools=tools, count=count)
        self._input_tokens = input_tokens
        self._fitted: FittedPrompt | None = None
        self._is_counted = False
        self.is_last = False
        self.max_tool_calls = loop.rules.max_tool_calls_per_turn

    @property
    def prompt(self) -> Any:
        """Return the prompt to send: as it was given, or with other messages."""
        return self._given if self._fitted is None else self._fitted.prompt

    @property
    def messages(self) -> Any:
        """Return the messages to send."""
        return self._given if self._fitted is None else self._fitted.messages

    @property
    def spilled(self) -> Mapping[str, Any]:
        """Return the results that were just replaced, by the place that their note names."""
        return EMPTY if self._fitted is None else self._fitted.spilled

    async def enter(self, request: TurnRequest) -> tuple[TurnRequest, int, PromptCount | None]:
        """Return the request, about how long its prompt is, and what of it may still be counted.

        Raise LoopLimitError and ContextBudgetError.
        """
        self.is_last, self._is_counted = self._loop.begin_turn(), True
        try:
            return await self._enter(request)
        except BaseException:
            self.leave()
            raise

    async def _enter(self, request: TurnRequest) -> tuple[TurnRequest, int, PromptCount | None]:
        if self._given is None:
            return request, self._input_tokens, None
        self._fitted = await self._loop.keeper.fit(self._given, model=request.model, provider=request.provider)
        return described(request, self._count(self._fitted.prompt), self._input_tokens)

    def leave(self) -> None:
        """Take back the count of the turn, which was not sent; a second call changes nothing."""
        if self._is_counted:
            self._is_counted = False
            self._loop.undo_turn()

    def report(self, input_tokens: int) -> None:
        """Take the provider's count of the prompt."""
        if self._fitted is not None:
            self._fitted.report(input_tokens)

    def billed(self, usage: Usage, cost: Cost) -> SentPrompt | None:
        """Return what is known of its prompt, now that its bill has come."""
        known = None if self._fitted is None else self._fitted.known
        return None if known is None else known.billed(usage, cost)

    def failed(self, error: BaseException) -> None:
        """Note that the call failed: if the prompt was too long, the next one will be shorter."""
        if self._fitted is not None and is_context_overflow(error):
            self._fitted.overflow()


def described(
    request: TurnRequest, prompt: PromptCount, input_tokens: int
) -> tuple[TurnRequest, int, PromptCount | None]:
    """Return the request with what its prompt says, about how long that is, and what of it may still be counted."""
    about = input_tokens or tokens_of(prompt.byte_bound)
    return prompt.described(request), about, None if input_tokens else prompt
