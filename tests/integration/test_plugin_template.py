"""`plugins/_template` is a working package: copied, built, installed, found by name, its own tests pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TEMPLATE = Path(__file__).parents[2] / "plugins" / "_template"

LOAD_AND_RUN = """
import anyio, tempfile
import hivecost as hc

async def main():
    runtime = hc.AgentRuntime(tempfile.mkdtemp())
    attached = runtime.register_plugin("meter")

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        async with ctx.turn("gpt-4o") as turn:
            turn.settle(hc.Usage(1, 1))

    async with runtime:
        await attached.wait_ready()
        await runtime.trigger_and_wait("agent")
    print(dict(attached.plugin.turns))

anyio.run(main)
"""


def run(*command: str, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def renamed(package: Path) -> None:
    """What the README asks for: another package, class and name everywhere."""
    (package / "hivecost_template").rename(package / "hivecost_meter")
    for path in package.rglob("*"):
        if path.suffix in (".py", ".toml", ".md"):
            text = path.read_text().replace("hivecost_template", "hivecost_meter").replace("TurnCounter", "TurnMeter")
            path.write_text(text.replace("hivecost-template", "hivecost-meter").replace("template", "meter"))


def test_template_can_be_copied_renamed_installed_and_tested(tmp_path):
    """What its README says works, with nothing but pip: its tests run where it is, and they look at the copy."""
    package, site = tmp_path / "hivecost-meter", tmp_path / "site"
    shutil.copytree(TEMPLATE, package)
    renamed(package)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--no-deps", "--no-build-isolation", "--target", str(site), str(package))
    path = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    assert run(sys.executable, "-c", LOAD_AND_RUN, env=path).strip() == "{'gpt-4o': 1}"
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    assert "3 passed" in run(*pytest, env=path, cwd=package)
    assert "3 passed" in run(*pytest, str(package), env=path, cwd=tmp_path)
    with (package / "hivecost_meter" / "turn_counter.py").open("a") as source:
        source.write("\n\nTurnMeter._count = lambda self, turn: None\n")
    broken = subprocess.run(pytest, env=path, cwd=package, capture_output=True, text=True, check=False, timeout=100)
    assert (broken.returncode, "2 failed, 1 passed" in broken.stdout) == (1, True), broken.stdout + broken.stderr
