"""The documents do not drift from the code: their Python runs, their commands exist, their links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hivecost.cli import app
from hivecost.events import Usage
from hivecost.runtime.config_file import read_config_file
from hivecost.testing import Behaviour, ProviderEmulator, TokenRates

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")])
MAKEFILE = (ROOT / "Makefile").read_text()
#: As in pyproject.toml: it reads its vocabularies with a function that Python 3.11 and 3.12 call deprecated.
BPE_OPENAIS = "ignore:open_binary is deprecated:DeprecationWarning"
#: The page whose commands a test of their own runs, with the data that they need.
TESTED_ELSEWHERE = "operate-budgets.md"
#: The page whose programs need clients that `make test` has not, and that tests/more/attach runs.
IN_ANOTHER_ENVIRONMENT = "attach.md"
#: A block of a page with what it prints, if that is shown; or a command.
STEP = re.compile(
    r"^```(?P<kind>python|toml)\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?"
    r"|^    hivecost (?P<command>[^\n]+)$",
    re.DOTALL | re.MULTILINE,
)
PAGES = [
    path
    for path in sorted(ROOT.glob("docs/**/*.md"))
    if STEP.search(path.read_text()) and path.name != IN_ANOTHER_ENVIRONMENT
]


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


def test_the_readmes_one_line_holds(tmp_path):
    """Its first example, with the demo's agent: what it says is billed."""
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"```\w+\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    command = shlex.split(found[1])
    assert command[:2] == ["hivecost", "run"]
    command[0:1] = [sys.executable, "-m", "hivecost"]
    command[command.index("python")] = sys.executable
    shutil.copy(ROOT / "hivecost/cli/unmodified_agent.py", tmp_path / "my_agent.py")
    bills = []
    for words in (command, command[command.index("--") + 1 :]):
        with ProviderEmulator(Behaviour(usage=Usage(26, 1_995), latency_s=0.1)) as provider:
            environment = {
                **os.environ,
                "OPENAI_BASE_URL": provider.openai_base_url,
                "HIVECOST_DATA": str(tmp_path / "data"),
            }
            ran = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            bills.append(provider.bill_nanousd({"gpt-4o": TokenRates.flat(2_500, 10_000)}))
        assert ran.returncode == 0, ran.stderr
    assert bills == [24 * 20_015_000, 50 * 20_015_000]
    assert all(f"${bill / 1e9:.4f}" in readme for bill in bills)


def test_the_readme_runs(tmp_path):
    """The README's first program runs as it stands; its handler and its other budget fit beside it."""
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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT / "docs")))
def test_a_page_runs(path, tmp_path, monkeypatch):
    """From its top to its end, in one folder: programs print what is shown, settings are read, commands succeed."""
    monkeypatch.chdir(tmp_path)
    for step in STEP.finditer(path.read_text()):
        if step["kind"] == "toml":
            (tmp_path / "hivecost.toml").write_text(step["code"])
            read_config_file("hivecost.toml")
        elif step["kind"] == "python":
            (tmp_path / "program.py").write_text(step["code"])
            command = [sys.executable, "-W", "error", "-W", BPE_OPENAIS, "program.py"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert (done.returncode, done.stderr) == (0, ""), step["code"]
            assert done.stdout == (step["output"] or ""), step["code"]
        elif path.name != TESTED_ELSEWHERE and "<" not in step["command"]:
            shown = CliRunner().invoke(app, shlex.split(step["command"], comments=True))
            assert shown.exit_code == 0, (step["command"], shown.output)


def test_the_changelog_has_a_place_for_what_comes():
    """Unreleased changes stand on top."""
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
