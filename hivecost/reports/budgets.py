"""How budgets stand: hard ones over all processes, others by what is logged."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

import msgspec

from hivecost.backends import Place, read_log, read_place
from hivecost.clock import SYSTEM_CLOCK, Clock, to_datetime
from hivecost.errors import LedgerUnavailableError
from hivecost.ledger import (
    AccountStatus,
    BudgetChange,
    BudgetState,
    DoubtfulHold,
    LedgerReader,
    Mode,
    OwnLimit,
    Unit,
    Window,
)
from hivecost.log import LogReader
from hivecost.log.account_sums import logged_accounts
from hivecost.log.records import BudgetDefinition
from hivecost.reports.missing import is_logged

#: A runtime writes its budgets down one after the other.
_ONE_START_NS: Final = 60 * 10**9


class BudgetLedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A budget and its accounts. Amounts are integers in `unit`: nano-USD, tokens or calls."""

    budget: str
    mode: Mode = "hard"
    unit: Unit
    window: Window
    timezone: str
    #: Only turns with these attributes count; of a list, one must match. Empty: all turns. None: nobody wrote it down,
    #: because an older version was the last to use it.
    match: dict[str, tuple[str, ...]] | None = None
    #: Each of their values has an account of its own.
    attributes: tuple[str, ...] = ()
    limit: int
    #: What the configuration said last; another one than `limit` where an operator changed that since.
    configured_limit: int
    #: It only says what it would do.
    shadow: bool
    #: Why nothing is granted; "" while it is.
    frozen: str
    #: None yet, when nothing was asked of it. Those of an execution live in their own process only, and those of
    #: sessions are left out where the log alone would have to tell them.
    accounts: list[AccountStatus]
    #: When a runtime or a Ledger last started with it; None: before that was kept.
    last_seen: datetime | None = None
    #: False: what started here last does not have it. It is that of another program, or nobody's any more.
    in_last_start: bool = True
    #: It was taken out of force, and nobody has started with it since.
    is_retired: bool = False
    #: It is hard, and its money is in another ledger than that of this folder (`open_ledger=…`).
    is_elsewhere: bool = False


class BudgetReport(msgspec.Struct, frozen=True, kw_only=True):
    """All budgets of a base path at one instant: the hard ones, then the others, by name."""

    at: datetime
    budgets: list[BudgetLedgerLine]
    #: Where operators gave single values another limit than is configured, the first thousand.
    overruled: list[OwnLimit] = []


class InDoubt(msgspec.Struct, frozen=True, kw_only=True):
    """The holds in doubt of a ledger, and what they come to; a hold on several accounts counts once."""

    holds: int
    nanousd: int
    tokens: int
    calls: int


async def load_budget_report(place: Place, *, clock: Clock = SYSTEM_CLOCK) -> BudgetReport:
    """Return how every budget that was used here stands. Write nothing.

    Hard ones as the ledger has them, what other processes hold included; `stop_after` and `observe` ones as they were
    written down last, with what the log says was spent in the present period. Raise LedgerUnavailableError where no
    budget was ever used, and StoreErrors.
    """
    return await read_place(place, partial(budget_report, place=place, now_ns=clock.now_ns()))


def budget_report(log: LogReader, ledger: LedgerReader, *, place: Place, now_ns: int) -> BudgetReport:
    """Return what `load_budget_report` does, of a log and a ledger."""
    states, definitions = ledger.budgets(), log.budgets()
    if not states and not definitions:
        raise _no_budgets(place, has_log=is_logged(log))
    held = ledger.status(now_ns) if states else []
    hard = {known.budget.name: known for known in definitions if known.budget.mode == "hard"}
    names, current = {state.name for state in states}, in_last_start(definitions)
    elsewhere = [known for name, known in hard.items() if name not in names]
    counting = [known for known in definitions if known.budget.mode != "hard"]
    counted = logged_accounts(log, [known.budget for known in counting], now_ns)
    return BudgetReport(
        at=to_datetime(now_ns),
        budgets=[
            *(_held_line(state, hard.get(state.name), held, current) for state in states),
            *(_defined_line(known, (), current) for known in elsewhere),
            *(_defined_line(known, counted, current) for known in counting),
        ],
        overruled=ledger.own_limits(),
    )


