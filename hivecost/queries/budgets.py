"""The hard budgets that a ledger knows, and who changed what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from hivecost.ledger import Unit, Window
from hivecost.money import format_usd
from hivecost.queries.instants import local_iso
from hivecost.queries.reader import reading


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """A hard budget as it is in force for all processes."""

    name: str
    #: In `unit`: nano-USD, tokens or calls.
    limit: int
    unit: Unit
    window: Window
    timezone: str
    #: It only says what it would do.
    shadow: bool
    #: Why nothing is granted; "" while it is.
    frozen: str


class BudgetChange(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit trail."""

    #: ISO 8601, local time.
    at: str
    who: str
    #: `configure`, `set_limit`, `freeze`, `unfreeze`, `resolve`, `recover`.
    what: str
    #: The name of a budget, or the id of a hold.
    subject: str
    detail: str


LOAD_BUDGETS: Final = """
    SELECT name, limit_amount, unit, time_window, timezone, shadow, coalesce(frozen, '') FROM ledger_budgets
    ORDER BY name"""

LOAD_CHANGES: Final = """
    SELECT at_ns, who, what, subject, detail FROM ledger_changes ORDER BY id DESC LIMIT :limit"""


#: How the ledger itself writes amounts in nano-USD.
_NANOUSD: Final = re.compile(r"(?<![\d,.$])([\d,]*\d)(?= usd\b| was above its hold of [\d,]+ usd$)(?: usd)?")


async def load_budgets(base_path: str | Path) -> list[BudgetState]:
    """All hard budgets that were ever configured here, by name; [] where there is no ledger. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        rows = await log.rows(LOAD_BUDGETS, {})
    return [
        BudgetState(
            name=name,
            limit=limit,
            unit=unit,
            window=window,
            timezone=timezone,
            shadow=bool(shadow),
            frozen=_in_usd(frozen) if frozen.startswith("a bill of ") else frozen,
        )
        for name, limit, unit, window, timezone, shadow, frozen in rows
    ]


async def load_budget_changes(base_path: str | Path, *, limit: int = 100) -> list[BudgetChange]:
    """The newest entries of the audit trail, the newest first. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        rows = await log.rows(LOAD_CHANGES, {"limit": limit})
    return [
        BudgetChange(
            at=local_iso(at_ns),
            who=who,
            what=what,
            subject=subject,
            detail=detail if what == "freeze" and who != "hivecost" else _in_usd(detail),
        )
        for at_ns, who, what, subject, detail in rows
    ]


def _in_usd(text: str) -> str:
    return _NANOUSD.sub(lambda found: format_usd(int(found[1].replace(",", ""))), text)
