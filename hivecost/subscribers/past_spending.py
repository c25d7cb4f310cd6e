"""Counting again, at a start, what the runtime log says was spent before."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hivecost.ledger import SpendAccounts, attribution
from hivecost.plugin import TurnRequest
from hivecost.queries import spending_since
from hivecost.store import PRUNED_KEYS

#: Stands for the executions of before: they are over, and so are the accounts that are their own.
_ENDED: Final = "before this start"


async def count_past_spending(accounts: SpendAccounts, base_path: Path, since_ns: int) -> None:
    """Add what was logged since then, pruned turns included, to the accounts it counts on. Raises StoreErrors."""
    async for spending in spending_since(base_path, since_ns):
        fields = {name: getattr(spending, name) for name in PRUNED_KEYS}
        who, at_ns = attribution(TurnRequest(execution_id=_ENDED, **fields)), spending.timestamp_ns
        unknown_calls = spending.unpriced_calls + spending.invalid_calls
        known_calls = spending.llm_calls - unknown_calls
        accounts.add(who, at_ns, spending.cost_nanousd, spending.total_tokens, known_calls)
        if unknown_calls:
            accounts.add(who, at_ns, None, 0, unknown_calls)
    accounts.forget_execution(_ENDED)
