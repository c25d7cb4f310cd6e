"""Where what agents report comes in: turns are checked, priced and counted once, for all behind the bus."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeVar

from msgspec.structs import astuple, fields, replace

from hivecost.attribute_names import ATTRIBUTION_FIELDS
from hivecost.bus import EventBus, collect
from hivecost.errors import BusClosedError, EventFormatError
from hivecost.events import ChargeSettled, Cost, CostStatus, Event, LLMTurnComplete, SentPrompt, Usage
from hivecost.frozen import FrozenDict
from hivecost.money import TURN_COST_MAX_NANOUSD
from hivecost.plain_text import plain_str
from hivecost.pricing import PriceBook
from hivecost.runtime.registry import Registry

_log = logging.getLogger("hivecost.runtime")
_Event = TypeVar("_Event", bound=Event)

#: The fields by which a turn is attributed and logged, and what each of them must be.
_TYPES: Final = {
    **dict.fromkeys(("event_id", *ATTRIBUTION_FIELDS, "model", "provider", "stop_reason", "service_tier"), str),
    **dict.fromkeys(("asked_model", "resolved_model", "resolved_provider"), str),
    "tags": FrozenDict,
    "timestamp_ns": int,
    "latency_ms": int,
}
_fields: Final = attrgetter(*_TYPES)
_COST: Final = Cost(status=CostStatus.PRICED, nanousd=0)
_RAW_USAGES: Final[tuple[dict[str, Any] | None, ...]] = (None, {})
#: The types of all fields of a turn that is as it must be: known at a glance.
_SHAPES: Final = frozenset(
    tuple(map(type, astuple(turn)))
    for turn in (
        LLMTurnComplete(cost=cost, raw_usage=raw_usage, prompt=prompt)
        for cost in (None, _COST)
        for raw_usage in _RAW_USAGES
        for prompt in (None, SentPrompt())
    )
)
#: What the runtime log can hold: 64 bits, and no time before 1970.
_INTEGER_MAX: Final = 2**63 - 1
_ONLY_STR: Final = {str}
_WITHOUT_AMOUNT: Final = frozenset({CostStatus.UNPRICED, CostStatus.INVALID})


class Intake:
    """The bus of a runtime, which counts each turn with its execution; from any thread.

    `tell_unasked` is told of turns of executions that are not known here.
    """

    def __init__(
        self,
        registry: Registry,
        prices: PriceBook,
        tell_unasked: Callable[[LLMTurnComplete], None],
        *,
        close_timeout_s: float,
    ) -> None:
        self.bus = EventBus(admit=self._admit, close_timeout_s=close_timeout_s)
        #: Turns that belong to no execution running here.
        self.foreign_turns = 0
        #: Events that agents reported when the bus was closed already.
        self.events_lost = 0
        #: This process is a child of the one where the runtime runs.
        self.is_forked = False
        self._registry = registry
        self._prices = prices
        self._tell_unasked = tell_unasked

    def publish(self, event: Event) -> None:
        """Publish without waiting, from any thread; a loss is counted and logged, never raised into the agent."""
        try:
            self.bus.publish_nowait(event)
        except BusClosedError as error:
            self.events_lost += 1
            why = error if self.is_forked else "it came after the runtime closed"
            _log.error("%s of execution %s is lost: %s", event.type, event.execution_id, why)

    def collect(self) -> None:
        """Count the turns that other threads settled so far."""
        collect(self.bus)

    def _admit(self, event: Event) -> Event:
        """Price a turn that came without a cost, and count it with its execution."""
        if not isinstance(event, LLMTurnComplete):
            return with_plain_names(event)
        event = admit_turn(event, self._prices)
        execution = self._registry.running.get(event.execution_id)
        if execution is None:
            self.foreign_turns += 1
            if not self._registry.knows(event.execution_id):
                self._tell_unasked(event)
        else:
            execution.count(event)
        return event


def admit_turn(turn: LLMTurnComplete, prices: PriceBook) -> LLMTurnComplete:
    """Return the turn with a cost, and with the model and the provider as the price book understands them.

    Usage and costs that cannot be were billed all the same: the turn counts, as `invalid`. Raise EventFormatError,
    naming the field, for a turn that nobody could attribute or log.
    """
    if tuple(map(type, astuple(turn))) not in _SHAPES:
        turn = with_plain_names(turn)
        _require_types(turn)
    if not (0 <= turn.timestamp_ns <= _INTEGER_MAX and 0 <= turn.latency_ms <= _INTEGER_MAX):
        got = f"got {turn.timestamp_ns} and {turn.latency_ms}"
        raise EventFormatError(f"timestamp_ns and latency_ms of a turn must be from 0 to 2**63 - 1, {got}")
    changes: dict[str, Any] = {}
    if not turn.resolved_model and type(turn) is not ChargeSettled:
        provider, model = prices.resolve(turn.model, turn.provider)
        changes = {"resolved_model": model, "resolved_provider": provider}
    usage: object = turn.usage
    if not isinstance(usage, Usage):
        reason = f"usage must be a hivecost.Usage, got {usage!r:.100}"
        changes |= {"usage": Usage(), "cost": Cost(status=CostStatus.INVALID, reason=reason)}
    elif turn.cost is None:
        changes["cost"] = prices.price(turn.model, turn.usage, provider=turn.provider, at_ns=turn.timestamp_ns)
    elif problem := _cost_problem(turn.cost):
        changes["cost"] = Cost(status=CostStatus.INVALID, reason=problem)
    return replace(turn, **changes) if changes else turn


def with_plain_names(event: _Event) -> _Event:
    """Return the event with plain texts in its fields, whatever subclasses of `str` they are.

    The log knows no others.
    """
    names, read = _text_fields(type(event))
    texts = read(event)
    if set(map(type, texts)) == _ONLY_STR:
        return event
    plain = {name: plain_str(text) for name, text in zip(names, texts, strict=True) if isinstance(text, str)}
    return replace(event, **plain)


@cache
def _text_fields(kind: type[Event]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """Return the names of a class's fields that are texts, and a function that reads them."""
    names = tuple(field.name for field in fields(kind) if field.type is str)
    return names, attrgetter(*names)


def _require_types(turn: LLMTurnComplete) -> None:
    for (name, expected), field in zip(_TYPES.items(), _fields(turn), strict=True):
        if type(field) is not expected:
            kind = "dict" if expected is FrozenDict else expected.__name__
            raise EventFormatError(f"{name} of a turn must be of type {kind}, got {field!r:.100}")
    if turn.prompt is not None and type(turn.prompt) is not SentPrompt:
        raise EventFormatError(f"prompt of a turn must be of type SentPrompt, got {turn.prompt!r:.100}")


def _cost_problem(cost: object) -> str:
    """Say why this cannot be the cost of one turn; "" when it can."""
    if not isinstance(cost, Cost) or not isinstance(cost.status, CostStatus):
        return f"cost must be a hivecost.Cost with a CostStatus, got {cost!r:.100}"
    nanousd = cost.nanousd
    if (nanousd is None) != (cost.status in _WITHOUT_AMOUNT):
        return f"a cost that is {cost.status.value} cannot have the amount {nanousd!r:.60}"
    if nanousd is not None and (type(nanousd) is not int or not 0 <= nanousd <= TURN_COST_MAX_NANOUSD):
        return f"the amount must be nano-USD from 0 to {TURN_COST_MAX_NANOUSD:,}, got {nanousd!r:.60}"
    return ""
