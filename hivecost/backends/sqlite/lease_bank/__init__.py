"""The ledger in SQLite: a bank that lends to the processes of one machine, and recovers them after any crash."""

from hivecost.backends.sqlite.lease_bank.bank import SqliteLeaseBank
from hivecost.backends.sqlite.lease_bank.status import read_accounts, read_accounts_of, read_doubts, read_holders

__all__ = ["SqliteLeaseBank", "read_accounts", "read_accounts_of", "read_doubts", "read_holders"]
