"""The turns that cost most, one by one, and the tags that do."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import msgspec

from hivecost.events import LLMTurnComplete, Totals
from hivecost.ledger import LedgerReader
from hivecost.log import LogReader
from hivecost.log.instants import find_zone
from hivecost.log.logged_turns import decoded
from hivecost.log.rows import SumRow
from hivecost.log.spans import minute_of
from hivecost.reports.gaps import Gaps, find_gaps
from hivecost.reports.selection import Selection, dearest_first, total
from hivecost.reports.spend import SpendLine, share_of

_PAGE: int = 2_000


class DearTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn, or charge."""

    event_id: str
    #: `2026-11-22 08:00`, on the clocks of the report's zone.
    at: str
    timestamp_ns: int
    session_id: str
    node_id: str
    agent_id: str
    user_id: str
    task_id: str
    model: str
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    #: Of the tokens that came out, those of reasoning; None where none came out.
    reasoning_share: float | None
    cost_nanousd: int
    #: Of the cost of all turns of the report.
    share: float


class DearTurns(msgspec.Struct, frozen=True, kw_only=True):
    """The turns with the greatest known cost, the dearest first, and what all turns of that time add up to."""

    timezone: str
    since: str
    until: str
    rows: list[DearTurn]
    total: Totals
    #: Turns that are in the total and no longer in the log.
    pruned_calls: int
    gaps: Gaps


class TagReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent under each value of each tag, the dearest first; a turn with several tags is in several rows."""

    timezone: str
    since: str
    until: str
    #: The groups are `{"tag": NAME, "value": VALUE}`.
    rows: list[SpendLine]
    total: Totals
    others: int
    gaps: Gaps


def dearest_turns(log: LogReader, ledger: LedgerReader, selection: Selection, limit: int) -> DearTurns:
    """Return the dearest turns of a selection. It looks at each of them. Raise StoreErrors."""
    whole = total(selection.sums(log))
    found = heapq.nlargest(limit, _priced(log, selection), key=lambda turn: (_cost(turn), -turn.timestamp_ns))
    pruned = total([row for row in selection.sums(log, ("pruned",)) if row.group[0]])
    zone = find_zone(selection.timezone)
    return DearTurns(
        timezone=selection.timezone,
        since=selection.first,
        until=selection.end,
        rows=[_line(turn, minute_of(turn.timestamp_ns, zone), whole) for turn in found],
        total=Totals(*whole[1:]),
        pruned_calls=pruned.llm_calls + pruned.charges,
        gaps=find_gaps(log, ledger, selection, whole),
    )


def dearest_tags(log: LogReader, ledger: LedgerReader, selection: Selection, limit: int) -> TagReport:
    """Return the dearest values of tags. Raise StoreErrors."""
    whole = total(selection.sums(log))
    groups: dict[tuple[str, str], list[SumRow]] = {}
    for row in selection.sums(log, ("tags",)):
        for name, value in decoded(row.group[0]).items():
            groups.setdefault((name, str(value)), []).append(row)
    rows = sorted((total(some)._replace(group=group) for group, some in groups.items()), key=dearest_first)
    return TagReport(
        timezone=selection.timezone,
        since=selection.first,
        until=selection.end,
        rows=[
            SpendLine(*row[1:], group={"tag": row.group[0], "value": row.group[1]}, share=share_of(row, whole))
            for row in rows[:limit]
        ],
        total=Totals(*whole[1:]),
        others=max(len(rows) - limit, 0),
        gaps=find_gaps(log, ledger, selection, whole),
    )


def turns_of(log: LogReader, selection: Selection) -> Iterator[LLMTurnComplete]:
    """Give the turns of a selection that are in the log, in the order they were logged. Raise StoreErrors."""
    page = log.turns("", selection.filter, selection.window, limit=_PAGE)
    while page.rows:
        for turn in page.rows:
            if selection.has_tags(turn.tags):
                yield turn
        page = log.turns(page.cursor, selection.filter, selection.window, limit=_PAGE)


def _priced(log: LogReader, selection: Selection) -> Iterator[LLMTurnComplete]:
    return (turn for turn in turns_of(log, selection) if turn.cost is not None and turn.cost.nanousd is not None)


def _cost(turn: LLMTurnComplete) -> int:
    return 0 if turn.cost is None else turn.cost.nanousd or 0


def _line(turn: LLMTurnComplete, at: str, whole: SumRow) -> DearTurn:
    usage, cost = turn.usage, _cost(turn)
    return DearTurn(
        event_id=turn.event_id,
        at=at,
        timestamp_ns=turn.timestamp_ns,
        session_id=turn.session_id,
        node_id=turn.node_id,
        agent_id=turn.agent_id,
        user_id=turn.user_id,
        task_id=turn.task_id,
        model=turn.counted_model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        reasoning_share=usage.reasoning_tokens / usage.output_tokens if usage.output_tokens else None,
        cost_nanousd=cost,
        share=cost / whole.cost_nanousd if whole.cost_nanousd else 0.0,
    )
