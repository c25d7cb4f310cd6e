from __future__ import annotations

import pytest

from benchmarks import cachegrind, instructions

COUNTS = "desc: ...\nevents: Ir\nfl=a.c\nfn=f\n1 300\nfn=g\n9 700\nsummary: 1000\n"


def test_the_sum_is_the_summary_of_the_file():
    assert cachegrind.total_of(COUNTS) == 1_000


def test_of_many_events_the_first_is_instructions():
    """cachegrind writes them first, whatever else it was told to count."""
    assert cachegrind.total_of(COUNTS.replace("summary: 1000", "summary: 1000 7 7")) == 1_000


def test_a_killed_process_has_no_count():
    """A file that was cut is an error, not a small number."""
    with pytest.raises(ValueError, match="did not end by itself"):
        cachegrind.total_of(COUNTS.partition("summary")[0])


def test_without_valgrind_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    """One line and exit code 1, before anything runs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["benchmarks.instructions"])
    assert instructions.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "apt install valgrind" in line


def test_parts_are_differences_that_add_up_to_the_whole():
    """An event's parts are the event: making it, publishing it, and each subscription; a stored turn's are the turn."""
    each = {name: float(number**3 + 1_000) for number, name in enumerate(instructions.WORKLOADS)}
    bus = {what: count for what, [count] in instructions._parts_of_the_bus(each)}
    once, one = bus["`publish()`, and what is done once for all, lists"], bus["each subscription with lists"]
    assert bus["making the event"] + once + one == pytest.approx(each["lists 1"])
    *parts, (_, whole) = (row for row in instructions._store(each))
    assert sum(count for _, [count] in parts) == pytest.approx(whole[0])


def test_tables_are_markdown_with_a_cell_for_each_column():
    each = dict.fromkeys(instructions.WORKLOADS, 12_345.6)
    for table in instructions.tables(each):
        head, rule, *rows = table.splitlines()
        assert rule.count("|") == head.count("|")
        assert rows
        assert all(row.count("|") == head.count("|") for row in rows)
    assert "12,300" in instructions.tables(each)[0]
