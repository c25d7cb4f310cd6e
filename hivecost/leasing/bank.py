"""What lends to the ledgers of many processes, wherever it keeps the accounts: the whole contract.

A bank keeps, durably and for all processes, the accounts, what of them each process has leased, the holds in doubt, the
budgets in force and the audit trail. How a process decides within its
leases, and when it syncs, is the same for all of them: see `hivecost.leasing.LeasedLedger`.

All methods but `forked` may wait; what they do happens in full or not at all, and a cancelled caller may not know
which. Faults are StoreErrors. StoreMovedError and StoreVersionError say that what the process has leased is not its
own any more: it decides nothing from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from hivecost.errors import ConfigError
from hivecost.leasing.batch import Batch, Committed
from hivecost.leasing.journal import Journal
from hivecost.leasing.operations import Operation
from hivecost.ledger import Account, AccountStatus, Budget, Unit


class LeasePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a process syncs with its bank, and how much it leases at a time. Raises ConfigError for what cannot be.

    Seconds are those of the event loop, and so of the process.
    """

    #: How often a process that has leases looks whether others wait for them.
    tick_s: float = 0.05
    #: After how long settlements, which are in the journal at once, are in the bank.
    settle_s: float = 0.2
    #: After how long a lease goes back that nobody used; how often a process without leases looks for changes.
    idle_s: float = 1.0
    #: How long a reservation waits for others to return what they do not need.
    return_timeout_s: float = 0.5
    #: What part of what remains a process is lent at once; near the limit, and while others wait, what it needs.
    share: Fraction = Fraction(1, 32)

    def __post_init__(self) -> None:
        for name in ("tick_s", "settle_s", "idle_s", "return_timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"lease policy: {name}", "a number of seconds above zero", got=getattr(self, name))
        if not 0 <= self.share <= 1:
            raise ConfigError("lease policy: share", "a part from 0 to 1", got=str(self.share))


#: What a process on the bank's own machine does.
DEFAULT_POLICY: Final = LeasePolicy()


class Opened(NamedTuple):
    """A process that a bank knows now."""

    #: Above zero; the first part of the ids of its holds. No other process ever had it.
    process_id: int
    #: Where it writes down what it decides; the bank closes it.
    journal: Journal


class Poll(NamedTuple):
    """Whether there is a reason to sync."""

    #: Rows of the accounts that others wait for and this process has leased.
    contested: set[int]
    #: The newest entry of the audit trail.
    last_change: int


class LeaseBank(Protocol):
    """One process's connection to its bank; `open` comes first and once, `close` last."""

    @property
    def name(self) -> str:
        """Where it is, for people who read an error."""
        ...

    async def open(self, budgets: Sequence[Budget], *, holds_max: int, policy: LeasePolicy) -> Opened:
        """Recover processes that are gone, bring the budgets into force, and enter this process.

        Raise StoreErrors, and ConfigError for a budget that counts otherwise than it did.
        """
        ...

    async def sync(self, batch: Batch, operations: Sequence[Operation[Any]]) -> Committed:
        """Take the batch in, do the operations and answer the lease requests, in one transaction and one round trip.

        What of the batch was taken in before changes nothing: after a fault it is said again. The result of an
        operation that cannot be is its HiveCostError. Returns once everything is durable.
        """
        ...

    async def poll(self) -> Poll:
        """Return what of this process's leases others wait for, without a lock that anybody waits for."""
        ...

    async def status(self) -> list[AccountStatus]:
        """Return how the accounts stand over all processes, as far as it is known where the bank is.

        Those whose period is over are left out, unless something is still held or in doubt there.
        """
        ...

    async def remaining(self, accounts: Sequence[Account]) -> dict[Unit, int]:
        """Return the most that a turn on these accounts could hold once all unused leases are back, by unit."""
        ...

    async def close(self, batch: Batch | None, *, timeout_s: float) -> None:
        """Take the last batch in, take every lease back and forget the process; without a batch, as its journal says.

        Never raise for a fault: the process is then recovered as one that died.
        """
        ...

    def forked(self) -> None:
        """Let go, in a forked child, of what is its parent's."""
        ...
