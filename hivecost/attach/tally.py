"""What a command counts beside its log, for the receipt at its end."""

from __future__ import annotations

from collections import Counter, defaultdict

from hivecost.money import format_usd
from hivecost.runtime.turn import Turn


class Sums:
    """Over some of the attempts."""

    def __init__(self) -> None:
        self.calls = 0
        self.nanousd = 0
        #: Of which nobody knows what was billed: their holds stay.
        self.in_doubt = 0
        #: Whose tokens are known, and no price for them.
        self.unpriced = 0

    def add(self, nanousd: int | None, *, in_doubt: bool) -> None:
        """Count an attempt."""
        self.calls += 1
        self.nanousd += nanousd or 0
        self.in_doubt += in_doubt
        self.unpriced += nanousd is None and not in_doubt

    def __str__(self) -> str:
        doubt = f", {self.in_doubt:,} in doubt" if self.in_doubt else ""
        unpriced = f", {self.unpriced:,} unpriced" if self.unpriced else ""
        return f"{self.calls:,} calls, {format_usd(self.nanousd)}{doubt}{unpriced}"


class Tally:
    """Counts of one command, over all its processes."""

    def __init__(self) -> None:
        #: Processes that said hello.
        self.clients = 0
        self.total = Sums()
        self.by_model: defaultdict[str, Sums] = defaultdict(Sums)
        self.by_agent: defaultdict[str, Sums] = defaultdict(Sums)
        self.by_node: defaultdict[str, Sums] = defaultdict(Sums)
        #: Lines of code.
        self.by_line: defaultdict[str, Sums] = defaultdict(Sums)
        #: By kind, and what was said first of each.
        self.refused: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}
        #: Streams that were paid for in steps, and those of them that the budget ended.
        self.stepped = 0
        self.ended = 0
        #: Calls of hosts that bill, by paths that nobody knows, or in words that nobody can read.
        self.unmetered = 0
        #: Times that a framework's own attribution could not be read.
        self.failed_probes = 0

    def refuse(self, kind: str, message: str) -> None:
        """Count a refusal."""
        self.refused[kind] += 1
        self.reasons.setdefault(kind, message)

    def end(self, turn: Turn, in_doubt: bool, *, where: str) -> None:
        """Count an attempt whose end is known, as far as it can be."""
        request, cost = turn.request, turn.cost
        nanousd = None if cost is None else cost.nanousd
        places = (
            (self.by_model, request.model),
            (self.by_agent, request.agent_id),
            (self.by_node, request.node_id),
            (self.by_line, where),
        )
        for sums in (self.total, *(by[name] for by, name in places)):
            sums.add(nanousd, in_doubt=in_doubt)
