"""One session's costs, gathered from the runtime log."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from hivecost.errors import SessionNotFoundError
from hivecost.events import AlertRaised, BudgetExceeded, BudgetWarning, EventType
from hivecost.ledger import UNSEEN
from hivecost.queries import (
    ModelTotals,
    NodeTotals,
    RepricedTotals,
    RuntimeLogStore,
    SessionState,
    SessionStore,
    load_repriced,
    pruned_before,
    session_events,
    unpriced_reasons,
    unseen_calls,
)

_BUDGET_EVENTS: Final = (EventType.BUDGET_WARNING, EventType.BUDGET_EXCEEDED, EventType.ALERT_RAISED)


class BudgetLine(msgspec.Struct, frozen=True, kw_only=True):
    """The furthest an account got in this session. Amounts are nano-USD, tokens or calls, as `unit` says."""

    budget: str
    scope: str
    unit: str
    used: int
    limit: int
    #: `warned`, or what was done when it was exceeded: `cancelled`, `refused`, `none`.
    outcome: str


class SessionReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that `hivecost report` shows."""

    session: SessionState
    nodes: list[NodeTotals]
    models: list[ModelTotals]
    budgets: list[BudgetLine]
    #: Why turns have no cost, with how many each.
    unpriced: dict[str, int]
    #: Budgets that could not see what calls of it spent, and how many calls those were at most.
    blind: list[str] = []
    unseen_calls: int = 0
    #: Before this (ISO 8601, local time) turns and events of it were pruned; its sums stayed. None where none were.
    pruned_before: str | None = None
    #: What `hivecost reprice` found for it, beside the costs above; None when it was never asked.
    repriced: RepricedTotals | None = None


async def load_session_report(base_path: str | Path, session_id: str = "latest") -> SessionReport:
    """The report of a session, or of the newest one. Raises SessionNotFoundError, and other StoreErrors."""
    sessions, log = SessionStore(base_path), RuntimeLogStore(base_path)
    state = await find_session(sessions, session_id, base_path)
    events = await session_events(base_path, state.session_id, _BUDGET_EVENTS)
    return SessionReport(
        session=state,
        nodes=await log.load_nodes(state.session_id),
        models=await log.load_models(state.session_id),
        budgets=_budget_lines([e for e in events if isinstance(e, BudgetWarning | BudgetExceeded)]),
        unpriced=await unpriced_reasons(base_path, state.session_id),
        blind=list(dict.fromkeys(e.budget for e in events if isinstance(e, AlertRaised) and e.rule == UNSEEN)),
        unseen_calls=await unseen_calls(base_path, state.session_id),
        pruned_before=await pruned_before(base_path, state.session_id),
        repriced=await load_repriced(base_path, state.session_id),
    )


async def find_session(sessions: SessionStore, session_id: str, base_path: str | Path) -> SessionState:
    """The session of this id, or the newest one for `latest`. Raises SessionNotFoundError, and other StoreErrors."""
    if session_id != "latest":
        return await sessions.read_state(session_id)
    newest = await sessions.list_sessions(limit=1)
    if not newest:
        raise SessionNotFoundError(f"no session was logged in {base_path} yet; name another folder with --data")
    return newest[0]


def _budget_lines(events: list[BudgetWarning | BudgetExceeded]) -> list[BudgetLine]:
    lines: dict[tuple[str, str], BudgetLine] = {}
    for event in events:
        lines[event.budget, event.scope] = BudgetLine(
            budget=event.budget,
            scope=event.scope,
            unit=event.unit,
            used=event.used,
            limit=event.limit,
            outcome=event.action if isinstance(event, BudgetExceeded) else "warned",
        )
    return list(lines.values())
