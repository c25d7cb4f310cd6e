"""openai 2 takes turns as openai 3 does. Run by `make test-more`, in an environment with requirements/openai2.txt."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import openai
import pytest

AGENT = Path(__file__).with_name("agent.py")


def test_this_is_openai_2():
    """What is tested here is the major before the one in requirements/test.txt."""
    assert openai.__version__.split(".")[0] == "2"


@pytest.mark.parametrize("kind", ["threads", "tasks", "streams"])
def test_the_first_turns_lose_no_call(kind):
    """openai 2 looks through `sys.modules` when it is called: nothing of ours may be on its way in there."""
    done = subprocess.run([sys.executable, str(AGENT), kind], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"ended": {"ok": 40}, "logged": 40, "differing_tokens": 0}
