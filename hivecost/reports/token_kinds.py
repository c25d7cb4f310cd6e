"""What each kind of token cost: input, from or to a cache, output, reasoning, and what is no token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from hivecost.events import Cost, LLMTurnComplete, Totals, Usage
from hivecost.events.turns import ChargeSettled
from hivecost.ledger import LedgerReader
from hivecost.log import LogReader
from hivecost.reports.dearest import turns_of
from hivecost.reports.gaps import Gaps, find_gaps
from hivecost.reports.selection import Selection, total

#: In the order in which they are shown. `input` is neither read from a cache nor written to one, `output` is no
#: reasoning; `fees` are by the request, `charges` are no calls, and of `not told apart` nobody knows the parts.
KINDS: Final = ("input", "cache_read", "cache_write", "output", "reasoning", "fees", "charges", "not told apart")
_UNTOLD: Final = "not told apart"


class KindLine(msgspec.Struct, frozen=True, kw_only=True):
    """One kind. Tokens are those of turns whose cost is known; 0 where it is no tokens."""

    kind: str
    tokens: int
    cost_nanousd: int
    #: Of the whole cost.
    share: float


class KindReport(msgspec.Struct, frozen=True, kw_only=True):
    """The kinds, which add up to the cost of the turns in the log."""

    timezone: str
    since: str
    until: str
    rows: list[KindLine]
    total: Totals
    #: The part of the total that was pruned: its kinds are not known any more.
    pruned_nanousd: int
    #: Tokens from a cache by all that went in.
    cache_hit_ratio: float
    gaps: Gaps


def kind_report(log: LogReader, ledger: LedgerReader, selection: Selection) -> KindReport:
    """Return what each kind of token cost in a selection. It looks at each turn. Raise StoreErrors."""
    tokens, costs = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    for turn in turns_of(log, selection):
        for kind, count, nanousd in _parts(turn):
            tokens[kind] += count
            costs[kind] += nanousd
    whole = total(selection.sums(log))
    cost = sum(costs.values())
    return KindReport(
        timezone=selection.timezone,
        since=selection.first,
        until=selection.end,
        rows=[
            KindLine(
                kind=kind, tokens=tokens[kind], cost_nanousd=costs[kind], share=costs[kind] / cost if cost else 0.0
            )
            for kind in KINDS
            if tokens[kind] or costs[kind]
        ],
        total=Totals(*whole[1:]),
        pruned_nanousd=whole.cost_nanousd - cost,
        cache_hit_ratio=whole.cache_read_tokens / whole.input_tokens if whole.input_tokens else 0.0,
        gaps=find_gaps(log, ledger, selection, whole),
    )


def _parts(turn: LLMTurnComplete) -> Iterator[tuple[str, int, int]]:
    """Give (kind, tokens, nano-USD) of a turn; they add up to its cost."""
    cost, usage = turn.cost, turn.usage
    if cost is None or cost.nanousd is None:
        return
    if isinstance(turn, ChargeSettled):
        yield "charges", 0, cost.nanousd
        return
    parts = dict(zip(KINDS, _known(cost, usage), strict=False))
    counts = (
        usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.output_tokens - usage.reasoning_tokens,
        usage.reasoning_tokens,
    )
    yield from ((kind, count, parts[kind]) for kind, count in zip(KINDS, counts, strict=False))
    yield "fees", 0, parts["fees"]
    yield _UNTOLD, 0, cost.nanousd - sum(parts.values())


def _known(cost: Cost, usage: Usage) -> tuple[int, int, int, int, int, int]:
    """Return the cost by kind, as far as it is known: 0 for what is not."""
    inputs, outputs = cost.input_nanousd or 0, cost.output_nanousd or 0
    read, written, thought = cost.cached_nanousd, cost.written_nanousd, cost.reasoning_nanousd
    if (read is None and usage.cache_read_tokens) or (written is None and usage.cache_write_tokens):
        inputs = read = written = 0
    if thought is None and usage.reasoning_tokens:
        outputs = thought = 0
    read, written, thought = read or 0, written or 0, thought or 0
    return inputs - read - written, read, written, outputs - thought, thought, cost.fee_nanousd or 0
