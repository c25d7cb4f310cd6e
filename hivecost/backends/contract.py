"""What a backend is: where a runtime log and a ledger live."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from hivecost.clock import Clock

if TYPE_CHECKING:
    from hivecost.leasing import LeaseBank
    from hivecost.ledger import Budget, LedgerReader, LedgerStore
    from hivecost.log import LogReader, LogState, LogWriter


#: The published data is about 3 MB.
RATES_BYTES_MAX: Final = 2**26


class Rates(Protocol):
    """The fetched price tables of a place. Every method raises StoreErrors, and may wait for a disk or a network."""

    @property
    def name(self) -> str:
        """Where they are, for people."""
        ...

    def current(self) -> bytes | None:
        """Return the rates of the last update; None: there was none."""
        ...

    def previous(self) -> bytes | None:
        """Return the rates of the update before the last; None: there was none."""
        ...

    def save(self, data: bytes) -> bool:
        """Make these the current ones, and keep those before; False when they are that already."""
        ...


class Backend(Protocol):
    """A place with a log and a ledger. Making one opens nothing; what is not there reads as empty."""

    @property
    def name(self) -> str:
        """The path or the URL, for people."""
        ...

    @property
    def rates(self) -> Rates:
        """The fetched price tables of the place."""
        ...

    def reader(self) -> LogReader:
        """Return a reader of the log."""
        ...

    def writer(self, *, clock: Clock = ...) -> LogWriter:
        """Return a writer of the log, to be opened with `async with`."""
        ...

    def state(self, *, clock: Clock = ...) -> LogState:
        """Return the small tables beside the log."""
        ...

    def ledger(self, budgets: Iterable[Budget] = (), *, clock: Clock = ...) -> LedgerStore:
        """Return the ledger of these budgets, all `mode="hard"`, to be opened with `async with`.

        One that keeps none raises LedgerUnavailableError.
        """
        ...

    def ledger_reader(self) -> LedgerReader:
        """Return a reader of the ledger."""
        ...

    def living(self) -> AbstractAsyncContextManager[str]:
        """Give an id by which readers of the log can tell, until this ends, that the process lives; "": they cannot."""
        ...


@runtime_checkable
class Lends(Protocol):
    """What a backend may have besides: a bank that lends to processes, which decide within their leases in memory.

    `Ledger.open` then makes the ledger of it, with the limits and the LeasePolicy that it is given.
    """

    def lease_bank(self, clock: Clock) -> LeaseBank:
        """Return the bank of the ledger's accounts, which is not open yet."""
        ...
