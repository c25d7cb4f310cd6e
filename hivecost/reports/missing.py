"""Whether anything is logged: most often a path that is not there is mistyped."""

from __future__ import annotations

from hivecost.backends import Place, read_log
from hivecost.errors import SessionNotFoundError
from hivecost.log import LogReader


def is_logged(log: LogReader) -> bool:
    """Return whether anything was ever logged there, pruned or not. Raise StoreErrors."""
    return log.as_of() is not None or bool(log.sessions(limit=1).rows or log.sums())


async def require_log(place: Place) -> None:
    """Raise SessionNotFoundError where nothing was ever logged. Raise StoreErrors."""

    def require(log: LogReader) -> None:
        if not is_logged(log):
            raise nothing_logged(place, has_budgets=bool(log.budgets()))

    await read_log(place, require)


def nothing_logged(place: Place, *, has_budgets: bool) -> SessionNotFoundError:
    """Return what to raise where nothing was ever logged."""
    there = "; its budgets are shown by `hivecost budget status`, or " if has_budgets else "; "
    return SessionNotFoundError(f"no session was logged in {place} yet{there}name another folder with --data")
