"""What every ledger backend promises, as tests that its author runs."""

from hivecost.testing.contracts.ledger.contract import LedgerContract

__all__ = ["LedgerContract"]
