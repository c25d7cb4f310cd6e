"""What backends promise, as tests that their authors run."""

from hivecost.testing.contracts.log import LogContract

__all__ = ["LogContract"]
