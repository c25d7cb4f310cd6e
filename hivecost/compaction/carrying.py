"""What results of tools cost when they are sent again: a prompt's bill, shared out from its beginning to its end.

A provider reads the beginning of a prompt from its cache, writes what follows to it, and takes the rest as fresh input.
So a result costs what lies between where it begins and where it ends of

    bill(x) = what the first x tokens cost, by the turn's recorded usage and cost

rounded down at each border, and all parts of a prompt add up to its bill to the nano-dollar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hivecost.compaction.counting import Counter
from hivecost.compaction.markers import is_placeholder
from hivecost.compaction.reading import Conversation
from hivecost.events import NEWEST_RESULTS, TOOL_NAME_MAX, CarriedResults, Cost, Usage


class ResultPlace(NamedTuple):
    """Where a result is in a prompt, in estimated tokens from its beginning."""

    tool: str
    start: float
    end: float


class PromptLayout:
    """Where the results of tools are in a conversation; `around` is what stands before its messages."""

    def __init__(self, around: float = 0.0) -> None:
        self.results: list[ResultPlace] = []
        #: How long it is.
        self.size = around

    def add(self, conversation: Conversation, counter: Counter) -> None:
        """Add messages to its end. A result that a note stands for is none any more."""
        shape, tools = conversation.shape, conversation.pairing.tools
        for index, (message, entry) in enumerate(zip(conversation.messages, conversation.entries, strict=True)):
            end = self.size + counter.size(message)
            start = self.size
            for which, result in enumerate(shape.results(message)) if entry.answers else ():
                stop = min(end, start + counter.content_size(result.content))
                if not is_placeholder(result.content):
                    tool = tools.get((index, which), "")[:TOOL_NAME_MAX]
                    self.results.append(ResultPlace(tool, start, stop))
                start = stop
            self.size = end


class PromptBill:
    """What a prompt cost from its beginning on."""

    def __init__(self, usage: Usage, cost: Cost | None) -> None:
        self.tokens = usage.input_tokens
        #: None where nobody knows.
        self.nanousd = None if cost is None else cost.input_nanousd
        self._segments = [] if self.nanousd is None else _segments(usage, self.nanousd, cost)

    def upto(self, tokens: int) -> int:
        """Return what the first tokens cost, in nano-USD; all of them what the prompt did."""
        total = 0
        for length, nanousd in self._segments:
            if tokens < length:
                return total + nanousd * tokens // length
            total, tokens = total + nanousd, tokens - length
        return total

    def unread(self, tokens: int) -> int | None:
        """Return what so many tokens more would have cost at its beginning; None where nobody knows.

        That is the rate of the first of it: of what was read from the cache, where anything was.
        """
        if not self._segments:
            return None
        length, nanousd = self._segments[0]
        return nanousd * tokens // length


def _segments(usage: Usage, nanousd: int, cost: Cost | None) -> list[tuple[int, int]]:
    """Return (tokens, nano-USD) of what was read, what was written, and the rest, without those of no tokens."""
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    read_nanousd, written_nanousd = (None, None) if cost is None else (cost.cached_nanousd, cost.written_nanousd)
    if read_nanousd is None or written_nanousd is None:
        known = [(usage.input_tokens, nanousd)]
    else:
        fresh = (usage.input_tokens - read - written, nanousd - read_nanousd - written_nanousd)
        known = [(read, read_nanousd), (written, written_nanousd), fresh]
    if any(tokens < 0 or amount < 0 or (amount and not tokens) for tokens, amount in known):
        known = [(usage.input_tokens, nanousd)]
    return [(tokens, amount) for tokens, amount in known if tokens > 0]


def shared_out(layout: Sequence[ResultPlace], size: float, bill: PromptBill) -> Iterator[tuple[int, int]]:
    """Give (tokens, nano-USD) of each result, and at the end of all the rest; together they are the prompt's.

    The places are scaled to the tokens that the provider counted.
    """
    scale = bill.tokens / size if size >= 1 else 0.0
    tokens_left, nanousd_left = bill.tokens, bill.upto(bill.tokens)
    for place in layout:
        start, end = (min(bill.tokens, round(at * scale)) for at in (place.start, place.end))
        nanousd = bill.upto(end) - bill.upto(start)
        tokens_left, nanousd_left = tokens_left - (end - start), nanousd_left - nanousd
        yield end - start, nanousd
    yield tokens_left, nanousd_left


def carried_results(layout: Sequence[ResultPlace], size: float, again: int, bill: PromptBill) -> list[CarriedResults]:
    """Return by tool what the first `again` results cost, which an earlier prompt had held before."""
    is_known = bill.nanousd is not None
    sums: dict[str, list[int]] = {}
    oldest = len(layout) - NEWEST_RESULTS
    parts = shared_out(layout, size, bill)
    for number, (place, (tokens, nanousd)) in enumerate(zip(layout[:again], parts, strict=False)):
        old = nanousd if number < oldest else 0
        before = sums.get(place.tool, [0, 0, 0, 0])
        sums[place.tool] = [sum(pair) for pair in zip(before, (1, tokens, nanousd, old), strict=True)]
    return [
        CarriedResults(tool, results, tokens, nanousd if is_known else None, old if is_known else None)
        for tool, (results, tokens, nanousd, old) in sums.items()
    ]
