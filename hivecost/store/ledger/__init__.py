"""The durable ledger: holds decided in memory against committed leases, recovered after any crash."""

from hivecost.store.ledger.doubts import DoubtAmount, DoubtfulHold
from hivecost.store.ledger.hold import LedgerHold
from hivecost.store.ledger.ledger import Ledger

__all__ = ["DoubtAmount", "DoubtfulHold", "Ledger", "LedgerHold"]
