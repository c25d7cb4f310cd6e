"""What a process tells the database in one transaction, and what it hears back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from hivecost.ledger import Hold, Incident, Refusal, Unit
from hivecost.ledger.account import Account


class Share(NamedTuple):
    """What pays for a further answer on one account, as far as the hold that it came for would have."""

    #: Out of the room that there was.
    leased: int
    #: Out of what is lent to nobody, if there is so much.
    unleased: int


class Bill(msgspec.Struct, gc=False):
    """A settlement that is not in the database yet."""

    number: int
    hold: Hold
    #: Those that are charged, and by unit with how much.
    accounts: tuple[Account, ...]
    billed: Mapping[Unit, int]
    #: What the hold had set aside; nothing, if it was released before.
    held: Mapping[Unit, int]
    #: Where it is written down; None: nowhere, or where its hold still is.
    place: int | None
    #: The hold was, or is just being, handed to the database as one in doubt.
    late: bool
    #: Of a further answer, by row of its accounts.
    shares: Mapping[int, Share] | None = None


class BillSums(NamedTuple):
    """By row of the accounts."""

    billed: dict[int, int]
    #: What of it the holds had set aside.
    held: dict[int, int]
    #: What is charged besides, out of what is lent to nobody.
    unleased: dict[int, int]

    def not_leased(self, row_id: int) -> int:
        """What of the bills takes nothing of the lease."""
        return self.billed.get(row_id, 0) - self.held.get(row_id, 0) + self.unleased.get(row_id, 0)


def sums_of_bills(bills: Iterable[Bill], *, above: int = 0) -> BillSums:
    """The sums of the bills that are numbered above `above`; late ones belong to the doubts that they resolve."""
    sums = BillSums({}, {}, {})
    for bill in bills:
        if bill.late or bill.number <= above:
            continue
        billed = bill.billed
        for account in bill.accounts:
            row_id, unit = account.row_id, account.unit
            if row_id:
                amount = billed[unit]
                share = Share(min(amount, bill.held[unit]), 0) if bill.shares is None else bill.shares[row_id]
                sums.billed[row_id] = sums.billed.get(row_id, 0) + amount - share.unleased
                sums.held[row_id] = sums.held.get(row_id, 0) + share.leased
                sums.unleased[row_id] = sums.unleased.get(row_id, 0) + share.unleased
    return sums


class Ask(msgspec.Struct, eq=False):
    """A reservation that the leases of this process do not cover."""

    accounts: tuple[Account, ...]
    amounts: Mapping[Unit, int]


class Answer(msgspec.Struct, frozen=True):
    """What became of an Ask: granted when there is no refusal."""

    refusal: Refusal | None = None
    #: Others have leases that they may return.
    worth_waiting: bool = False


class Batch(msgspec.Struct):
    """Collected at one instant."""

    bills: list[Bill]
    #: The sums of the bills, made before anybody waits for the database.
    sums: BillSums
    doubts: list[Hold]
    #: Budgets that a bill froze, and why.
    frozen: dict[str, str]
    #: Lease → what is to stay of it; nothing more is held against it until the answer.
    kept: dict[int, int]
    asks: list[Ask]
    #: What the asking accounts could hold without asking.
    rooms: dict[Account, int]
    #: Every account above, and those of leases that are under another limit now, as they stood.
    settled_then: dict[Account, int]
    #: Accounts in memory only, whose own limits are in the database all the same.
    in_memory: set[Account]


class BudgetRow(msgspec.Struct, frozen=True):
    """A budget as it is in force for all processes."""

    limit: int
    frozen: str | None
    #: Whether values of its attributes have limits of their own.
    has_own_limits: bool


class AccountRow(msgspec.Struct, frozen=True):
    """An account as the database has it, and this process's lease on it."""

    row_id: int
    settled: int
    leased: int
    own_limit: int | None


class Overrun(NamedTuple):
    """A bill above what was paid for its hold, of which only the database knew."""

    hold: Hold
    incidents: tuple[Incident, ...]


class Committed(msgspec.Struct):
    """What is durable now."""

    accounts: dict[Account, AccountRow]
    budgets: dict[str, BudgetRow]
    answers: list[Answer]
    #: Of the accounts in memory only.
    own_limits: dict[Account, int | None]
    #: The newest entry of the list of changes.
    last_change: int
    overruns: list[Overrun] = []
