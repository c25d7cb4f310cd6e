"""Budgets that bind a turn by the name of the model that answered, which nobody knew when it was asked for."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

import anyio

from hivecost.errors import HiveCostError
from hivecost.events import Cost, Usage
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import Budget, LedgerStore, LedgerStoreHold, Matches, Settlement, ancestry, attributes_of, matcher
from hivecost.loops import Loop

#: Names asked for whose answers are remembered; the oldest goes first, and is learned anew.
_ASKED_MAX: Final = 1_000

#: Told of the bill of a turn, and of what it brought about.
Charged = Callable[[LedgerStoreHold, Settlement, TurnRequest], None]

_log = logging.getLogger("hivecost.budgets")


class _Answer(NamedTuple):
    """A turn that more budgets bind than held money for it."""

    request: TurnRequest
    answered: tuple[str, ...]
    budgets: tuple[str, ...]
    usage: Usage
    cost: Cost


class AnsweredModels:
    """Learns which models answer to a name, so that the next turn of it holds on the budgets that name those.

    The turn that teaches it was sent without them: its bill is charged there afterwards, in full, also on a budget that
    is frozen. One that a budget has no room for freezes it, as one above its hold does.
    """

    def __init__(self, ledger: LedgerStore, loop: Loop, tell: Charged) -> None:
        self._ledger = ledger
        self._loop = loop
        self._tell = tell
        self._matchers: dict[str, Matches] = {}
        #: (asked, provider) → the models that answered.
        self._answered: OrderedDict[tuple[str, str], tuple[str, ...]] = OrderedDict()
        self._pending = 0
        self._is_idle = anyio.Event()

    def set_budgets(self, budgets: Iterable[Budget]) -> None:
        """Charge these budgets from now on."""
        self._matchers = {budget.name: matcher(budget.match) for budget in budgets if "model" in budget.match}

    @property
    def has_budgets(self) -> bool:
        """Whether any budget matches on a model."""
        return bool(self._matchers)

    def of(self, request: TurnRequest) -> tuple[str, ...]:
        """Return the models by which budgets bind the request besides those that it names."""
        return self._answered.get((request.model, request.provider), ()) if self._answered else ()

    def learn(self, request: TurnRequest, held_by: Collection[str], answered: str, usage: Usage, cost: Cost) -> None:
        """Take note of the model that answered, and charge the budgets that only it brings in. From any thread.

        `held_by` are those that hold money for the turn: it may have been sent before the first one came back.
        """
        if answered in (request.model, request.resolved_model):
            return
        now = attributes_of(request, (answered,))
        budgets = tuple(name for name, matches in self._matchers.items() if name not in held_by and matches(now))
        if not budgets:
            return
        known = self.of(request)
        if answered not in known:
            self._answered[request.model, request.provider] = (*known, answered)
            if len(self._answered) > _ASKED_MAX:
                self._answered.popitem(last=False)
        self._pending += 1
        answer = _Answer(request, (answered,), budgets, usage, cost)
        self._loop.call_threadsafe(lambda: self._loop.spawn(lambda: self._charge(answer), "hivecost late charge"))

    async def charged(self) -> None:
        """Return when everything learned so far is charged."""
        while self._pending:
            self._is_idle = anyio.Event()
            await self._is_idle.wait()

    async def _charge(self, answer: _Answer) -> None:
        try:
            for budget in answer.budgets:
                await self._charge_one(answer, budget)
        finally:
            self._pending -= 1
            self._is_idle.set()

    async def _charge_one(self, answer: _Answer, budget: str) -> None:
        nanousd, tokens = answer.cost.nanousd, answer.usage.total_tokens
        who, ancestors = attributes_of(answer.request, answer.answered), ancestry(answer.request, answer.answered)
        try:
            hold, settlement = await self._ledger.charge(
                who, nanousd=nanousd or 0, tokens=tokens, calls=1, ancestors=ancestors, budgets=(budget,)
            )
            self._tell(hold, settlement, answer.request)
            if nanousd is None and "usd" in hold.units:
                hold.doubt_another({"usd"})
                reason = f"a turn that {answer.answered[-1]} answered has no known cost"
                await self._ledger.freeze(budget, reason, by="hivecost")
        except HiveCostError as error:
            _log.error("budget %r: a turn that %s answered is not charged: %s", budget, answer.answered[-1], error)
