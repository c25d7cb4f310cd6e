"""What the hook does at the start of each Python."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hivecost.attach.command import HOOK

#: Imported where something is asked.
LATER = {"json", "re", "socket", "threading", "asyncio", "functools", "urllib", "hivecost_hook.connection"}


def test_a_program_without_a_client_pays_next_to_nothing(tmp_path):
    """It says hello, and imports nothing else that takes time."""
    finished = subprocess.run(
        [sys.executable, "-S", "-c", "import sitecustomize, sys; print(*sys.modules)"],
        env={"PYTHONPATH": str(HOOK), "HIVECOST_SOCKET": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(finished.stdout.split())
    assert "hivecost_hook.hello" in loaded
    assert not LATER & loaded


@pytest.mark.usefixtures("hook_path")
@pytest.mark.parametrize("name", ["agent.py", 'my "agent".py', "a\\b.py", "größe.py", "a\tb.py"])
def test_a_program_may_have_any_name(name, monkeypatch):
    """Hello is a line of JSON with it."""
    from hivecost_hook.hello import _hello

    monkeypatch.setattr(sys, "orig_argv", ["python", name])
    line = _hello()
    assert line.endswith(b"}\n")
    assert json.loads(line)["script"] == name
