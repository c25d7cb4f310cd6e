"""Budgets that fit what agents spent: a day's limit for each, from its dearest days."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from hivecost.ledger import LedgerReader
from hivecost.log import LogReader
from hivecost.reports.executions import percentile
from hivecost.reports.gaps import Gaps, find_gaps
from hivecost.reports.selection import Selection, total

#: Of the days on which an agent spent anything, as many cost no more than what its limit is worked out from,
PERCENT: int = 95
#: and that is raised by half.
_ROOM_NUMERATOR, _ROOM_DENOMINATOR = 3, 2
_CENT = 10**7


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A limit for an agent's day."""

    agent: str
    #: Days on which it spent anything.
    days: int
    p95_nanousd: int
    max_nanousd: int
    #: The 95th percentile and half of it, rounded up to a cent.
    limit_nanousd: int


class SuggestionReport(msgspec.Struct, frozen=True, kw_only=True):
    """The limits, the largest first."""

    timezone: str
    since: str
    until: str
    rows: list[Suggestion]
    #: Agents of which no cost is known: there is nothing to work a limit out from.
    unpriced_agents: tuple[str, ...]
    gaps: Gaps


def suggest_budgets(log: LogReader, ledger: LedgerReader, selection: Selection) -> SuggestionReport:
    """Return a day's limit for each agent of a selection. Raise StoreErrors."""
    found = selection.sums(log, ("day", "agent"))
    days: defaultdict[str, list[int]] = defaultdict(list)
    for row in found:
        days[row.group[1]].append(row.cost_nanousd)
    rows = [_suggestion(agent, sorted(cost for cost in costs if cost)) for agent, costs in days.items() if any(costs)]
    return SuggestionReport(
        timezone=selection.timezone,
        since=selection.first,
        until=selection.end,
        rows=sorted(rows, key=lambda one: (-one.limit_nanousd, one.agent)),
        unpriced_agents=tuple(sorted(agent for agent, costs in days.items() if not any(costs))),
        gaps=find_gaps(log, ledger, selection, total(found)),
    )


def _suggestion(agent: str, costs: list[int]) -> Suggestion:
    p95 = percentile(costs, PERCENT)
    limit = -(-p95 * _ROOM_NUMERATOR // (_ROOM_DENOMINATOR * _CENT)) * _CENT
    return Suggestion(agent=agent, days=len(costs), p95_nanousd=p95, max_nanousd=costs[-1], limit_nanousd=limit)
