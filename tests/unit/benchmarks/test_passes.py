"""A row of the table is what several passes agree on."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import __main__ as bench
from benchmarks.figure import Figure
from benchmarks.suite import Row, middle_of


def test_one_pass_on_a_busy_machine_decides_nothing():
    """Neither the figure nor the verdict, nor what the name says of that pass; it is seen in the spread."""
    rows: list[Row] = [
        ("a: 9 µs", 2.0, Figure(1.5, 1.2, 1.8), True),
        ("a: 30 µs", 2.0, Figure(9.0, 1.1, 20.0), False),
        ("a: 8 µs", 2.0, Figure(1.4, 1.3, 1.7), True),
    ]
    name, goal, figure, met = middle_of(rows)
    assert (name, goal, figure, met) == ("a: 9 µs", 2.0, 1.5, True)
    assert (figure.low, figure.high) == (1.1, 20.0)


def test_the_passes_of_what_has_no_rounds_are_its_spread():
    """Two that miss of three are a miss."""
    _, _, figure, met = middle_of([("x", 1.0, 3.0, False), ("x", 1.0, 1.0, True), ("x", 1.0, 2.0, False)])
    assert (figure, figure.low, figure.high, met) == (2.0, 1.0, 3.0, False)


@pytest.mark.parametrize(("passes", "figure", "met"), [(1, 1.0, True), (3, 2.0, False)])
def test_the_table_says_what_was_missed(monkeypatch, tmp_path, capsys, passes, figure, met):
    """Every suite is run so often, and a goal that is missed is an exit with 1."""
    measured = iter([1.0, 3.0, 2.0])

    def results_of(suite: str) -> list[Row]:
        now = next(measured)
        return [(f"how {suite} is", 1.5, now, now <= 1.5)]

    monkeypatch.setattr(bench, "in_process", lambda work, suite: results_of(suite))
    monkeypatch.setattr(sys, "argv", ["bench", "bus", "--passes", str(passes), "--json", str(tmp_path / "rows")])
    assert bench.main() == (0 if met else 1)
    assert ("MISSED bus" in capsys.readouterr().out) == (not met)
    (row,) = json.loads((tmp_path / "rows").read_text())
    assert (row["suite"], row["name"], row["figure"], row["met"]) == ("bus", "how bus is", figure, met)
