"""The loops of an execution's nodes: what each obeys, how far it is, and its conversations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from hivecost.errors import LoopLimitError
from hivecost.gate_contract import TurnRequest
from hivecost.runtime.billing_errors import is_context_overflow
from hivecost.runtime.context_keeper import ContextKeeper, FittedPrompt
from hivecost.runtime.loop_config import LoopConfig, LoopRules
from hivecost.runtime.prompt_count import Count, PromptCount
from hivecost.usage import tokens_of

MakeKeeper = Callable[[LoopRules], ContextKeeper]


class NodeLoop:
    """The loop of one node in one execution. On the runtime's loop, but for `report` and `failed`."""

    def __init__(self, node_id: str, rules: LoopRules, make_keeper: MakeKeeper) -> None:
        self.rules = rules
        self.keeper = make_keeper(rules)
        self._node_id = node_id
        self._turns = 0

    def max_tokens(self, asked: int) -> int:
        """Return the limit of an answer, where one was asked for or the loop has one."""
        limit = self.rules.max_output_tokens
        return asked if limit is None else min(asked or limit, limit)

    def begin_turn(self) -> bool:
        """Count a turn, and return whether it is the last one. Raise LoopLimitError behind that."""
        limit = self.rules.max_iterations
        if limit is not None and self._turns >= limit:
            raise LoopLimitError("max_iterations", limit, node_id=self._node_id)
        self._turns += 1
        return self._turns == limit

    def undo_turn(self) -> None:
        """It was not sent."""
        self._turns -= 1


class LoopTurn:
    """What one turn has to do with the loop of its node: it is one of its turns, and its prompt is fitted."""

    def __init__(self, loop: NodeLoop, prompt: Any, tools: Any, count: Count | None, input_tokens: int) -> None:
        self._loop = loop
        self._given = prompt
        self._count = partial(PromptCount, tools=tools, count=count)
        self._input_tokens = input_tokens
        self._fitted: FittedPrompt | None = None
        self.is_last = False

    @property
    def prompt(self) -> Any:
        """Return the prompt to send: as it was given, or with other messages."""
        return self._given if self._fitted is None else self._fitted.prompt

    @property
    def messages(self) -> Any:
        """Return the messages to send."""
        return self._given if self._fitted is None else self._fitted.messages

    async def enter(self, request: TurnRequest) -> tuple[TurnRequest, int, PromptCount | None]:
        """Return the request, about how long its prompt is, and what of it may still be counted.

        Raises LoopLimitError and ContextBudgetError.
        """
        self.is_last = self._loop.begin_turn()
        try:
            return await self._enter(request)
        except BaseException:
            self._loop.undo_turn()
            raise

    async def _enter(self, request: TurnRequest) -> tuple[TurnRequest, int, PromptCount | None]:
        if self._given is None:
            return request, self._input_tokens, None
        self._fitted = await self._loop.keeper.fit(self._given, model=request.model, provider=request.provider)
        return described(request, self._count(self._fitted.prompt), self._input_tokens)

    def leave(self) -> None:
        """It was not sent."""
        self._loop.undo_turn()

    def report(self, input_tokens: int) -> None:
        """Take the provider's count of the prompt."""
        if self._fitted is not None:
            self._fitted.report(input_tokens)

    def failed(self, error: BaseException) -> None:
        """The call failed: where it did because the prompt is too long, the next one will be shorter."""
        if self._fitted is not None and is_context_overflow(error):
            self._fitted.overflow()


def described(
    request: TurnRequest, prompt: PromptCount, input_tokens: int
) -> tuple[TurnRequest, int, PromptCount | None]:
    """Return the request with what its prompt says, about how long that is, and what of it may still be counted."""
    about = input_tokens or tokens_of(prompt.byte_bound)
    return prompt.described(request), about, None if input_tokens else prompt


class _Place(NamedTuple):
    node_id: str
    own: LoopConfig | None


class NodeLoops:
    """Those of one execution, each made when it is first asked for."""

    def __init__(
        self, rules: Callable[[str, LoopConfig | None], LoopRules], make_keeper: Callable[..., ContextKeeper]
    ) -> None:
        self._rules = rules
        self._make_keeper = make_keeper
        self._loops: dict[_Place, NodeLoop] = {}

    def of(self, node_id: str, own: LoopConfig | None) -> NodeLoop:
        """Return the loop of a node, with what was said where the node was entered."""
        place = _Place(node_id, own)
        if place not in self._loops:
            self._loops[place] = NodeLoop(node_id, self._rules(node_id, own), self._make_keeper)
        return self._loops[place]
