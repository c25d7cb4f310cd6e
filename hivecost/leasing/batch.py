"""What a process tells its bank in one sync, and what it hears back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from hivecost.ledger import Hold, Overrun, Refusal, Unit
from hivecost.ledger.account import Account


class Share(NamedTuple):
    """What pays for a further answer on one account, as far as the hold that it came for would have."""

    #: Out of the room that there was.
    leased: int
    #: Out of what is lent to nobody, if there is so much.
    unleased: int


class Bill(msgspec.Struct, gc=False):
    """A settlement that is not in the bank yet."""

    number: int
    hold: Hold
    #: Those that are charged, and by unit with how much.
    accounts: tuple[Account, ...]
    billed: Mapping[Unit, int]
    #: What the hold had set aside; nothing, if it was released before.
    held: Mapping[Unit, int]
    #: Where it is written down; None: nowhere, or where its hold still is.
    slot: int | None
    #: The hold was, or is just being, transferred to the bank as one in doubt.
    late: bool
    #: Of a further answer, by number of its accounts.
    shares: Mapping[int, Share] | None = None


class BillSums(NamedTuple):
    """By number of the accounts."""

    billed: dict[int, int]
    #: What of it the holds had set aside.
    held: dict[int, int]
    #: What is charged besides, out of what is lent to nobody.
    unleased: dict[int, int]

    def not_leased(self, bank_id: int) -> int:
        """Return the part of the bills that takes nothing of the lease."""
        return self.billed.get(bank_id, 0) - self.held.get(bank_id, 0) + self.unleased.get(bank_id, 0)


def sums_of_bills(bills: Iterable[Bill], *, above: int = 0) -> BillSums:
    """Return the sums of the bills numbered above `above`; late ones belong to the holds in doubt that they resolve."""
    sums = BillSums({}, {}, {})
    for bill in bills:
        if bill.late or bill.number <= above:
            continue
        billed = bill.billed
        for account in bill.accounts:
            bank_id, unit = account.bank_id, account.unit
            if bank_id:
                amount = billed[unit]
                share = Share(min(amount, bill.held[unit]), 0) if bill.shares is None else bill.shares[bank_id]
                sums.billed[bank_id] = sums.billed.get(bank_id, 0) + amount - share.unleased
                sums.held[bank_id] = sums.held.get(bank_id, 0) + share.leased
                sums.unleased[bank_id] = sums.unleased.get(bank_id, 0) + share.unleased
    return sums


class LeaseRequest(msgspec.Struct, eq=False):
    """A reservation that the leases of this process do not cover."""

    accounts: tuple[Account, ...]
    amounts: Mapping[Unit, int]


class LeaseReply(msgspec.Struct, frozen=True):
    """What became of a LeaseRequest: granted when there is no refusal."""

    refusal: Refusal | None = None
    #: Others have leases that they may return.
    worth_waiting: bool = False


class Batch(msgspec.Struct):
    """Collected at one instant."""

    bills: list[Bill]
    #: The sums of the bills, made before anybody waits for the bank.
    sums: BillSums
    in_doubt: list[Hold]
    #: Budgets that a bill froze, and why.
    frozen: dict[str, str]
    #: Lease → what is to stay of it; nothing more is held against it until the answer.
    kept: dict[int, int]
    requests: list[LeaseRequest]
    #: What their accounts could hold without them.
    rooms: dict[Account, int]
    #: Every account above, and those of leases that are under another limit now, as they stood.
    settled_then: dict[Account, int]
    #: Accounts in memory only, whose own limits are in the bank all the same.
    in_memory: set[Account]


class BudgetRow(msgspec.Struct, frozen=True):
    """A budget as it is in force for all processes."""

    limit: int
    frozen: str | None
    #: Whether values of its attributes have limits of their own.
    has_own_limits: bool


class AccountRow(msgspec.Struct, frozen=True):
    """An account as the bank has it, and this process's lease on it."""

    bank_id: int
    settled: int
    leased: int
    own_limit: int | None


class LateOverrun(NamedTuple):
    """A bill above what was paid for its hold, of which only the bank knew."""

    hold: Hold
    overruns: tuple[Overrun, ...]


class Committed(msgspec.Struct):
    """What is durable now."""

    accounts: dict[Account, AccountRow]
    budgets: dict[str, BudgetRow]
    replies: list[LeaseReply]
    #: Of the accounts in memory only.
    own_limits: dict[Account, int | None]
    #: The newest entry of the audit trail.
    last_change: int
    overruns: list[LateOverrun]
    #: What the operations gave, in their order; a HiveCostError of one is its result.
    results: list[Any]
    #: The time of the bank, by its own clock.
    now_ns: int
