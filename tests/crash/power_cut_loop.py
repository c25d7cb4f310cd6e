"""Cuts the power under writers; run as `power_cut_loop.py BASE_PATH ORACLE CUTS SYNCHRONOUS SEED`.

A writer makes and migrates the database, appends batches, closes it and opens it again, until the power goes. The next
one finds what the disk has left, and resends some of the last events. After each cut the ORACLE checks the log, with
Python's own SQLite. Prints as JSON how many cuts lost acknowledged events, and the first other problems.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import kill_loop
from power_cut_disk import Disk
from power_cut_vfs import mounted

from hivecost.backends.sqlite import database, open_reader
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.errors import StoreError, StoreVersionError

#: The write-ahead log goes back into the database every few batches, or hardly ever.
CHECKPOINT_BYTES = [128 * 2**10, 8 * 2**20]


class Lineage:
    """A database from its making through some power cuts."""

    def __init__(self, base_path):
        self.folder = base_path / "0"
        self.folder.mkdir(parents=True)
        self.acknowledged = []
        self._first = 1

    def write_until_cut(self, synchronous, chance):
        """Afterwards `folder` is what the next writer finds."""
        # The making of a database is the first hundred changes, and a batch some twenty.
        changes_max = 500 if self.acknowledged else chance.choice([12, 100, 300, 500])
        disk = Disk(self.folder, chance, changes_max=chance.randrange(changes_max))
        database._CHECKPOINT_BYTES = chance.choice(CHECKPOINT_BYTES)
        with mounted(disk, synchronous):
            self._write(disk, RuntimeLog(self.folder), chance)
        shutil.rmtree(self.folder)
        self.folder = self.folder.with_name(str(int(self.folder.name) + 1))
        disk.save(self.folder)
        self._first = max(1, self._first - chance.randrange(2 * kill_loop.RESENT))

    def _write(self, disk, log, chance):
        while disk.left is None:
            last = self._first + chance.choice([1, 1, 5, 40])
            events = [kill_loop.event(0, number) for number in range(self._first, last)]
            assert log.append(events).faults == {}
            if disk.left is None:
                self.acknowledged += [event.event_id for event in events]
                self._first = last
            if chance.random() < 0.1:
                log.close()
        log.close()


def problems_of(folder, oracle, acknowledged):
    """(how many acknowledged events are lost, what else is wrong), as a reader finds it; then it must be writable."""
    lost, found = 0, []
    try:
        with closing(open_reader(folder)) as reader:
            rows = reader.execute("SELECT event_id FROM turns UNION ALL SELECT event_id FROM events")
            lost = len(set(acknowledged) - {event_id for (event_id,) in rows})
        if lost < len(acknowledged):  # else there may be no tables yet
            found = oracle.problems(folder / "hivecost.db")
    except StoreVersionError:
        lost = len(acknowledged)  # it was not made to its end
    except (StoreError, sqlite3.Error) as error:
        found = [f"cannot be read: {error}"]
    try:
        with closing(RuntimeLog(folder)) as log:
            log.append([kill_loop.event(1, 1)])
        return lost, found + oracle.problems(folder / "hivecost.db", ["1-1"])
    except (StoreError, sqlite3.Error) as error:
        return lost, [*found, f"cannot be written: {error}"]


def look_at_copy(folder, oracle, acknowledged):
    copy = folder.with_name(f"{folder.name}-looked-at")
    shutil.copytree(folder, copy)
    outcome = problems_of(copy, oracle, acknowledged)
    shutil.rmtree(copy)
    return outcome


def main():
    base_path, oracle_path, cuts, synchronous, seed = sys.argv[1:]
    oracle, chance = kill_loop.load_oracle(oracle_path), random.Random(int(seed))
    lineage, losses, problems = None, 0, []
    for number in range(int(cuts)):
        if lineage is None:
            lineage = Lineage(Path(base_path) / str(number))
        lineage.write_until_cut(synchronous, chance)
        lost, found = look_at_copy(lineage.folder, oracle, lineage.acknowledged)
        losses += lost > 0
        problems = [f"cut {number}: {problem}" for problem in found]
        if problems:
            break
        if lost or chance.random() < 0.2:
            lineage = None
    print(json.dumps({"losses": losses, "problems": problems}))


if __name__ == "__main__":
    main()
