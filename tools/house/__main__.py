"""Print the figures of the house: `python -m tools.house`, or `make house`.

Files that a settle and a report cross, files and their lengths, circles inside rooms, and what users get without a
name for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from statistics import median

from tools.house.circles import circles
from tools.house.crossings import behind_the_log, crossed_by_report, crossed_by_settle
from tools.house.public_names import unexported

ROOT = Path(__file__).parents[2] / "hivecost"


def main() -> None:
    """Print each figure, and below it what it counts."""
    lengths = [len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")]
    _show("files that a settle crosses", crossed_by_settle())
    report = crossed_by_report()
    _show("files that a report crosses up to the log's contract", report - behind_the_log(report))
    _show("files that it crosses behind that, in the embedded backend", behind_the_log(report))
    print(f"{len(lengths):4} files")
    print(f"{median(lengths):4.0f} lines in the median file")
    _show("circles inside rooms", [" <-> ".join(sorted(circle)) for circle in circles()])
    _show("public names that are not exported", unexported())


def _show(figure: str, counted: Collection[str]) -> None:
    print(f"{len(counted):4} {figure}")
    _list(sorted(counted))


def _list(names: Iterable[str]) -> None:
    for name in names:
        print(f"       {name}")


if __name__ == "__main__":
    main()
