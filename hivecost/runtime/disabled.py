"""`HIVECOST_DISABLE=1`: agents run as they would without hivecost."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from hivecost.errors import ConfigError, LedgerUnavailableError
from hivecost.events import Event, LLMTurnComplete
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import Budget, LedgerStore, Limit
from hivecost.ledger.caps import Cap, CapMode
from hivecost.runtime.admission import Admission
from hivecost.runtime.closing import Closing
from hivecost.runtime.gate import Gate
from hivecost.subscribers import BudgetWatcher, LogWriter, RunawayBreaker

VARIABLE: Final = "HIVECOST_DISABLE"
#: The plugins of hivecost that count on budgets, stop executions or write; a pacer only waits at the gate.
IDLE_PLUGINS: Final = (BudgetWatcher, LogWriter, RunawayBreaker)

_ON: Final = ("1", "true", "yes", "on")
_OFF: Final = ("", "0", "false", "no", "off")
_NOTICE: Final = (
    f"hivecost is disabled by {VARIABLE}: NO BUDGET HOLDS and nothing is logged; every turn passes. Unset {VARIABLE} "
    "and start again to enable it"
)

_log = logging.getLogger("hivecost.runtime")


def is_disabled() -> bool:
    """Return whether the environment disables hivecost. Raise ConfigError for a value that says neither."""
    value = os.environ.get(VARIABLE, "").strip().lower()
    if value in _ON:
        return True
    if value in _OFF:
        return False
    raise ConfigError(VARIABLE, "1, or 0 to leave hivecost enabled", got=value)


def tell_disabled() -> None:
    """Say on stderr, and at WARNING to whoever configured logging, that nothing is controlled."""
    if sys.stderr is not None:
        sys.stderr.write(f"{_NOTICE}\n")
    if _log.hasHandlers():  # Python itself would write it to stderr once more
        _log.warning("%s", _NOTICE)


class PassThroughGate(Gate):
    """Admits every turn as it is asked for: no check is awaited, nothing is held, and no ledger is opened."""

    passes_all = True

    @property
    def uses_ledger(self) -> bool:
        """False: there is no ledger to ask."""
        return False

    @property
    def ledger(self) -> LedgerStore:
        """Raises LedgerUnavailableError."""
        raise LedgerUnavailableError(f"no ledger is open, because {VARIABLE} disables hivecost")

    @asynccontextmanager
    async def open(
        self, base_path: str | Path, *, publish: Callable[[Event], None], closing: Closing
    ) -> AsyncIterator[None]:
        """Open nothing."""
        yield

    async def configure(self, budgets: Collection[Budget], *, retire: Collection[str] = (), by: str) -> None:
        """Remember these budgets, for those who ask which there are."""
        known = {budget.name: budget for budget in (*self._budgets, *budgets)}
        self._budgets = tuple(budget for budget in known.values() if budget.name not in retire)

    def cap(self, name: str, limit: Limit, *, mode: CapMode = "hard") -> Cap | None:
        """Check the limit and give no cap. Raise ConfigError for a limit that cannot be."""
        super().cap(name, limit, mode=mode)
        return None

    async def admit(self, request: TurnRequest, caps: Sequence[Cap] = ()) -> Admission:
        """Return the request as it was made."""
        return self.admit_nowait(request)

    def admit_nowait(self, request: TurnRequest, caps: Sequence[Cap] = ()) -> Admission:
        """Do the same."""
        return Admission(self.resolved(request))

    def tell_unasked(self, turn: LLMTurnComplete) -> None:
        """Say nothing: no turn counts on a hard budget."""
