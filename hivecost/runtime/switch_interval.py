"""How long threads wait for Python's interpreter: a setting of the whole process, changed for those who ask for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hivecost.forking import tell_children

#: Python cuts intervals to whole microseconds.
_HALF_A_MICROSECOND: Final = 5e-7


class _SwitchInterval:
    """The shortest interval that anybody asks for; what somebody else sets meanwhile stays."""

    def __init__(self) -> None:
        self._asked_s: list[float] = []
        self._before_s = self._ours_s = 0.0
        tell_children(self)

    def _forked(self) -> None:
        if self._asked_s:
            self._asked_s.clear()  # they run in the parent
            self._set(self._before_s)

    def ask(self, seconds: float) -> None:
        if not self._asked_s:
            self._before_s = self._ours_s = sys.getswitchinterval()
        self._asked_s.append(seconds)
        self._set(min(self._before_s, *self._asked_s))

    def let_go(self, seconds: float) -> None:
        if seconds in self._asked_s:  # a forked child may let go what its parent asked for
            self._asked_s.remove(seconds)
            self._set(min((self._before_s, *self._asked_s)))

    def _set(self, seconds: float) -> None:
        if seconds != self._ours_s == sys.getswitchinterval():
            sys.setswitchinterval(seconds + _HALF_A_MICROSECOND)
            self._ours_s = sys.getswitchinterval()


_interval: Final = _SwitchInterval()


@contextmanager
def switch_interval(seconds: float | None) -> Iterator[None]:
    """Set, until it ends, how long a thread waits for the interpreter before it asks for it; None changes nothing.

    Any number may be in it at once. A shorter interval is left as it is, and so is one that somebody else sets.
    """
    if seconds is None:
        yield
        return
    _interval.ask(seconds)
    try:
        yield
    finally:
        _interval.let_go(seconds)
