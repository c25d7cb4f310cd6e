"""The documents do not drift from the code: their Python runs, their commands exist, their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hivecost.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")])
MAKEFILE = (ROOT / "Makefile").read_text()


def code_blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Every relative link names a file that is there."""
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(path):
    """Every `hivecost …` and `make …` that a document shows is a command."""
    text = path.read_text()
    for command in re.findall(r"(?:^    |`)hivecost ([a-z]+)", text, re.MULTILINE):
        shown = CliRunner().invoke(app, [command, "--help"])
        assert shown.exit_code == 0, command
    for target in re.findall(r"(?:^    |`)make ([a-z]+)", text, re.MULTILINE):
        assert f"\n{target}:" in MAKEFILE, target


def test_the_readme_runs(tmp_path):
    """The README's first example runs as it stands; its handler and its other budget fit beside it."""
    program, handler, budget = code_blocks(ROOT / "README.md")
    program = program.replace("\nanyio.run(main)", f"\n{handler}\n{budget}\nanyio.run(main)")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "completed 1500 0.006\n"
    shown = CliRunner().invoke(app, ["report", "latest", "--data", str(tmp_path / "data")])
    assert shown.exit_code == 0, shown.output
    assert "plan" in shown.output


def test_the_changelog_has_a_place_for_what_comes():
    """Unreleased changes stand on top."""
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
