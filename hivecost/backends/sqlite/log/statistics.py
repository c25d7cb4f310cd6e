"""What a Store counts: every event is written, a duplicate, late, lost or still queued."""

from __future__ import annotations

from collections.abc import Mapping

from hivecost.backends.sqlite.log.append import Appended
from hivecost.errors import StoreError
from hivecost.log.records import StoreStatistics


class Tally:
    """The counts while they run."""

    def __init__(self) -> None:
        self.written = self.duplicates = self.lost = self.late = self.truncated = self.commits = 0
        self.last_error: StoreError | None = None

    def lose(self, error: StoreError) -> None:
        """Count one event as lost."""
        self.lost += 1
        self.last_error = error

    def finished(self, appended: Appended, errors: Mapping[int, StoreError]) -> None:
        """Count a batch that was written, except for its duplicates and for the events with these errors."""
        count, written = len(appended.inserted), sum(appended.inserted)
        self.commits += len(errors) < count
        self.written += written
        self.late += appended.late
        self.truncated += appended.truncated
        self.duplicates += count - written - appended.late - len(errors)
        for error in errors.values():
            self.lose(error)

    def statistics(self, *, queued: int, queue_max: int) -> StoreStatistics:
        """Return the counts, with the length of the queue and its limit."""
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
