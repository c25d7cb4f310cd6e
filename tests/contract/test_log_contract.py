"""The contract of a log's reader holds for the embedded one, and a wrong one does not pass it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import anyio
import pytest

import hivecost as hc
from hivecost.backends import open_log
from hivecost.backends.memory import memory_log
from hivecost.backends.sqlite import delete_session, prune
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
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

    def open(self, place):
        return open_log(place)

    def write(self, place, events):
        place.mkdir(exist_ok=True)
        RuntimeLog(place).append_once(events)

    def prune(self, place, before_ns):
        anyio.run(prune, place, before_ns)

    def delete(self, place, session_id):
        anyio.run(delete_session, place, session_id)


class TestMemoryLog(LogContract):
    """The one in memory: nothing in the contract knows of files or SQL."""

    def open(self, place):
        return open_log(f"memory://{place}")

    def write(self, place, events):
        memory_log(str(place)).write(events)

    def prune(self, place, before_ns):
        memory_log(str(place)).prune(before_ns)

    def delete(self, place, session_id):
        memory_log(str(place)).delete(session_id)


@pytest.mark.parametrize("name", wrong.MISTAKES)
def test_a_wrong_reader_does_not_pass(name, tmp_path):
    """Each of the tests that should see a mistake does, by its own assertion or an error of hivecost."""
    reader, tests = wrong.MISTAKES[name]
    for test in tests:
        contract = TestSQLiteLog()
        contract.open = reader
        place = tmp_path / test
        place.mkdir()
        with pytest.raises((AssertionError, hc.HiveCostError)):
            getattr(contract, test)(place)


def test_every_test_of_the_contract_can_fail():
    """There is a mistake for each."""
    tests = {name for name in dir(LogContract) if name.startswith("test_")}
    assert {test for _, tests in wrong.MISTAKES.values() for test in tests} == tests
