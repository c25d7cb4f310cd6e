"""The hard bound, as values: never more than the limit in any window, wherever the window is laid."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

#: Limits above this, and amounts that are corrected, share entries among grants that are close to each other. They
#: leave the window together with the last of them, so memory stays small and the bound holds, at the price of at most
#: 1/1024 of the window in waiting.
_ENTRIES_EXACT: Final = 1024

#: Seconds are floats, so two ways to one instant may differ in the last bit; clocks tick in nanoseconds at best.
_HALF_NANOSECOND_S: Final = 5e-10


#: [when they leave the window, how much was granted]: one grant, or several that are close to each other.
Grants = list[float]
#: Of those that have left it.
_GONE_S: Final = -inf


class SlidingWindow:
    """At most `limit` granted in any `window_s` seconds, to the nanosecond.

    Keeps when each grant leaves the window, not one entry per unit, so a grant of thousands costs the same as one.
    Instants never step back.
    """

    __slots__ = (
        "_gone",
        "_grain_s",
        "_grants",
        "_merge_until_s",
        "_newest",
        "_next_leaves_s",
        "granted",
        "limit",
        "window_s",
    )

    def __init__(self, limit: int, window_s: float, *, is_corrected: bool = False) -> None:
        self.limit: Final = limit
        self.window_s: Final = window_s
        #: What the window holds, as of the last look.
        self.granted = 0
        self._gone = 0
        self._grants: deque[Grants] = deque()  # the oldest first
        self._newest: Grants = []
        self._next_leaves_s = inf
        self._grain_s = window_s / _ENTRIES_EXACT if is_corrected or limit > _ENTRIES_EXACT else 0.0
        self._merge_until_s = -inf

    @property
    def granted_total(self) -> int:
        """All that was ever granted."""
        return self.granted + self._gone

    def try_take(self, now_s: float, amount: int = 1) -> bool:
        """Grant `amount` now if the window has room for it; `newest` is the entry that it is in then."""
        if now_s >= self._next_leaves_s:
            self._let_go(now_s)
        granted = self.granted + amount
        if granted > self.limit:
            return False
        self.granted = granted
        if now_s < self._merge_until_s:
            newest = self._newest
            newest[0] = now_s + self.window_s
            newest[1] += amount
        else:
            self._append(now_s, amount)
        return True

    def try_take_alone(self, now_s: float, amount: int) -> bool:
        """Grant `amount`, which may be above the limit, if the window is empty."""
        if now_s >= self._next_leaves_s:
            self._let_go(now_s)
        if self.granted:
            return False
        self.granted = amount
        self._append(now_s, amount)
        return True

    def ready_at_s(self, amount: int = 1) -> float:
        """Return the instant from which the window has room for `amount`; for more than the limit, when it is empty."""
        excess, ready_s = float(self.granted + min(amount, self.limit) - self.limit), 0.0
        for leaves_at_s, taken in self._grants:
            if excess <= 0:
                break
            excess, ready_s = excess - taken, leaves_at_s
        return ready_s

    @property
    def newest(self) -> Grants:
        """What the last grant is in, for `correct`."""
        return self._newest

    def correct(self, grants: Grants, more: int) -> None:
        """Count as if so much more, or less, had been granted then; what has left the window does not come back."""
        if grants[0] == _GONE_S:
            self._gone += more
        else:
            grants[1] += more
            self.granted += more

    def _append(self, now_s: float, amount: int) -> None:
        leaves_at_s = now_s + self.window_s
        if not self._grants:
            self._next_leaves_s = leaves_at_s - _HALF_NANOSECOND_S
        self._newest = [leaves_at_s, amount]
        self._grants.append(self._newest)
        self._merge_until_s = now_s + self._grain_s

    def _let_go(self, now_s: float) -> None:
        """Forget what has left the window."""
        grants = self._grants
        while grants and grants[0][0] - _HALF_NANOSECOND_S <= now_s:
            left = grants.popleft()
            left[0], gone = _GONE_S, int(left[1])
            self.granted -= gone
            self._gone += gone
        self._next_leaves_s = grants[0][0] - _HALF_NANOSECOND_S if grants else inf
        if not grants:
            self._merge_until_s = -inf
