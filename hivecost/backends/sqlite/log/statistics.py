"""What a Store counts: every event is written, a duplicate, late, lost or still queued."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hivecost.backends.sqlite.log.append import Appended
from hivecost.errors import StoreError


class StoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of events since the Store was made."""

    #: Accepted and not yet committed, and the limit of that.
    queued: int
    queue_max: int
    #: Rows really inserted.
    written: int
    #: Known already by their event id.
    duplicates: int
    #: Accepted or refused, and not committed; `last_error` says why.
    lost: int
    #: From before the instant up to which the log was pruned, and so not logged: they may have been already.
    late: int
    #: Logged with their tags cut.
    truncated: int
    commits: int
    last_error: str


class Tally:
    """The counts while they run."""

    def __init__(self) -> None:
        self.written = self.duplicates = self.lost = self.late = self.truncated = self.commits = 0
        self.last_error: StoreError | None = None

    def lose(self, error: StoreError) -> None:
        """One event is lost."""
        self.lost += 1
        self.last_error = error

    def finished(self, appended: Appended, errors: Mapping[int, StoreError]) -> None:
        """A batch went through, but for its duplicates and for these errors."""
        count, written = len(appended.inserted), sum(appended.inserted)
        self.commits += len(errors) < count
        self.written += written
        self.late += appended.late
        self.truncated += appended.truncated
        self.duplicates += count - written - appended.late - len(errors)
        for error in errors.values():
            self.lose(error)

    def statistics(self, *, queued: int, queue_max: int) -> StoreStatistics:
        return StoreStatistics(
            queued=queued,
            queue_max=queue_max,
            written=self.written,
            duplicates=self.duplicates,
            lost=self.lost,
            late=self.late,
            truncated=self.truncated,
            commits=self.commits,
            last_error="" if self.last_error is None else str(self.last_error),
        )
