"""What holds for every file: the linter, the layout, the import floors and the types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["lint-imports"], ["mypy"]], ids=" ".join
)
@pytest.mark.timeout(300)
def test_the_tool_has_nothing_to_say(command: list[str]) -> None:
    """Each of the project's checks passes on the whole tree."""
    name, *arguments = command
    done = subprocess.run(
        [TOOLS / name, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
