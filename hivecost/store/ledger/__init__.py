"""The durable ledger: holds decided in memory against committed leases, recovered after any crash."""

from hivecost.ledger import BudgetChange, BudgetState, DoubtAmount, DoubtfulHold
from hivecost.store.ledger.hold import LedgerHold
from hivecost.store.ledger.ledger import Ledger
from hivecost.store.ledger.status import Holder, read_accounts, read_accounts_of, read_doubts, read_holders

__all__ = [
    "BudgetChange",
    "BudgetState",
    "DoubtAmount",
    "DoubtfulHold",
    "Holder",
    "Ledger",
    "LedgerHold",
    "read_accounts",
    "read_accounts_of",
    "read_doubts",
    "read_holders",
]
