"""The ledger of a base path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, cast

from hivecost.backends.contract import Lends
from hivecost.backends.opening import open_backend
from hivecost.backends.places import Place
from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.leasing import DEFAULT_POLICY, LeasedLedger, LeasePolicy
from hivecost.ledger import Budget, listed_budgets


class Ledger(LeasedLedger):
    """Holds money before each attempt, so that no account is ever spent beyond its limit.

        async with Ledger.open("data", budgets=[Budget("org day", limit="$50", window="day")]) as ledger:
            async with await ledger.reserve({"org": "acme"}, usd="0.01", key="attempt-1") as hold:
                ...                                  # send; leaving by exception leaves the hold in doubt
                hold.settle(usd="0.007")             # or hold.release() if it was never sent

    Any number of Ledgers, of any number of processes on one machine, may share a base path. Its coroutines may be
    awaited on any event loop while the one that opened it runs; a hold's own methods may be called from any thread.
    """

    @classmethod
    def open(
        cls,
        base_path: Place,
        *,
        budgets: Budget | Iterable[Budget] = (),
        clock: Clock = SYSTEM_CLOCK,
        holds_max: int = 8192,
        close_timeout_s: float = 30.0,
        policy: LeasePolicy = DEFAULT_POLICY,
    ) -> Self:
        """Open the ledger of a base path, which is a folder or a URL.

        Use it in `async with`: entering brings the budgets into force, and recovers the holds of dead processes.

        `holds_max` bounds the holds that are open at once, and those that are settled and not committed yet. `policy`
        says how often it syncs, and how much it leases at a time. A place that lends nothing, such as `memory://NAME`,
        has no use for these.

        Opening raises LedgerUnavailableError, and ConfigError for budgets that are not `mode="hard"`, or that count
        otherwise than they did.
        """
        backend = open_backend(base_path)
        if not isinstance(backend, Lends):
            # What it gives has the same methods, whatever it is.
            return cast("Self", backend.ledger(listed_budgets(budgets), clock=clock))
        return cls(
            backend.lease_bank(clock),
            listed_budgets(budgets),
            clock,
            holds_max=holds_max,
            close_timeout_s=close_timeout_s,
            policy=policy,
        )
