"""The one deadline by which a runtime has closed."""

from __future__ import annotations

from typing import Final

import anyio

#: What is still open when the deadline passes has so long to end by itself before it is given up.
GRACE_S: Final = 2.0


class Closing:
    """Begins when somebody asks how much time is left; one for each run."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._deadline: float | None = None

    def left_s(self, *, at_least_s: float = GRACE_S) -> float:
        """Return the seconds until the deadline, or `at_least_s`."""
        now = anyio.current_time()
        if self._deadline is None:
            self._deadline = now + self._timeout_s
        return max(self._deadline - now, at_least_s)
