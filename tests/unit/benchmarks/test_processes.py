"""What is measured in other processes ends with an error when one of them dies."""

from __future__ import annotations

import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from benchmarks.ledger_store import rates_in
from benchmarks.suite import in_process


def test_a_process_gives_what_it_returns_or_raises():
    """It is another one."""
    assert in_process(os.getpid) != os.getpid()
    with pytest.raises(ValueError, match="invalid literal"):
        in_process(int, "x")


def test_a_process_that_dies_is_an_error():
    """And not a wait without end."""
    with pytest.raises(BrokenProcessPool):
        in_process(os._exit, 3)


def test_of_several_processes_one_that_dies_is_an_error(tmp_path):
    """Those that live are not waited for."""
    (tmp_path / "file").touch()
    with pytest.raises(EOFError):
        rates_in([str(tmp_path / "good"), str(tmp_path / "file")])
