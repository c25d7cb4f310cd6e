"""One session's costs, gathered from the runtime log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from hivecost.backends.sqlite.reading import (
    ModelTotals,
    NodeTotals,
    RepricedTotals,
    RuntimeLogStore,
    SessionError,
    SessionPeople,
    SessionState,
    SessionStore,
    load_repriced,
    pruned_before,
    require_log,
    session_errors,
    session_events,
    session_people,
    unpriced_reasons,
    unseen_calls,
)
from hivecost.errors import SessionNotFoundError
from hivecost.events import AlertRaised, BudgetExceeded, BudgetWarning, EventType
from hivecost.ledger import UNSEEN
from hivecost.reports.budgets import InDoubt, load_in_doubt
from hivecost.reports.session_budgets import BudgetLine, load_budget_lines

_TOLD: Final = (EventType.BUDGET_WARNING, EventType.BUDGET_EXCEEDED, EventType.ALERT_RAISED)


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of this session; the same one is told once."""

    rule: str
    severity: str
    message: str
    agent_id: str
    node_id: str
    #: When it was raised first: ISO 8601 in local time.
    at: str
    #: How often.
    times: int


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
    #: All who are named in it; `session` has the first of each.
    people: SessionPeople | None = None
    alerts: list[AlertLine] = []
    #: What ended executions of it before they were done.
    errors: list[SessionError] = []
    #: What is in doubt in this folder, whichever session it is of; None: nothing is.
    in_doubt: InDoubt | None = None


async def load_session_report(base_path: str | Path, session_id: str = "latest") -> SessionReport:
    """The report of a session, or of the newest one. Raises SessionNotFoundError, and other StoreErrors."""
    sessions, log = SessionStore(base_path), RuntimeLogStore(base_path)
    state = await find_session(sessions, session_id, base_path)
    events = await session_events(base_path, state.session_id, _TOLD)
    return SessionReport(
        session=state,
        nodes=await log.load_nodes(state.session_id),
        models=await log.load_models(state.session_id),
        budgets=await load_budget_lines(
            base_path, state, [e for e in events if isinstance(e, BudgetWarning | BudgetExceeded)]
        ),
        unpriced=await unpriced_reasons(base_path, state.session_id),
        blind=list(dict.fromkeys(e.budget for e in events if isinstance(e, AlertRaised) and e.rule == UNSEEN)),
        unseen_calls=await unseen_calls(base_path, state.session_id),
        pruned_before=await pruned_before(base_path, state.session_id),
        repriced=await load_repriced(base_path, state.session_id),
        people=await session_people(base_path, state.session_id),
        alerts=_alert_lines(e for e in events if isinstance(e, AlertRaised)),
        errors=await session_errors(base_path, state.session_id),
        in_doubt=await load_in_doubt(base_path),
    )


async def find_session(sessions: SessionStore, session_id: str, base_path: str | Path) -> SessionState:
    """The session of this id, or the newest one for `latest`. Raises SessionNotFoundError, and other StoreErrors."""
    if session_id != "latest":
        return await sessions.read_state(session_id)
    newest = await sessions.list_sessions(limit=1)
    if not newest:
        await require_log(base_path)
        raise SessionNotFoundError(f"no event in {base_path} names a session; `hivecost spend` shows what was spent")
    return newest[0]


def _alert_lines(alerts: Iterable[AlertRaised]) -> list[AlertLine]:
    lines: dict[tuple[str, ...], AlertLine] = {}
    for alert in alerts:
        key = (alert.rule, alert.message, alert.agent_id, alert.node_id)
        line = lines.get(key) or AlertLine(
            rule=alert.rule,
            severity=alert.severity,
            message=alert.message,
            agent_id=alert.agent_id,
            node_id=alert.node_id,
            at=alert.timestamp.astimezone().isoformat(),
            times=0,
        )
        lines[key] = replace(line, times=line.times + 1)
    return list(lines.values())
