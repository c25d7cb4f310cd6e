"""The command line as a user runs it, in this process."""

from __future__ import annotations

import sys

import pytest

from hivecost.cli import main


@pytest.fixture
def hivecost(monkeypatch, capsys):
    """Run the command line; (exit status, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hivecost", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        return int(left.value.code or 0), shown.out, shown.err

    return run
