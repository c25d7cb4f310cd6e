"""H1 and H5 at chosen moments: whatever a process was doing when it was killed, its recovery is exact, and done once.

`ledger_kill_points.py` has the steps of its life. Whether one that is cut short counts is said here for each point.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(400)

SCRIPT = Path(__file__).with_name("ledger_kill_points.py")
TRANSACT = "database.LedgerDatabase._transact"
COMMIT = "database.LedgerDatabase._commit"
LEAVE = "database.LedgerDatabase.leave"


def point(step, where, when, call=1, *, counts=False):
    return [step, where, when, call, counts]


OPENING = [
    point("open", "journal.Journal.__init__", "after"),
    point("open", TRANSACT, "before"),
    point("open", "database.LedgerDatabase._enter", "before"),
    point("open", "database.LedgerDatabase._enter", "after"),
    point("open", TRANSACT, "after"),
    point("open", "local_ledger.LocalLedger.apply", "before"),
]
HOLDING = [
    point("reserve paid", TRANSACT, "before"),
    point("reserve paid", COMMIT, "before"),
    point("reserve paid", "granting.LeaseGrantor.reply", "after"),
    point("reserve paid", COMMIT, "after"),
    point("reserve paid", TRANSACT, "after"),
    point("reserve paid", "local_ledger.LocalLedger.apply", "before"),
    point("reserve paid", "local_ledger.LocalLedger.apply", "after"),
    point("reserve paid", "local_ledger.LocalLedger.reserve", "after", 2, counts=True),
    point("reserve lost", "local_ledger.LocalLedger.reserve", "before"),
    point("reserve lost", "local_ledger.LocalLedger.reserve", "after", counts=True),
]
DECIDING = [
    point("settle paid", "local_ledger.LocalLedger.settle", "before"),
    point("settle paid", "journal.Journal.settle", "before"),
    point("settle paid", "journal.Journal.settle", "after", counts=True),
    point("settle paid", "local_ledger.LocalLedger.settle", "after", counts=True),
    point("settle another", "local_ledger.LocalLedger.settle_another", "before"),
    point("settle another", "journal.Journal.settled", "before"),
    point("settle another", "journal.Journal.settled", "after", counts=True),
    point("settle another", "local_ledger.LocalLedger.settle_another", "after", counts=True),
    point("doubt lost", "local_ledger.LocalLedger.doubt", "before"),
    point("doubt lost", "local_ledger.LocalLedger.doubt", "after"),
    point("know part", "local_ledger.LocalLedger.settle_known", "before"),
    point("know part", "journal.Journal.settle_part", "before"),
    point("know part", "journal.Journal.settle_part", "after", counts=True),
    point("know part", "local_ledger.LocalLedger.settle_known", "after", counts=True),
    point("settle soon", "journal.Journal.settle", "before"),
    point("settle soon", "journal.Journal.settle", "after", counts=True),
    point("release unsent", "local_ledger.LocalLedger.release", "before"),
    point("release unsent", "journal.Journal.release", "before"),
    point("release unsent", "journal.Journal.release", "after", counts=True),
    point("release unsent", "local_ledger.LocalLedger.release", "after", counts=True),
    point("extend grown", "local_ledger.LocalLedger.extend", "before"),
    point("extend grown", "journal.Journal.extend", "before"),
    point("extend grown", "journal.Journal.extend", "after", counts=True),
    point("extend grown", "local_ledger.LocalLedger.extend", "after", counts=True),
    point("settle late", "local_ledger.LocalLedger.settle", "before"),
    point("settle late", "local_ledger.LocalLedger.settle", "after", counts=True),
    point("settle half", "journal.Journal.settled", "before"),
    point("settle half", "journal.Journal.settled", "after", counts=True),
    point("settle grown", "journal.Journal.settle", "before"),
    point("settle grown", "journal.Journal.settle", "after", counts=True),
    point("settle big", "local_ledger.LocalLedger.settle", "before"),
    point("settle big", "local_ledger.LocalLedger.settle", "after", counts=True),
]
#: A bill and two doubts go to the database, and leave the journal only once they are there.
COMMITTING = [
    point("sync", "local_ledger.LocalLedger.collect", "before"),
    point("sync", "local_ledger.LocalLedger.collect", "after"),
    point("sync", TRANSACT, "before"),
    point("sync", COMMIT, "before"),
    point("sync", "database.doubt", "after"),
    point("sync", "database.charge", "before"),
    point("sync", "database.charge", "after"),
    point("sync", COMMIT, "after"),
    point("sync", TRANSACT, "after"),
    point("sync", "local_ledger.LocalLedger.apply", "before"),
    point("sync", "journal.Journal.release", "after", 1),
    point("sync", "journal.Journal.release", "after", 2),
    point("sync", "journal.Journal.release", "before", 3),
    point("sync", "local_ledger.LocalLedger.apply", "after"),
]
#: A late bill, a bill of an extended hold and a new lease, in one transaction.
LENDING = [
    point("reserve big", TRANSACT, "before"),
    point("reserve big", "database.settle_late", "after"),
    point("reserve big", COMMIT, "after"),
    point("reserve big", TRANSACT, "after"),
    point("reserve big", "local_ledger.LocalLedger.apply", "before"),
    point("reserve big", "journal.Journal.release", "after"),
    point("reserve big", "local_ledger.LocalLedger.apply", "after"),
    point("reserve big", "local_ledger.LocalLedger.reserve", "after", 2, counts=True),
]
CLOSING = [
    point("close", "local_ledger.LocalLedger.leave", "before"),
    point("close", "local_ledger.LocalLedger.leave", "after"),
    point("close", LEAVE, "before"),
    point("close", "database.forget", "before"),
    point("close", "database.forget", "after"),
    point("close", TRANSACT, "after"),
    point("close", "paths.LedgerPaths.remove", "before"),
    point("close", "paths.Path.unlink", "after"),
    point("close", LEAVE, "after"),
    point("close", "database.LedgerDatabase.close", "before"),
]
#: The process that recovers another is killed as well; the first died after a commit that it did not know of.
RECOVERING = [
    point("recover", "database.LedgerDatabase._enter", "before"),
    point("recover", "recovery.Recovery._recover", "before"),
    point("recover", "recovery.doubt", "after"),
    point("recover", "recovery.forget", "before"),
    point("recover", "recovery.Recovery._recover", "after"),
    point("recover", "database.LedgerDatabase._enter", "after"),
    point("recover", "recovery.Recovery.finish", "before"),
    point("recover", "paths.LedgerPaths.remove", "before"),
    point("recover", "paths.Path.unlink", "after"),
    point("recover", "recovery.Recovery.finish", "after"),
    point("recover", TRANSACT, "after"),
    point("recover", "local_ledger.LocalLedger.apply", "before"),
    point("recover", LEAVE, "before"),
]
POINTS = [OPENING, HOLDING, DECIDING, COMMITTING, LENDING, CLOSING, RECOVERING]

STEPS = [
    ["open", "reserve paid", "reserve lost", "settle paid", "settle another", "doubt lost", "know part"],
    ["settle soon", "release unsent", "extend grown", "sync", "settle late", "settle half", "settle grown"],
    ["reserve big", "settle big", "close", "recover"],
]


def name_of(case):
    if isinstance(case, str):
        return case
    step, where, when, call, _ = case
    return f"{step}: {when} {where.split('.', 1)[-1]}{f' {call}' * (call > 1)}"


def run(cases, base_path, mutant="none"):
    """The problems of each case, by its name."""
    script = [sys.executable, str(SCRIPT), str(base_path), mutant]
    done = subprocess.run(script, input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(map(name_of, cases), json.loads(done.stdout), strict=True))


@pytest.fixture(scope="module")
def problems_at(tmp_path_factory):
    """A group of them in one process that forks, because starting one takes longer than dying."""
    return cache(lambda number: run((POINTS + STEPS)[number], tmp_path_factory.mktemp("points")))


def each_of(groups, first=0):
    names = [(number, name_of(case)) for number, group in enumerate(groups, first) for case in group]
    return pytest.mark.parametrize(("group", "name"), names, ids=[name for _, name in names])


@each_of(POINTS)
def test_killed_there_it_is_recovered_exactly(problems_at, group, name):
    """Settled is what was settled, in doubt what was open, all else is usable; at each later look too."""
    assert problems_at(group)[name] == []


@each_of(STEPS, len(POINTS))
def test_killed_at_any_line_a_step_counts_or_does_not(problems_at, group, name):
    """There is no moment at which a step is half done, and one from which on it is."""
    assert problems_at(group)[name] == []


MISTAKES = {
    "settle_twice": [
        point("sync", TRANSACT, "after"),
        point("sync", "local_ledger.LocalLedger.apply", "before"),
        point("recover", "recovery.Recovery._recover", "before"),
    ],
    "refund_on_crash": [
        point("reserve lost", "local_ledger.LocalLedger.reserve", "after", counts=True),
        point("settle paid", "journal.Journal.settle", "before"),
        point("recover", "recovery.Recovery._recover", "after"),
    ],
    "lease_before_its_commit": [point("settle big", "local_ledger.LocalLedger.settle", "after", counts=True)],
    "check_without_hold": [point("reserve big", "local_ledger.LocalLedger.reserve", "after", 2, counts=True)],
}


@pytest.mark.parametrize("mutant", MISTAKES)
def test_a_wrong_ledger_is_caught(tmp_path, mutant):
    """The checks above can fail: each of these mistakes shows at each of its points, every time."""
    for name, problems in run(MISTAKES[mutant], tmp_path, mutant).items():
        assert any(problem.startswith("look 1") for problem in problems), (name, problems)
