"""What the tests of the contract share: how a ledger is opened, how it stands, and what it raises.

Assertions here say what they compared, because pytest explains only those in test files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import anyio

from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.errors import BudgetExhaustedError
from hivecost.ledger import Budget, LedgerStore, LedgerStoreHold

#: How long to wait, in seconds, for what takes a moment: another ledger of the place knows, a lease comes back.
PATIENCE_S: Final = 30.0
_AGAIN_AFTER_S: Final = 0.02

CENT: Final = 10_000_000
DOLLAR: Final = 100 * CENT
ACME: Final = {"org": "acme", "agent": "planner"}

E = TypeVar("E", bound=BaseException)


class OpensLedgers(ABC):
    """Opens ledgers for the tests."""

    #: Within so many seconds a ledger knows what another one of the place holds, has settled and leaves over.
    knows_others_within_s: float = 0.0

    @abstractmethod
    def open(self, place: Path, budgets: Sequence[Budget], clock: Clock) -> LedgerStore:
        """Return the ledger of a place, for `async with`. One that keeps no files takes `place` as a name."""

    def open_elsewhere(self, place: Path, budgets: Sequence[Budget], clock: Clock) -> LedgerStore:
        """Return the ledger of a place as another machine would open it, while this one has it open, too."""
        return self.open(place, budgets, clock)

    def opened(self, place: Path, *budgets: Budget, clock: Clock = SYSTEM_CLOCK) -> LedgerStore:
        """Return the ledger of a place with these budgets; a dollar for all is the budget if none is given."""
        return self.open(place, budgets or (total(),), clock)

    def opened_elsewhere(self, place: Path, *budgets: Budget, clock: Clock = SYSTEM_CLOCK) -> LedgerStore:
        """Return the ledger that `opened` does, as another machine would open it."""
        return self.open_elsewhere(place, budgets or (total(),), clock)

    async def until_same(self, look: Callable[[], Awaitable[object]], expected: object) -> None:
        """Wait until what is looked at is equal, once the ledger knows what others of the place did; fail otherwise."""
        end_s = anyio.current_time() + self.knows_others_within_s
        while True:
            found = await look()
            if found == expected or anyio.current_time() >= end_s:
                break
            await anyio.sleep(_AGAIN_AFTER_S)
        same(found, expected)

    async def until_sums(self, ledger: LedgerStore, expected: tuple[int, int, int]) -> None:
        """Wait until `sums` of the ledger are equal, once it knows what others of the place did; fail otherwise."""
        await self.until_same(lambda: sums(ledger), expected)


class Raised(Generic[E]):
    """What was raised."""

    error: E


@contextmanager
def raises(expected: type[E]) -> Iterator[Raised[E]]:
    """Fail unless the block raises this; other errors come through."""
    raised: Raised[E] = Raised()
    try:
        yield raised
    except expected as error:
        raised.error = error
        return
    raise AssertionError(f"{expected.__name__} must be raised, and nothing was")


def same(found: object, expected: object) -> None:
    """Fail unless the two are equal."""
    if found != expected:
        raise AssertionError(f"expected {expected!r}, found {found!r}")


def one_of(found: object, *expected: object) -> None:
    """Fail unless the value is equal to one of those expected."""
    if found not in expected:
        raise AssertionError(f"expected one of {expected!r}, found {found!r}")


def within(low: float, found: float, high: float) -> None:
    """Fail unless the number is from `low` to `high`."""
    if not low <= found <= high:
        raise AssertionError(f"expected {low:,} to {high:,}, found {found:,}")


def total(limit: str = "$1", **more: Any) -> Budget:
    """Return a hard budget over everything."""
    return Budget("all", limit, mode="hard", **more)


async def sums(ledger: LedgerStore, budget: str = "all") -> tuple[int, int, int]:
    """Return what is settled, held and in doubt on all accounts of a budget that the ledger shows."""
    rows = [row for row in await ledger.status() if row.budget == budget]
    return sum(row.settled for row in rows), sum(row.held for row in rows), sum(row.in_doubt for row in rows)


async def hold_of(ledger: LedgerStore, attribution: Mapping[str, str] = ACME, **amounts: Any) -> LedgerStoreHold:
    """Reserve as the gate of a runtime does, and return the hold."""
    return ledger.reserve_nowait(attribution, **amounts) or await ledger.reserve(attribution, **amounts)


async def until_refused(
    ledger: LedgerStore, attribution: Mapping[str, str] = ACME, **amounts: Any
) -> BudgetExhaustedError:
    """Wait until nothing is granted any more, once the ledger knows what others of the place did.

    Return the refusal.
    """
    async with in_time("nothing more is granted"):
        while True:
            try:
                (await hold_of(ledger, attribution, **amounts)).release()
            except BudgetExhaustedError as error:
                return error
            await anyio.sleep(_AGAIN_AFTER_S)


async def until_granted(ledger: LedgerStore, attribution: Mapping[str, str] = ACME, **amounts: Any) -> LedgerStoreHold:
    """Reserve once the ledger knows that there is room again, and return the hold."""
    async with in_time("there is room again"):
        while True:
            try:
                return await hold_of(ledger, attribution, **amounts)
            except BudgetExhaustedError:
                await anyio.sleep(_AGAIN_AFTER_S)


@asynccontextmanager
async def in_time(what: str) -> AsyncIterator[None]:
    """Fail unless the block ends within PATIENCE_S."""
    try:
        with anyio.fail_after(PATIENCE_S):
            yield
    except TimeoutError:
        raise AssertionError(f"{what}: not within {PATIENCE_S:.0f} s") from None
