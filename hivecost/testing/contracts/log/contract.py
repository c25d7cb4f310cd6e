"""The whole contract: what the author of a backend subclasses."""

from __future__ import annotations

from hivecost.testing.contracts.log.lists import ListPromises
from hivecost.testing.contracts.log.standing import StandingPromises
from hivecost.testing.contracts.log.state import StatePromises
from hivecost.testing.contracts.log.sums import SumPromises
from hivecost.testing.contracts.log.writing import WritingPromises


class LogContract(StandingPromises, SumPromises, ListPromises, WritingPromises, StatePromises):
    """What every log keeps, as tests for pytest: `hivecost.log.LogReader`, `LogWriter` and `LogState`.

    class TestMyLog(LogContract):
        def backend(self, place):
            return MyBackend(f"mine://host/{place.name}")

    Each test has a place of its own, where nothing is yet. Accounts and the audit trail are written by a ledger, so
    that only their absence is tested here.
    """
