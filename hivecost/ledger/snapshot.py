"""The whole state of a ledger as values that cross a border, a restart for one."""

from __future__ import annotations

import msgspec

from hivecost.errors import ConfigError
from hivecost.ledger.account import Account
from hivecost.ledger.amounts import Unit
from hivecost.ledger.budget import Budget
from hivecost.ledger.hold import HoldState
from hivecost.ledger.period import Period, Window


class AccountSnapshot(msgspec.Struct, frozen=True):
    """One account: how its budget counted, which account it is, and its sums."""

    budget: str
    unit: Unit
    window: Window
    timezone: str
    attributes: tuple[str, ...]
    values: tuple[str, ...]
    period: Period
    settled: int
    held: int
    in_doubt: int
    unpriced_calls: int
    overrun: int
    over: bool


class HoldSnapshot(msgspec.Struct, frozen=True):
    """One open hold; `accounts` are indices into the accounts of the snapshot."""

    hold_id: int
    key: str | None
    state: HoldState
    accounts: tuple[int, ...]
    amounts: dict[Unit, int]
    is_partial: bool = False


class LedgerSnapshot(msgspec.Struct, frozen=True):
    """All accounts, all open holds, and the frozen budgets with the reason."""

    accounts: tuple[AccountSnapshot, ...] = ()
    holds: tuple[HoldSnapshot, ...] = ()
    frozen: dict[str, str] = {}
    last_hold_id: int = 0


def save_account(account: Account) -> AccountSnapshot:
    """Return the account as a snapshot keeps it."""
    budget = account.budget
    return AccountSnapshot(
        budget=budget.name,
        unit=account.unit,
        window=budget.window,
        timezone=budget.timezone,
        attributes=budget.account_attributes,
        values=account.values,
        period=account.period,
        settled=account.settled,
        held=account.held,
        in_doubt=account.in_doubt,
        unpriced_calls=account.unpriced_calls,
        overrun=account.overrun,
        over=account.over,
    )


def load_account(saved: AccountSnapshot, budget: Budget) -> Account:
    """Return the account under its budget as it is now; warnings that were given are not repeated.

    Raise ConfigError when the budget now counts something else than the sums that were saved.
    """
    counted = {
        "limit": (saved.unit, budget.counted_unit),
        "window": (saved.window, budget.window),
        "timezone": (saved.timezone, budget.timezone),
        "per": (saved.attributes, budget.account_attributes),
    }
    for field, (before, now) in counted.items():
        if before != now:
            expected = f"{before!r}, in which its money was counted; a budget that counts anew needs a new name"
            raise ConfigError(f"budget {budget.name!r}.{field}", expected, got=now)
    return Account(
        budget=budget,
        values=saved.values,
        period=saved.period,
        limit=budget.limit_amount,
        settled=saved.settled,
        held=saved.held,
        in_doubt=saved.in_doubt,
        unpriced_calls=saved.unpriced_calls,
        overrun=saved.overrun,
        over=saved.over,
    )
