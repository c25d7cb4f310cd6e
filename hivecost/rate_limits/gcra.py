"""GCRA, the leaky bucket as one instant, which spreads amounts that are estimated first and corrected later.

The bucket drains `limit` in each `window_s` and holds `burst`. Its state is the instant at which it will be empty:
after takes at t₁ ≤ … ≤ tₙ that cost c₁ … cₙ seconds of draining, that is max over k of (t_k + c_k + … + cₙ).
A correction of cᵢ moves the terms up to k = i and leaves the later ones, so the terms are kept apart where a take is
still open: `correct` gives exactly what would have been, had the right amount been taken at once.
See ITU-T I.371 for the algorithm (virtual scheduling).
"""

from __future__ import annotations

from math import inf
from typing import Final


class Take:
    """One amount that was taken and may still be corrected."""

    __slots__ = ("amount", "term_s")

    def __init__(self, amount: int, term_s: float) -> None:
        self.amount = amount
        #: The greatest of the terms since the open take before this one, up to its own; the costs are added outside.
        self.term_s = term_s


class Gcra:
    """At most `burst` at once and `limit` per `window_s` in the long run: any window holds at most burst + limit.

    `take` costs O(1), `correct` O(open takes). Instants never step back.
    """

    def __init__(self, limit: int, window_s: float, burst: int) -> None:
        self.limit: Final = limit
        self.window_s: Final = window_s
        self.burst: Final = burst
        self._unit_s = window_s / limit
        #: The sum of all costs; a term is kept as t_k less the costs before k, so that a take changes none of them.
        self._spent_s = 0.0
        self._open: dict[Take, None] = {}
        #: The greatest term after the last open take, and the greatest of all.
        self._tail_s = -inf
        self._greatest_s = -inf

    @property
    def empty_at_s(self) -> float:
        """When the bucket will have drained."""
        return self._spent_s + self._greatest_s

    @property
    def open_takes(self) -> int:
        """Takes that were not corrected yet."""
        return len(self._open)

    def level(self, now_s: float) -> int:
        """Return the level of the bucket."""
        return max(0, round((self.empty_at_s - now_s) / self._unit_s)) if self._spent_s else 0

    def ready_at_s(self, amount: int) -> float:
        """Return the instant from which `amount` may be taken; for more than `burst`, when the bucket is empty."""
        return self.empty_at_s - max(0, self.burst - amount) * self._unit_s

    def take(self, now_s: float, amount: int) -> Take:
        """Take without asking `ready_at_s`; `correct` it once the right amount is known."""
        term_s = now_s - self._spent_s
        take = Take(amount, max(term_s, self._tail_s))
        self._open[take] = None
        self._tail_s = -inf
        self._greatest_s = max(self._greatest_s, term_s)
        self._spent_s += amount * self._unit_s
        return take

    def correct(self, take: Take, amount: int) -> bool:
        """Count as if `amount` had been taken; return False, and change nothing, if it was corrected before."""
        if take not in self._open:
            return False
        more_s = (amount - take.amount) * self._unit_s
        self._spent_s += more_s
        self._merge_behind(take, more_s)
        self._greatest_s = max((other.term_s for other in self._open), default=-inf)
        self._greatest_s = max(self._greatest_s, self._tail_s)
        return True

    def _merge_behind(self, take: Take, more_s: float) -> None:
        """Move the terms after the take by its correction, and close it: its own term joins the next open take's."""
        behind = iter(self._open)
        for other in behind:
            if other is take:
                break
        closed_s = take.term_s
        for other in behind:
            other.term_s = max(other.term_s - more_s, closed_s)
            closed_s = -inf
        self._tail_s = max(self._tail_s - more_s, closed_s)
        del self._open[take]
