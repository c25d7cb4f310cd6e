"""What a process decides in memory against its leases, its journal, and how it keeps the bank that lends informed."""

from hivecost.leasing.bank import DEFAULT_POLICY, LeaseBank, LeasePolicy, Opened, Poll
from hivecost.leasing.batch import (
    AccountRow,
    Batch,
    Bill,
    BudgetRow,
    Committed,
    LateOverrun,
    LeaseReply,
    LeaseRequest,
)
from hivecost.leasing.journal import Journal, JournalEntry, TornJournalError, read_journal
from hivecost.leasing.leased_ledger import LeasedLedger
from hivecost.leasing.ledger_hold import LedgerHold
from hivecost.leasing.operations import Operation

__all__ = [
    "DEFAULT_POLICY",
    "AccountRow",
    "Batch",
    "Bill",
    "BudgetRow",
    "Committed",
    "Journal",
    "JournalEntry",
    "LateOverrun",
    "LeaseBank",
    "LeasePolicy",
    "LeaseReply",
    "LeaseRequest",
    "LeasedLedger",
    "LedgerHold",
    "Opened",
    "Operation",
    "Poll",
    "TornJournalError",
    "read_journal",
]
