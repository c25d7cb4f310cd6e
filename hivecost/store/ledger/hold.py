"""Money that is set aside for one attempt, in the hands of whoever sends it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from hivecost.ledger import UNITS, Account, Hold, HoldState, Refusal, Settlement, Unit, USDAmount, amounts_of

if TYPE_CHECKING:
    from hivecost.store.ledger.desk import Desk
    from hivecost.store.ledger.ledger import Ledger


class LedgerHold(msgspec.Struct, eq=False, gc=False):
    """`async with await ledger.reserve(...) as hold:` left unsettled, by an exception or not, the hold is in doubt.

    In doubt it stays charged until its usage arrives (`settle`), or someone resolves it. All methods but `extend` and
    `observe` are synchronous, safe in any cancellation and over threads. They raise LedgerUnavailableError once the
    ledger is closed: what is not settled by then is in doubt. So is what nobody keeps any more.

    Nothing that it refers to keeps it, so that the garbage collector need not look at the many of them.
    """

    _ledger: Ledger
    _desk: Desk
    #: The hold as the ledger knows it, also when nobody has this one any more.
    pure: Hold

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the end of the interpreter the journal says the same, and whoever opens the ledger next reads it.
        if self.pure.state == "held" and not is_finalizing():
            self._desk.drop(self.pure)

    def __repr__(self) -> str:
        billed = self.pure.billed if self.state == "settled" else None
        return f"<LedgerHold {self.hold_id} {self.state} {dict(self.amounts if billed is None else billed)}>"

    @property
    def hold_id(self) -> str:
        """Unique in this base path; what `Ledger.resolve` takes."""
        return f"{self._desk.process_id}-{self.pure.hold_id}"

    @property
    def key(self) -> str | None:
        return self.pure.key

    @property
    def state(self) -> HoldState:
        return self.pure.state

    @property
    def accounts(self) -> tuple[Account, ...]:
        """All that it was made on."""
        return self.pure.made_on

    @property
    def amounts(self) -> Mapping[Unit, int]:
        """What is set aside, by unit."""
        return self.pure.amounts

    @property
    def shadowed(self) -> tuple[Refusal, ...]:
        """What shadow budgets would have refused."""
        return self.pure.shadowed

    def settle(
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
        `hivecost.signals.settled_late` where only the database knows. Raises ConfigError for an amount that cannot be.
        """
        return self._desk.settle(self, amounts_of(usd, nanousd, tokens, calls))

    def settle_known(
        self,
        usd: USDAmount | None = None,
        *,
        nanousd: int | None = None,
        tokens: int | None = None,
        calls: int | None = None,
    ) -> Settlement | None:
        """Charge what is known of the bill: a unit that is not named stays in doubt, until `settle` or `resolve`.

        Named once, a unit stays as it was charged. None, and nothing changes, for a hold that is not held any more.
        Otherwise as `settle`, but that a closed ledger gives None.
        """
        return self._desk.settle_known(self, amounts_of(usd, nanousd, tokens, calls))

    def settle_another(
        self,
        usd: USDAmount | None = None,
        *,
        nanousd: int | None = None,
        tokens: int | None = None,
        calls: int | None = None,
    ) -> Settlement | None:
        """Charge the bill of one more answer that came for it, on its accounts and in its periods.

        What earlier bills left of the hold pays for it, as far as the accounts still have room: after `settle` the rest
        is anybody's. What is above is charged in full and freezes the budget, as in `settle`. A unit that is not named
        is charged at nothing, calls at one. Each call is another answer. None, and `settled_late`, as in `settle`.
        """
        return self._desk.settle_another(self, amounts_of(usd, nanousd, tokens, calls))

    def doubt_another(self, units: Collection[Unit] = UNITS) -> None:
        """One more answer came for it, and nobody knows its bill in these units.

        What is left of the hold there is in doubt as one of its own, as far as the accounts still have room.
        """
        self._desk.doubt_another(self, units)

    def release(self) -> bool:
        """Give the whole hold back, because it is sure that nothing was sent; False if it is not held any more."""
        return self._desk.release(self)

    def doubt(self) -> bool:
        """It may have been sent, and nobody knows the bill; False if it is not held any more."""
        return self._desk.doubt(self)

    async def extend(
        self,
        usd: USDAmount | None = None,
        *,
        nanousd: int | None = None,
        tokens: int | None = None,
        calls: int | None = None,
    ) -> None:
        """Set more aside, on all accounts of the hold or on none. Raises as `Ledger.reserve` does."""
        await self._ledger.extend(self, amounts_of(usd, nanousd, tokens, calls))

    async def observe(
        self,
        usd: USDAmount | None = None,
        *,
        nanousd: int | None = None,
        tokens: int | None = None,
        calls: int | None = None,
    ) -> None:
        """It has cost so much so far: keeps at least an eighth more than that set aside.

        Where less is, extends the hold to a quarter more. Raises as `Ledger.reserve` does: stop then, and settle at
        what it has cost.
        """
        seen = amounts_of(usd, nanousd, tokens, calls)
        short = {unit: amount for unit, amount in seen.items() if amount + amount // 8 > self.amounts.get(unit, 0)}
        if short:
            more = {unit: amount + amount // 4 - self.amounts.get(unit, 0) for unit, amount in short.items()}
            await self._ledger.extend(self, more)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.pure.state == "held":
            self._desk.doubt(self)
