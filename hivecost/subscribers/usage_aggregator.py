"""Who used what: exact sums in memory, by every dimension of attribution."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from hivecost.attribute_names import fields_of
from hivecost.clock import SYSTEM_CLOCK, Clock, to_datetime
from hivecost.errors import ConfigError
from hivecost.events import EventType, LLMTurnComplete, Totals
from hivecost.forking import tell_children
from hivecost.ledger.amounts import USDAmount
from hivecost.log.statistics import Statistics, statistics_of
from hivecost.money import to_nanousd
from hivecost.plugin import Dimension, PluginHost

DIMENSIONS: Final[tuple[str, ...]] = get_args(Dimension)

#: Values kept for each dimension; past it the one that was idle longest goes, and `forgotten` counts it.
VALUES_MAX: Final = 10_000


class UsageAggregator:
    """Adds up every turn it is given, exactly, and answers at once.

    As a plugin it counts what its runtime publishes; `add` counts turns from elsewhere. The runtime log keeps
    everything; this keeps the last `values_max` values of each dimension. Any thread may add and ask, and so may signal
    handlers; one that comes while its own thread counts is told the sums as they stand.
    """

    name = "usage-aggregator"

    def __init__(self, *, values_max: int = VALUES_MAX, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._since_ns = clock.now_ns()
        #: What was added and is not counted yet; whoever has the lock counts it, so that adding waits for nobody.
        self._arrived: deque[list[LLMTurnComplete]] = deque()
        self._lock = threading.RLock()
        #: Who has the lock is counting; a signal handler that comes between leaves everything alone.
        self._counting = False
        self._total = _NOTHING
        self._forgotten = 0
        self._values_max = values_max
        self._sums: dict[str, OrderedDict[str, Totals]] = {dimension: OrderedDict() for dimension in DIMENSIONS}
        #: What came last, by all that tells turns apart; it goes into each dimension's sums when somebody asks.
        self._recent: dict[tuple[Any, int], _Recent] = {}
        self._turns = 0
        tell_children(self)

    def _forked(self) -> None:
        self._lock, self._counting = threading.RLock(), False  # a thread of the parent may hold the other one

    @property
    def total(self) -> Totals:
        """The sums of all turns."""
        with self._lock:
            self._count(everything=True)
            return self._total

    @property
    def forgotten(self) -> int:
        """Values that were dropped with their sums, over all dimensions."""
        with self._lock:
            self._count(everything=True)
            return self._forgotten

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        """Add up the turns and charges of the bus while the runtime runs."""
        async with host.bus.subscribe(
            event_types=[EventType.LLM_TURN_COMPLETE, EventType.CHARGE_SETTLED],
            handler=self.add,
            batch=True,
            name=self.name,
        ):
            yield

    def add(self, turns: Iterable[LLMTurnComplete]) -> None:
        """Count these turns in every dimension they have a value for."""
        arriving = iter(turns)
        while some := list(islice(arriving, _AT_ONCE)):  # whoever makes them may be slow, or ask
            self._arrived.append(some)
            if self._lock.acquire(blocking=False):
                try:
                    self._count()
                finally:
                    self._lock.release()

    def _count(self, *, everything: bool = False) -> None:
        """Count what has arrived; `everything` goes on into the sums of each dimension. Under the lock."""
        if self._counting:
            return
        self._counting = True
        try:
            for _ in range(len(self._arrived)):
                self._add(self._arrived.popleft())
            if everything or len(self._recent) > self._values_max:
                self._fold()
        finally:
            self._counting = False

    def _add(self, turns: list[LLMTurnComplete]) -> None:
        recent = self._recent
        for turn in turns:
            self._turns += 1
            key = _whose(turn), turn.timestamp_ns // _DAY_NS
            entry = recent.get(key)
            if entry is None:
                entry = recent[key] = _Recent()
            entry.totals = entry.totals.plus(turn)
            entry.last_turn = self._turns

    def _fold(self) -> None:
        recent, self._recent = self._recent, {}
        for (whose, day), entry in sorted(recent.items(), key=lambda item: item[1].last_turn):
            self._total += entry.totals
            for dimension, value in zip(DIMENSIONS, (*_counted(whose), _name_of(day)), strict=True):
                if value:
                    self._add_to(dimension, value, entry.totals)

    def _add_to(self, dimension: str, value: str, added: Totals) -> None:
        sums = self._sums[dimension]
        sums[value] = sums.get(value, _NOTHING) + added
        sums.move_to_end(value)
        if len(sums) > self._values_max:
            sums.popitem(last=False)
            self._forgotten += 1

    def by(self, dimension: Dimension) -> Mapping[str, Totals]:
        """Return the sums as they stand, such as `by("model")["gpt-4o"].cost_usd`; a `day` is `2026-11-22`, in UTC.

        Raise ConfigError for a dimension there is none of.
        """
        if dimension not in DIMENSIONS:
            raise ConfigError("dimension", f"one of {', '.join(DIMENSIONS)}", got=dimension)
        with self._lock:
            self._count(everything=True)
            return MappingProxyType(dict(self._sums[dimension]))

    def top(
        self,
        dimension: Dimension,
        n: int = 10,
        *,
        key: Literal["cost_nanousd", "total_tokens", "llm_calls"] = "cost_nanousd",
    ) -> list[tuple[str, Totals]]:
        """Return the `n` values with the most cost, tokens or calls, the greatest first."""
        return sorted(self.by(dimension).items(), key=lambda item: (-getattr(item[1], key), item[0]))[:n]

    def statistics(self, *, budget_limit_usd: USDAmount | None = None) -> Statistics:
        """Return calls, tokens and cost in all, by agent and by model, since it was made or reset.

        `breakdown_text` makes them text. Raise ConfigError for a limit that is no amount.
        """
        limit = None if budget_limit_usd is None else to_nanousd(budget_limit_usd, key="budget_limit_usd")
        with self._lock:
            agents, models = self.by("agent"), self.by("model")
            duration_s = (self._clock.now_ns() - self._since_ns) / 10**9
            return statistics_of(self._total, agents, models, limit_nanousd=limit, duration_s=duration_s)

    def reset(self) -> None:
        """Forget all that was counted, and count on."""
        with self._lock:
            self._count(everything=True)
            self._total, self._forgotten, self._turns, self._since_ns = _NOTHING, 0, 0, self._clock.now_ns()
            for sums in self._sums.values():
                sums.clear()

    def as_dict(self) -> dict[str, Any]:
        """Return everything, as plain numbers: `total`, then `by_agent`, `by_model` and so on."""
        with self._lock:
            self._count(everything=True)
            total, sums = self._total, {dimension: dict(sums) for dimension, sums in self._sums.items()}
        return {
            "total": total.as_metrics(),
            **{
                f"by_{dimension}": {value: totals.as_metrics() for value, totals in values.items()}
                for dimension, values in sums.items()
            },
        }


_NOTHING: Final = Totals()


class _Recent:
    """What some turns add up to, and which of all turns was the last of them."""

    __slots__ = ("last_turn", "totals")

    def __init__(self) -> None:
        self.totals = _NOTHING
        self.last_turn = 0


#: In the order of the dimensions, but for the day; behind them the model as the price book understood it.
_whose: Final = attrgetter(*fields_of(name for name in DIMENSIONS if name != "day").values(), "resolved_model")
_MODEL: Final = DIMENSIONS.index("model")
_DAY_NS: Final = 86_400 * 10**9
#: Turns that are added before another thread has its turn.
_AT_ONCE: Final = 1_000


def _counted(whose: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values with the model that sums go by."""
    *values, resolved = whose
    return (*values[:_MODEL], resolved or values[_MODEL], *values[_MODEL + 1 :])


@lru_cache(maxsize=64)
def _name_of(day: int) -> str:
    return f"{to_datetime(day * _DAY_NS):%Y-%m-%d}"
