"""What a Store counts: every event is written, a duplicate, late, lost or still queued."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from hivecost.errors import StoreError
from hivecost.store.append import Appended
from hivecost.store.requests import Request


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
    """The counts while they run, and the answers they are taken from."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.written = self.duplicates = self.lost = self.late = self.truncated = self.commits = 0
        self.last_error: StoreError | None = None

    def lose(self, count: int, error: StoreError) -> None:
        self.lost += count
        if count:
            self.last_error = error

    def failed(self, batch: Sequence[Request], error: StoreError) -> None:
        """Nothing of this batch was committed."""
        for request in batch:
            request.error = error
            self.lose(len(request.events), error)

    def committed(self, batch: Sequence[Request], appended: Appended) -> None:
        """The batch went through, but for its duplicates and its faults."""
        self.commits += bool(appended.inserted)
        self.truncated += appended.truncated
        self.late += appended.late
        self.duplicates -= appended.late  # below, they are among those that were not inserted
        start = 0
        for request in batch:
            stop = start + len(request.events)
            request.inserted = sum(appended.inserted[start:stop])
            faults = {index: fault for index, fault in appended.faults.items() if start <= index < stop}
            for index, fault in faults.items():
                event = request.events[index - start]
                culprit = getattr(event, "event_id", event)  # it may be no event at all
                request.error = StoreError(f"{self._path}: event {culprit!r:.100} cannot be logged: {fault}")
                self.lose(1, request.error)
            self.written += request.inserted
            self.duplicates += len(request.events) - request.inserted - len(faults)
            start = stop

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
