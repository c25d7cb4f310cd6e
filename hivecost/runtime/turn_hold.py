"""A turn's hold, compared with what the turn may cost, did cost, and was refused."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from hivecost.errors import BudgetBusyError, BudgetExceededError
from hivecost.events import Cost, Usage
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import LedgerStoreHold, Unit
from hivecost.ledger.hold import refusal_of


def lacking(hold: LedgerStoreHold, bound: Mapping[Unit, int]) -> dict[Unit, int]:
    """What is not held of a bound, by unit."""
    return {unit: amount - hold.amounts[unit] for unit, amount in bound.items() if amount > hold.amounts[unit]}


def known_bill(
    request: TurnRequest, hold: LedgerStoreHold, usage: Usage, cost: Cost, *, is_final: bool
) -> dict[Unit, int]:
    """What a turn is billed for sure, by unit.

    That is what final usage says, a call where one was sent at most, and what is more than its hold already.
    """
    held, used = hold.amounts, usage.total_tokens
    known: dict[Unit, int] = {}
    if cost.nanousd is not None and (is_final or cost.nanousd > held.get("usd", 0)):
        known["usd"] = cost.nanousd
    if is_final or used > held.get("tokens", 0):
        known["tokens"] = used
    if request.is_charge:
        known |= {"tokens": 0, "calls": 0}
    elif is_final or held.get("calls") == 1:
        known["calls"] = 1
    return known


def unknown_units(cost: Cost, *, is_final: bool) -> frozenset[Unit]:
    """In what a further answer's bill is not known for sure: never in calls, of which it is one."""
    if not is_final:
        return frozenset({"usd", "tokens"})
    return frozenset({"usd"} if cost.nanousd is None else ())


def refusal_to_extend(
    error: BudgetExceededError, hold: LedgerStoreHold, more: Mapping[Unit, int], execution_id: str
) -> BudgetExceededError:
    """The error as its turn should see it: what is busy with nothing but this turn's own hold is exhausted."""
    error.execution_id = execution_id
    account = hold.status([error.budget])[0]
    needed, own = more[account.unit], hold.amounts[account.unit]
    if not isinstance(error, BudgetBusyError) or needed <= account.limit - account.settled - account.in_doubt - own:
        return error
    refusal = replace(
        refusal_of(account, needed),
        kind="exhausted",
        remaining=error.limit - error.used,
        limit=error.limit,
        reset_at=account.reset_at,
    )
    return refusal.error(execution_id)