def in_last_start(definitions: Sequence[BudgetDefinition]) -> frozenset[str]:
    """Return the names of those that the runtime or the Ledger has which started last; others may have the rest."""
    newest_ns = max((known.last_seen_ns for known in definitions), default=0)
    return frozenset(known.budget.name for known in definitions if newest_ns - known.last_seen_ns <= _ONE_START_NS)


async def load_doubts(place: Place, *, clock: Clock = SYSTEM_CLOCK) -> list[DoubtfulHold]:
    """Return the holds in doubt, oldest first. Raise LedgerUnavailableError and StoreErrors."""
    await require_ledger(place)
    return await read_place(place, lambda _, ledger: ledger.in_doubt(clock.now_ns()))


async def load_budget_changes(place: Place, *, limit: int = 100) -> list[BudgetChange]:
    """Return who changed budgets and resolved holds, the newest first. Raise as `load_doubts`, and ConfigError."""
    await require_ledger(place)
    return await read_log(place, lambda log: log.audit(limit=limit))


def in_doubt_of(ledger: LedgerReader, at_ns: int) -> InDoubt | None:
    """Return what is in doubt in a ledger; None where nothing is. Raise StoreErrors."""
    holds = ledger.in_doubt(at_ns) if ledger.budgets() else []
    return _added(holds) if holds else None


async def require_ledger(place: Place) -> dict[str, BudgetState]:
    """Return the hard budgets by name, and make nothing in the place.

    Raise LedgerUnavailableError where there never were any.
    """

    def budgets(log: LogReader, ledger: LedgerReader) -> list[BudgetState]:
        states = ledger.budgets()
        if not states:
            raise _no_budgets(place, has_log=is_logged(log))
        return states

    return {budget.name: budget for budget in await read_place(place, budgets)}


def _added(holds: Sequence[DoubtfulHold]) -> InDoubt:
    sums = {"usd": 0, "tokens": 0, "calls": 0}
    for hold in holds:
        for unit in sums:
            sums[unit] += max((part.amount for part in hold.amounts if part.unit == unit), default=0)
    return InDoubt(holds=len(holds), nanousd=sums["usd"], tokens=sums["tokens"], calls=sums["calls"])


def _no_budgets(place: Place, *, has_log: bool) -> LedgerUnavailableError:
    logged = "What was logged there is shown by `hivecost report` and `hivecost spend`. " if has_log else ""
    return LedgerUnavailableError(
        f"{place}: there is no ledger yet: a runtime makes one when it runs with a hard budget there "
        f"(--data names another folder). {logged}A runtime with open_ledger=… keeps its money elsewhere: "
        "ask it with `await runtime.budgets.status()`"
    )


def _held_line(
    state: BudgetState, known: BudgetDefinition | None, accounts: Iterable[AccountStatus], current: Container[str]
) -> BudgetLedgerLine:
    return BudgetLedgerLine(
        budget=state.name,
        unit=state.unit,
        window=state.window,
        timezone=state.timezone,
        match=None if known is None else _match(known),
        attributes=state.attributes,
        limit=state.limit,
        configured_limit=state.configured_limit,
        shadow=state.shadow,
        frozen=state.frozen,
        accounts=[account for account in accounts if account.budget == state.name],
        last_seen=None if known is None else to_datetime(known.last_seen_ns),
        in_last_start=known is None or state.name in current,
        is_retired=known is not None and known.is_retired,
    )


def _defined_line(
    known: BudgetDefinition, accounts: Sequence[AccountStatus], current: Container[str]
) -> BudgetLedgerLine:
    budget = known.budget
    return BudgetLedgerLine(
        budget=budget.name,
        mode=budget.mode,
        unit=budget.counted_unit,
        window=budget.window,
        timezone=budget.timezone,
        match=_match(known),
        attributes=budget.account_attributes,
        limit=budget.limit_amount,
        configured_limit=budget.limit_amount,
        shadow=budget.shadow,
        frozen="",
        accounts=[account for account in accounts if account.budget == budget.name],
        last_seen=to_datetime(known.last_seen_ns),
        in_last_start=budget.name in current,
        is_retired=known.is_retired,
        is_elsewhere=budget.mode == "hard",
    )


def _match(known: BudgetDefinition) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values) for name, values in known.budget.match.items()}
