"""Fills the disk at each write in turn; run as `disk_full_loop.py BASE_PATH ORACLE STEP`.

For every STEP-th write that a small log takes, from its making on, the disk is full at that write and for some time
after. Prints as JSON the problems, how many writes there are, how many events were refused and committed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path

import anyio.lowlevel
import apsw
import kill_loop
from power_cut_vfs import mounted

from hivecost.backends.sqlite import Store, database
from hivecost.clock import SystemClock
from hivecost.errors import StoreError, StoreUnusablePathError

BATCHES = 6
BATCH_EVENTS = 20


class FullDisk:
    """Full from one write on, and for some more: as a `Disk` that keeps no books."""

    def __init__(self, *, full_at, refusals):
        self.writes = 0
        self._full_at, self._refusals_left = full_at, refusals

    def open(self, path):
        pass

    def write(self, file, offset, data):
        self.writes += 1
        if self.writes > self._full_at and self._refusals_left:
            self._refusals_left -= 1
            raise apsw.exceptionfor(apsw.SQLITE_FULL)

    def truncate(self, file, size):
        pass

    def sync(self, file, *, with_folder):
        pass

    def delete(self, path, *, with_folder):
        pass

    def make_room(self):
        self._refusals_left = 0


class HastyClock(SystemClock):
    """Waits for no disk."""

    async def sleep(self, seconds):
        await anyio.lowlevel.checkpoint()


def batch(number):
    return [kill_loop.event(0, number * BATCH_EVENTS + one + 1) for one in range(BATCH_EVENTS)]


async def write(folder, disk):
    """(ids of what was committed, errors, counts); for the last batch there is room."""
    committed, errors = [], []
    store = Store(folder, clock=HastyClock())
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(store)
        except StoreError as error:  # as for the log writer: it tries again with every batch
            errors.append(error)
        for number in range(BATCHES):
            if number == BATCHES - 1:
                disk.make_room()
            try:
                await store.write(batch(number))
                committed += [event.event_id for event in batch(number)]
            except StoreError as error:
                errors.append(error)
    return committed, errors, store.statistics()


def problems_of(folder, oracle, committed, errors, counts):
    path = folder / "hivecost.db"
    found = oracle.problems(path)
    rows = oracle.rows(path, "SELECT event_id FROM turns UNION ALL SELECT event_id FROM events")
    if sorted(row["event_id"] for row in rows) != sorted(committed):
        found.append(f"there are {len(rows)} rows, and {len(committed)} events were committed")
    if counts.written != len(committed) or counts.lost != BATCHES * BATCH_EVENTS - len(committed):
        found.append(f"{counts}, and {len(committed)} events were committed")
    if batch(BATCHES - 1)[0].event_id not in committed:
        found.append("it did not go on when there was room")
    found += [
        f"not named: {error!r}"
        for error in errors
        if not isinstance(error, StoreUnusablePathError) or str(path) not in str(error) or "make room" not in str(error)
    ]
    return found


def main():
    base_path, oracle_path, step = sys.argv[1:]
    logging.getLogger("hivecost").setLevel(logging.CRITICAL)
    oracle, lengths = kill_loop.load_oracle(oracle_path), cycle([1, 3, 10, 10**6])
    database._CHECKPOINT_BYTES = 64 * 2**10
    number, found = 0, {"problems": [], "writes": 10**6, "refused": 0, "committed": 0}
    while number < found["writes"]:
        folder = Path(base_path) / str(number)
        disk = FullDisk(full_at=number, refusals=next(lengths))
        with mounted(disk):
            committed, errors, counts = asyncio.run(write(folder, disk))
        found["problems"] += [
            f"full at write {number}: {one}" for one in problems_of(folder, oracle, committed, errors, counts)
        ]
        found["refused"] += counts.lost
        found["committed"] += counts.written
        if not errors:
            found["writes"] = disk.writes
        number += int(step)
    print(json.dumps(found | {"problems": found["problems"][:10]}))


if __name__ == "__main__":
    main()
