"""The ledger in SQLite: a bank that lends to the processes of one machine, and recovers them after any crash."""

from hivecost.store.ledger.lease_bank import SqliteLeaseBank
from hivecost.store.ledger.ledger import Ledger
from hivecost.store.ledger.status import Holder, read_accounts, read_accounts_of, read_doubts, read_holders

__all__ = [
    "Holder",
    "Ledger",
    "SqliteLeaseBank",
    "read_accounts",
    "read_accounts_of",
    "read_doubts",
    "read_holders",
]
