"""Money that is set aside for one attempt, in the hands of whoever sends it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Collection, Mapping
from types import TracebackType
from typing import Protocol, Self, Unpack

import msgspec

from hivecost.ledger import (
    UNITS,
    AccountDetails,
    Amounts,
    Hold,
    HoldState,
    Refusal,
    Settlement,
    Unit,
    USDAmount,
    amounts_of,
)

#: Sets more aside on a hold. Raises as `Ledger.reserve` does.
ExtendHold = Callable[[Hold, Mapping[Unit, int]], Awaitable[None]]


class SettlesHolds(Protocol):
    """What a hold asks of its ledger in memory, at once."""

    process_id: int

    def settle(self, hold: Hold, amounts: Mapping[Unit, int], /) -> Settlement | None:
        """Charge the bill and give the rest back; None if that was done before."""
        ...

    def settle_known(self, hold: Hold, amounts: Mapping[Unit, int], /) -> Settlement | None:
        """Charge the known part of the bill; a unit that is not named stays in doubt. None if it was settled before."""
        ...

    def settle_another(self, hold: Hold, amounts: Mapping[Unit, int], /) -> Settlement | None:
        """Charge the bill of one more answer that came for the hold; None where that changes nothing."""
        ...

    def doubt_another(self, hold: Hold, units: Collection[Unit], /) -> None:
        """Put one more answer that came for the hold in doubt, in these units."""
        ...

    def release(self, hold: Hold, /) -> bool:
        """Give the whole hold back; False if it is not held any more."""
        ...

    def doubt(self, hold: Hold, /) -> bool:
        """Put the hold in doubt; False if it is not held any more."""
        ...

    def drop(self, hold: Hold, /) -> None:
        """Count one reference to the hold less; without the last one, an open hold is in doubt."""
        ...


class LedgerHold(msgspec.Struct, eq=False, gc=False):
    """`async with await ledger.reserve(...) as hold:` left unsettled, by an exception or not, the hold is in doubt.

    In doubt it stays charged until its usage arrives (`settle`), or someone resolves it. All methods but `extend` and
    `observe` are synchronous, safe in any cancellation and over threads. They raise LedgerUnavailableError once the
    ledger is closed: what is not settled by then is in doubt. So is what nobody keeps any more.

    Nothing that it refers to keeps it, so that the garbage collector need not look at the many of them.
    """

    #: The ledger that made it may have to ask its bank.
    _extend: ExtendHold
    _local: SettlesHolds
    #: The hold as the ledger knows it, also when nobody has this one any more.
    _entry: Hold

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the end of the interpreter the journal says the same, and whoever opens the ledger next reads it.
        if self._entry.state == "held" and not is_finalizing():
            self._local.drop(self._entry)

    def __repr__(self) -> str:
        billed = self._entry.billed if self.state == "settled" else None
        return f"<LedgerHold {self.hold_id} {self.state} {dict(self.amounts if billed is None else billed)}>"

    @property
    def hold_id(self) -> str:
        """Unique in this base path; what `Ledger.resolve` takes."""
        return f"{self._local.process_id}-{self._entry.hold_id}"

    @property
    def key(self) -> str | None:
        """What it was reserved with, so that an attempt is not held twice."""
        return self._entry.key

    @property
    def state(self) -> HoldState:
        """`held`, `in_doubt`, `settled` or `released`."""
        return self._entry.state

    @property
    def budgets(self) -> frozenset[str]:
        """The names of the budgets that it counts on."""
        return self._entry.budgets

    @property
    def units(self) -> frozenset[Unit]:
        """The units in which its budgets count it."""
        return self._entry.units

    def status(self, budgets: Collection[str] | None = None) -> tuple[AccountDetails, ...]:
        """Return how its accounts stand by now, or those of `budgets` alone, as far as this process knows."""
        return self._entry.status(budgets)

    @property
    def amounts(self) -> Mapping[Unit, int]:
        """What is set aside, by unit."""
        return self._entry.amounts

    @property
    def shadowed(self) -> tuple[Refusal, ...]:
        """What shadow budgets would have refused."""
        return self._entry.shadowed

    def settle(  # spelled out, because `**more` costs each turn a mapping
        self,
        usd: USDAmount | None = None,
        *,
        nanousd: int | None = None,
        tokens: int | None = None,
        calls: int | None = None,
    ) -> Settlement | None:
        """Charge the bill and give the rest back; None, and nothing changes, if that was done before.

        A unit that is not named is charged as it was held. A bill above its hold, or above what somebody resolved it
        at, is charged in full, and freezes the budget unless the hold is partial: `Settlement.incidents`, or
        `hivecost.signals.settled_late` where only the bank knows. Raise ConfigError for an amount that cannot be.
        """
        return self._local.settle(self._entry, amounts_of(usd, nanousd, tokens, calls))

    def settle_known(
        self,
        usd: USDAmount | None = None,
        **more: Unpack[Amounts],
    ) -> Settlement | None:
        """Charge what is known of the bill: a unit that is not named stays in doubt, until `settle` or `resolve`.

        Named once, a unit stays as it was charged. None, and nothing changes, for a hold that is not held any more.
        Otherwise as `settle`, but that a closed ledger gives None.
        """
        return self._local.settle_known(self._entry, amounts_of(usd, **more))

    def settle_another(
        self,
        usd: USDAmount | None = None,
        **more: Unpack[Amounts],
    ) -> Settlement | None:
        """Charge the bill of one more answer that came for it, on its accounts and in its periods.

        What earlier bills left of the hold pays for it, as far as the accounts still have room: after `settle` the rest
        is anybody's. What is above is charged in full and freezes the budget, as in `settle`. A unit that is not named
        is charged at nothing, calls at one. Each call is another answer. None, and `settled_late`, as in `settle`.
        """
        return self._local.settle_another(self._entry, amounts_of(usd, **more))

    def doubt_another(self, units: Collection[Unit] = UNITS) -> None:
        """Put one more answer that came for the hold in doubt: nobody knows its bill in these units.

        What is left of the hold there is in doubt as one of its own, as far as the accounts still have room.
        """
        self._local.doubt_another(self._entry, units)

    def release(self) -> bool:
        """Give the whole hold back, because it is sure that nothing was sent; False if it is not held any more."""
        return self._local.release(self._entry)

    def doubt(self) -> bool:
        """Put the hold in doubt: it may have been sent, its bill is unknown. Return False if it is held no more."""
        return self._local.doubt(self._entry)

    async def extend(
        self,
        usd: USDAmount | None = None,
        **more: Unpack[Amounts],
    ) -> None:
        """Set more aside, on all accounts of the hold or on none. Raise as `Ledger.reserve` does."""
        await self._extend(self._entry, amounts_of(usd, **more))

    async def observe(
        self,
        usd: USDAmount | None = None,
        **more: Unpack[Amounts],
    ) -> None:
        """Note what it has cost so far, and keep at least an eighth more than that set aside.

        Where less is, extends the hold to a quarter more. Raise as `Ledger.reserve` does: stop then, and settle at
        what it has cost.
        """
        seen = amounts_of(usd, **more)
        short = {unit: amount for unit, amount in seen.items() if amount + amount // 8 > self.amounts.get(unit, 0)}
        if short:
            lacking = {unit: amount + amount // 4 - self.amounts.get(unit, 0) for unit, amount in short.items()}
            await self._extend(self._entry, lacking)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._entry.state == "held":
            self._local.doubt(self._entry)
