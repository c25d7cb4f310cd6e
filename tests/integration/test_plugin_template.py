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
    attached = runtime.register_plugin("template")

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


def test_template_can_be_copied_installed_and_loaded(tmp_path):
    """What its README says works, with nothing but pip."""
    package, site = tmp_path / "hivecost-template", tmp_path / "site"
    shutil.copytree(TEMPLATE, package)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--no-deps", "--no-build-isolation", "--target", str(site), str(package))
    path = {**os.environ, "PYTHONPATH": str(site)}
    assert run(sys.executable, "-c", LOAD_AND_RUN, env=path).strip() == "{'gpt-4o': 1}"
    run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", env=path, cwd=package)
