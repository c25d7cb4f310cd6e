"""A command under budgets, as its flags say."""

from __future__ import annotations

import pytest

from hivecost.attach.running import agent_name


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python agent.py --key secret.py", "agent.py"),
        ("/usr/bin/python3.12 -u bin/agent.py", "agent.py"),
        ("python -um agent", "python"),
        ("python -u -m agent.cli secret", "agent.cli"),
        ("python -c code secret.py", "python"),
        ("python -m", "python"),
        ("pypy3 agent.py", "agent.py"),
        ("uv run secret.py", "uv"),
        ("./agent secret.py", "agent"),
    ],
)
def test_a_command_is_named_without_its_arguments(command: str, name: str) -> None:
    """They may be secret; what is no Python is named as it is."""
    assert agent_name(command.split()) == name
