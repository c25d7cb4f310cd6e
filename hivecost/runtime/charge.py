"""Money that is not tokens: held before something is bought, and settled with what it cost."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from hivecost.attribution import attribution_fields
from hivecost.errors import HiveCostError
from hivecost.events import ChargeSettled, Cost, CostStatus, Usage
from hivecost.gate_contract import TurnRequest
from hivecost.ledger.caps import Cap
from hivecost.money import to_nanousd
from hivecost.runtime.admission import Admission
from hivecost.runtime.billing_errors import was_never_sent
from hivecost.runtime.hosts import TurnHost

if TYPE_CHECKING:
    from decimal import Decimal

#: Where the amount comes from, in the log.
SOURCE: Final = "charge"

_log = logging.getLogger("hivecost.runtime")


class Charge:
    """What a call costs that is no turn: `await ctx.charge("search-api", usd="0.01")`.

    Around the call, it may cost less than was named:

        async with ctx.charge("search-api", usd="0.01") as charge:
            charge.settle(usd="0.004")

    Entering asks the gate, as a turn does. Left without `settle()` it cost what was named; left by an exception it may
    have, and stays in doubt, unless no connection was made. Sync agents write `with ctx.charge(...)`.
    """

    def __init__(self, host: TurnHost, request: TurnRequest, caps: tuple[Cap, ...]) -> None:
        self._host = host
        self._admission = Admission(request)
        self._caps = caps
        self._is_open = self._was_entered = False
        self._cost: Cost | None = None

    @property
    def cost(self) -> Cost | None:
        """What it cost; None until it is settled."""
        return self._cost

    def settle(self, usd: str | float | Decimal | None = None) -> Cost:
        """Charge this amount, or what was named, and publish CHARGE_SETTLED; again, it changes nothing.

        Synchronous. An amount above what was named is charged in full, and freezes hard budgets. Raise ConfigError for
        an amount that cannot be, and HiveCostError outside of its block.
        """
        if self._cost is not None:
            return self._cost
        if not self._is_open:
            raise HiveCostError("this charge is not open: settle it inside `async with ctx.charge(...)`")
        nanousd = self._admission.request.charge_nanousd if usd is None else to_nanousd(usd, key="settle(usd)")
        return self._settle(Cost(status=CostStatus.REPORTED, nanousd=nanousd, source=SOURCE))

    def __del__(self) -> None:
        if not self._is_open and self._cost is None and not self._was_entered:
            warnings.warn(
                f"ctx.charge({self._admission.request.model!r}) was never awaited or entered: nothing was charged",
                RuntimeWarning,
                stacklevel=2,
            )

    def __await__(self) -> Generator[Any, None, Cost]:
        return self._at_once().__await__()

    async def _at_once(self) -> Cost:
        async with self:
            return self.settle()

    async def __aenter__(self) -> Self:
        if self._is_open or self._cost is not None:
            raise HiveCostError("this charge was made; ask ctx.charge(...) for another one")
        self._was_entered = True
        try:
            await self._host.run_at_home(self._pass_gate)
        except BaseException:
            self._give_back()
            raise
        self._is_open = True
        return self

    async def _pass_gate(self) -> None:
        self._admission = await self._host.pass_gate(self._admission.request, self._caps)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def __enter__(self) -> Self:
        self._was_entered = True
        try:
            self._host.call_from_thread(self.__aenter__)
        except BaseException:
            self._give_back()  # it may have passed the gate while this thread was told to stop
            raise
        return self

    def _give_back(self) -> None:
        self._host.gate.release(self._admission)
        self._admission = Admission(self._admission.request)
        self._is_open = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        if self._cost is not None:
            return
        if error is None:
            self.settle()
        elif was_never_sent(error):
            self._host.gate.release(self._admission)
        else:
            self._settle(
                Cost(status=CostStatus.UNPRICED, source=SOURCE, reason=f"cost unknown: {type(error).__name__}")
            )
        self._is_open = False

    def _settle(self, cost: Cost) -> Cost:
        self._cost = cost
        request, is_final = self._admission.request, cost.nanousd is not None
        self._host.gate.settle(self._admission, Usage(), cost, is_final=is_final)
        self._host.publish_as_is(
            ChargeSettled(
                timestamp_ns=self._host.clock.now_ns(),
                **attribution_fields(request),
                model=request.model,
                cost=cost,
            )
        )
        return cost
