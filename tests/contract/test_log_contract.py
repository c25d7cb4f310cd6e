"""The contract of a log holds for the embedded one and for the one in memory, and a wrong one does not pass it."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import hivecost as hc
from hivecost.backends import open_backend, open_log
from hivecost.backends.sqlite import SQLiteLogReader, Store
from hivecost.backends.sqlite.backend import SQLiteBackend
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.backends.sqlite.log.summing.upkeep import Upkeep
from hivecost.backends.sqlite.os_lock import do_locked
from hivecost.clock import SYSTEM_CLOCK
from hivecost.testing.contracts.log import LogContract


def load(name):
    """A file beside this one, which test modules cannot import by name."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wrong = load("wrong_logs")


class TestSQLiteLog(LogContract):
    """The one in SQLite."""

    def backend(self, place):
        return open_backend(place)

    def open(self, place):
        return open_log(place)


class TestSummedSQLiteLog(TestSQLiteLog):
    """The same after its hours and days were summed; what a test writes or takes away later makes some wrong again."""

    def open(self, place):
        upkeep, log = Upkeep(place, zone=ZoneInfo("Asia/Kathmandu")), RuntimeLog(place)
        while not (read := upkeep.read(SYSTEM_CLOCK.now_ns())).is_last:
            if read.commit is not None:
                do_locked(place, partial(log.commit, read.commit))
        log.close()
        return super().open(place)


class TestMemoryLog(LogContract):
    """The one in memory: nothing in the contract knows of files or SQL."""

    def backend(self, place):
        return open_backend(f"memory://{place}")


class Wrong(SQLiteBackend):
    """A place with another writer, or another state beside its log."""

    def __init__(self, place, mistake):
        super().__init__(place)
        setattr(self, "writer" if issubclass(mistake, Store) else "state", partial(mistake, place))


@pytest.mark.parametrize("name", wrong.MISTAKES)
def test_a_wrong_log_does_not_pass(name, tmp_path):
    """Each of the tests that should see a mistake does, by its own assertion or an error of hivecost."""
    mistake, tests = wrong.MISTAKES[name]
    for test in tests:
        contract = TestSQLiteLog()
        if issubclass(mistake, SQLiteLogReader):
            contract.open = mistake
        else:
            contract.backend = lambda place, mistake=mistake: Wrong(place, mistake)
        place = tmp_path / test
        place.mkdir()
        with pytest.raises((AssertionError, hc.HiveCostError)):
            getattr(contract, test)(place)


def test_every_test_of_the_contract_can_fail():
    """There is a mistake for each."""
    tests = {name for name in dir(LogContract) if name.startswith("test_")}
    assert {test for _, tests in wrong.MISTAKES.values() for test in tests} == tests
