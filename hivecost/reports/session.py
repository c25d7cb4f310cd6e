"""One session's costs, gathered from the runtime log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from hivecost.backends import Place, read_place
from hivecost.clock import SYSTEM_CLOCK, to_ns
from hivecost.errors import SessionNotFoundError
from hivecost.events import FROM_ANSWER, AlertRaised, BudgetExceeded, BudgetWarning, Event, EventType
from hivecost.ledger import UNSEEN, LedgerReader
from hivecost.log import Filter, LogReader
from hivecost.log.contexts import CarriedTotals, CompactionTotals
from hivecost.log.instants import local_iso
from hivecost.log.records import ModelTotals, NodeTotals, RepricedTotals, Run, SessionState, model_totals
from hivecost.reports.budgets import InDoubt, in_doubt_of
from hivecost.reports.missing import is_logged, nothing_logged
from hivecost.reports.session_budgets import BudgetLine, budget_lines

_TOLD: Final = (EventType.BUDGET_WARNING, EventType.BUDGET_EXCEEDED, EventType.ALERT_RAISED)


#: Executions and events are read so many at a time.
_PAGE: Final = 1_000


class SessionPeople(msgspec.Struct, frozen=True, kw_only=True):
    """Who is named in a session, by name."""

    agents: tuple[str, ...]
    users: tuple[str, ...]
    orgs: tuple[str, ...]


class SessionError(msgspec.Struct, frozen=True, kw_only=True):
    """What ended executions of a session before they were done."""

    agent_id: str
    #: `failed` or `cancelled`.
    status: str
    #: Type and message.
    error: str
    #: How many ended so.
    executions: int


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
    #: What compactions came to, by node, and what they spared later turns.
    compactions: list[CompactionTotals] = []
    #: How long its prompts were, by how long they would have been without compactions.
    compression_ratio: float = 1.0
    #: What results of tools cost that were sent again, by node and tool; the dearest first.
    carried: list[CarriedTotals] = []
    #: What is in doubt in this folder, whichever session it is of; None: nothing is.
    in_doubt: InDoubt | None = None


async def load_session_report(place: Place, session_id: str = "latest") -> SessionReport:
    """Return the report of a session, or of the newest one. Raise SessionNotFoundError, and other StoreErrors."""

    def report(log: LogReader, ledger: LedgerReader) -> SessionReport:
        return session_report(log, ledger, find_session(log, session_id, place))

    return await read_place(place, report)


def session_report(log: LogReader, ledger: LedgerReader, state: SessionState) -> SessionReport:
    """Return the report of a session. Raise StoreErrors."""
    name = state.session_id
    runs, events = runs_of(log, name), session_events(log, name, _TOLD)
    unpriced, unseen = _without_cost(log, name)
    compactions = log.compactions(name)
    sent, spared = state.metrics.input_tokens, sum(node.spared_tokens for node in compactions)
    return SessionReport(
        session=state,
        nodes=log.nodes(name),
        models=[model_totals(row) for row in log.sums(["model", "provider"], filter=Filter(session=name))],
        budgets=budget_lines(
            log, ledger, state, runs, [e for e in events if isinstance(e, BudgetWarning | BudgetExceeded)]
        ),
        unpriced=unpriced,
        blind=list(dict.fromkeys(e.budget for e in events if isinstance(e, AlertRaised) and e.rule == UNSEEN)),
        unseen_calls=unseen,
        pruned_before=_pruned_before(log, state),
        repriced=log.repriced(name),
        people=_people(log, name, runs),
        alerts=_alert_lines(e for e in events if isinstance(e, AlertRaised)),
        errors=_errors(runs),
        compactions=compactions,
        compression_ratio=round(sent / (sent + spared), 4) if spared else 1.0,
        carried=sorted(log.carried_results(name), key=lambda one: -one.nanousd),
        in_doubt=in_doubt_of(ledger, SYSTEM_CLOCK.now_ns()),
    )


def find_session(log: LogReader, session_id: str, place: Place) -> SessionState:
    """Return the session of this id, or the newest one for `latest`. Raise SessionNotFoundError, and StoreErrors."""
    if session_id != "latest":
        return log.session(session_id)
    newest = log.sessions(limit=1).rows
    if not newest:
        if not is_logged(log):
            raise nothing_logged(place, has_budgets=bool(log.budgets()))
        raise SessionNotFoundError(f"no event in {place} names a session; `hivecost spend` shows what was spent")
    return newest[0]


def session_events(log: LogReader, session_id: str, types: Sequence[EventType]) -> list[Event]:
    """Return the session's events of these types (turns are not among them), oldest first. Raise StoreErrors."""
    found: list[Event] = []
    page = log.events("", Filter(session=session_id), types=types, limit=_PAGE)
    while page.rows:
        found += page.rows
        page = log.events(page.cursor, Filter(session=session_id), types=types, limit=_PAGE)
    return sorted(found, key=lambda event: event.timestamp_ns)


def runs_of(log: LogReader, session_id: str) -> list[Run]:
    """Return the executions of a session, the newest first. Raise StoreErrors."""
    found: list[Run] = []
    page = log.executions(session_id=session_id, limit=_PAGE)
    while page.rows:
        found += page.rows
        page = log.executions(page.cursor, session_id=session_id, limit=_PAGE)
    return found


def _without_cost(log: LogReader, session_id: str) -> tuple[dict[str, int], int]:
    """Return why turns have no cost, the most frequent first, and how many turns have none, or only a part of it."""
    unpriced: dict[str, int] = {}
    unseen = 0
    for row in log.sums(["pruned", "reason"], filter=Filter(session=session_id)):
        is_pruned, reason = row.group
        unseen += row.llm_calls + row.charges if reason.endswith(FROM_ANSWER) else row.unknown_calls
        if row.unknown_calls:
            why = "the reason was pruned with the turn" if is_pruned else reason or "no price table was asked"
            unpriced[why] = unpriced.get(why, 0) + row.unknown_calls
    return dict(sorted(unpriced.items(), key=lambda item: (-item[1], item[0]))), unseen


def _pruned_before(log: LogReader, state: SessionState) -> str | None:
    """Return the instant before which turns were pruned; None where the session began later, and so lost nothing."""
    before_ns = log.pruned_before()
    if before_ns is None or before_ns <= to_ns(datetime.fromisoformat(state.timestamps.started_at)):
        return None
    return local_iso(before_ns)


def _people(log: LogReader, session_id: str, runs: Sequence[Run]) -> SessionPeople:
    named = {row.group for row in log.sums(["agent", "user", "org"], filter=Filter(session=session_id))}
    named |= {(run.agent_id, run.user_id, run.org_id) for run in runs}
    agents, users, orgs = (tuple(sorted({names[place] for names in named} - {""})) for place in range(3))
    return SessionPeople(agents=agents, users=users, orgs=orgs)


def _errors(runs: Sequence[Run]) -> list[SessionError]:
    """Return what ended executions, in the order of their starts; the same error is counted in one line."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for run in reversed(runs):
        if run.error:
            counts[run.agent_id or run.entry_point, run.status, run.error] += 1
    return [
        SessionError(agent_id=agent_id, status=status, error=error, executions=count)
        for (agent_id, status, error), count in counts.items()
    ]


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
