"""What every reader of a runtime log promises, as tests that its author runs."""

from hivecost.testing.contracts.log.contract import LogContract

__all__ = ["LogContract"]
