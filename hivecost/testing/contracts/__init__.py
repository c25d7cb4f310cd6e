"""What backends promise, as tests that their authors run."""

from hivecost.testing.contracts.ledger import LedgerContract
from hivecost.testing.contracts.log import LogContract

__all__ = ["LedgerContract", "LogContract"]
