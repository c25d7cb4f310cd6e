"""The log at other rates: old and new side by side, and both kept."""

from __future__ import annotations

import secrets
from collections import Counter
from functools import partial
from typing import Final

import msgspec

from hivecost.backends import Place, open_backend, read_log
from hivecost.clock import SYSTEM_CLOCK, Clock, to_datetime
from hivecost.events import Cost, LLMTurnComplete
from hivecost.log import LogReader, Page, Window
from hivecost.log.instants import Moment, range_ns
from hivecost.log.records import Repricing
from hivecost.pricing import Kept, PriceBook, reprice_turn

#: Read at a time.
_PAGE_TURNS: Final = 1_000


class RepricedModel(msgspec.Struct, kw_only=True):
    """The turns of one model that were priced again. Sums are of the known costs, in nano-USD."""

    provider: str
    model: str
    calls: int = 0
    #: Those whose amount is another one now.
    changed_calls: int = 0
    old_nanousd: int = 0
    new_nanousd: int = 0
    old_unpriced_calls: int = 0
    new_unpriced_calls: int = 0
    #: Had no price, and have one now.
    newly_priced_calls: int = 0

    def add(self, old_nanousd: int | None, new_nanousd: int | None) -> None:
        """Count one turn."""
        self.calls += 1
        self.changed_calls += old_nanousd != new_nanousd
        self.old_nanousd += old_nanousd or 0
        self.new_nanousd += new_nanousd or 0
        self.old_unpriced_calls += old_nanousd is None
        self.new_unpriced_calls += new_nanousd is None
        self.newly_priced_calls += old_nanousd is None and new_nanousd is not None


class RepricingReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a repricing found."""

    #: Under which its amounts are kept in the log; "" for a dry run.
    run_id: str
    snapshot: str
    total: RepricedModel
    #: The largest difference first.
    models: list[RepricedModel]
    #: Turns that keep their cost, by the reason.
    kept: dict[str, int]


async def reprice_log(
    place: Place,
    book: PriceBook,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    model: str | None = None,
    dry_run: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> RepricingReport:
    """Price the logged turns from `since` up to `until` (a date: its whole day) again, as of when they happened.

    Old and new amounts go to the table `repricings`, page by page; turns and their sums stay as they are. Memory does
    not grow with the log. Raise ConfigError for a date that is none, and StoreErrors.
    """
    run_id = "" if dry_run else _new_run_id(clock.now_ns())
    models: dict[tuple[str, str], RepricedModel] = {}
    total, kept = RepricedModel(provider="", model=""), Counter[str]()
    window = Window(*range_ns(since, until))
    writer, after = open_backend(place).writer(clock=clock), ""
    while True:
        page = await read_log(place, partial(_next_turns, after=after, window=window))
        repricings = []
        for turn in page.rows:
            if model not in (None, turn.model, turn.counted_model):
                continue
            cost = reprice_turn(turn, book)
            if isinstance(cost, Kept):
                kept[cost.value] += 1
                continue
            repricing = _repricing(run_id, turn, cost, clock.now_ns())
            repricings.append(repricing)
            key = turn.counted_provider, turn.counted_model
            line = models.setdefault(key, RepricedModel(provider=key[0], model=key[1]))
            for sums in (line, total):
                sums.add(repricing.old_nanousd, repricing.new_nanousd)
        if repricings and not dry_run:
            await writer.reprice(repricings)
        if len(page.rows) < _PAGE_TURNS:
            break
        after = page.cursor
    if gone := await read_log(place, partial(_pruned_calls, window=window, model=model)):
        kept["they were pruned from the log"] = gone
    lines = sorted(models.values(), key=lambda line: (-abs(line.new_nanousd - line.old_nanousd), line.model))
    return RepricingReport(
        run_id=run_id if total.calls else "", snapshot=book.snapshot, total=total, models=lines, kept=dict(kept)
    )


def _next_turns(log: LogReader, *, after: str, window: Window) -> Page[LLMTurnComplete]:
    return log.turns(after, window=window, limit=_PAGE_TURNS)


def _pruned_calls(log: LogReader, *, window: Window, model: str | None) -> int:
    """Return how many turns of the window, to the quarter-hour, were pruned."""
    rows = log.sums(["pruned", "model", "answered_model"], window.widened())
    return sum(row.llm_calls + row.charges for row in rows if row.group[0] and model in (None, *row.group[1:]))


def _repricing(run_id: str, turn: LLMTurnComplete, cost: Cost, now_ns: int) -> Repricing:
    return Repricing(
        run_id=run_id,
        event_id=turn.event_id,
        session_id=turn.session_id,
        old_nanousd=None if turn.cost is None else turn.cost.nanousd,
        new_nanousd=cost.nanousd,
        cost_status=cost.status.value,
        rate=cost.rate,
        snapshot=cost.snapshot,
        repriced_ns=now_ns,
    )


def _new_run_id(now_ns: int) -> str:
    return f"repricing_{to_datetime(now_ns):%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"
