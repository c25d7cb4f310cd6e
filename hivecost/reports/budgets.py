"""How hard budgets stand, over all processes."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from hivecost.clock import SYSTEM_CLOCK, Clock, to_datetime
from hivecost.errors import LedgerUnavailableError
from hivecost.ledger import AccountStatus, OwnLimit, Unit, Window
from hivecost.queries import BudgetState, load_budgets, load_overruled_limits
from hivecost.store import DoubtfulHold, read_accounts, read_doubts, run_in_thread


class BudgetLedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A hard budget and its accounts. Amounts are integers in `unit`: nano-USD, tokens or calls."""

    budget: str
    unit: Unit
    window: Window
    timezone: str
    limit: int
    #: What the configuration said last; another one than `limit` where an operator changed that since.
    configured_limit: int
    #: It only says what it would do.
    shadow: bool
    #: Why nothing is granted; "" while it is.
    frozen: str
    #: None yet, when nothing was asked of it; a window of `execution` has them in its own process only.
    accounts: list[AccountStatus]


class BudgetReport(msgspec.Struct, frozen=True, kw_only=True):
    """All hard budgets of a base path at one instant."""

    at: datetime
    budgets: list[BudgetLedgerLine]
    #: Where operators gave single values another limit than is configured, the first thousand.
    overruled: list[OwnLimit] = []


async def load_budget_report(base_path: str | Path, *, clock: Clock = SYSTEM_CLOCK) -> BudgetReport:
    """How every hard budget stands, what other processes hold included. Reads only.

    Raises LedgerUnavailableError and StoreErrors.
    """
    await require_ledger(base_path)
    accounts = await run_in_thread(partial(read_accounts, Path(base_path), clock.now_ns()))
    return BudgetReport(
        at=to_datetime(clock.now_ns()),
        budgets=[_line(state, accounts) for state in await load_budgets(base_path)],
        overruled=await load_overruled_limits(base_path),
    )


async def load_doubts(base_path: str | Path, *, clock: Clock = SYSTEM_CLOCK) -> list[DoubtfulHold]:
    """The holds in doubt, oldest first. Raises LedgerUnavailableError and StoreErrors."""
    await require_ledger(base_path)
    return await run_in_thread(partial(read_doubts, Path(base_path), clock.now_ns()))


async def require_ledger(base_path: str | Path) -> dict[str, BudgetState]:
    """The hard budgets by name. Raises LedgerUnavailableError where there never were any, and makes nothing there."""
    budgets = await load_budgets(base_path)
    if not budgets:
        raise LedgerUnavailableError(
            f'{base_path}: there is no ledger yet: a runtime makes one when it runs with a mode="hard" budget there '
            "(--data names another folder). A runtime with open_ledger=… keeps its money elsewhere: "
            "ask it with `await runtime.budgets.status()`"
        )
    return {budget.name: budget for budget in budgets}


def _line(state: BudgetState, accounts: list[AccountStatus]) -> BudgetLedgerLine:
    return BudgetLedgerLine(
        budget=state.name,
        unit=state.unit,
        window=state.window,
        timezone=state.timezone,
        limit=state.limit,
        configured_limit=state.configured_limit,
        shadow=state.shadow,
        frozen=state.frozen,
        accounts=[account for account in accounts if account.budget == state.name],
    )
