"""What every ledger backend promises, as tests that its author runs."""

from hivecost.testing.ledger_contract.contract import LedgerContract

__all__ = ["LedgerContract"]
