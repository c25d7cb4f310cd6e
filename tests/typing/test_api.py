"""The public API keeps its types."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

API = Path(__file__).with_name("api.py")


def check(path: Path) -> str:
    from mypy import api

    stdout, stderr, _ = api.run(
        ["--strict", "--warn-unreachable", "--python-executable", sys.executable, "--config-file=", str(path)]
    )
    return stdout + stderr


@pytest.mark.timeout(300)
def test_a_typed_user_needs_no_ignore_and_no_cast(tmp_path):
    """`mypy --strict` accepts api.py as it stands, and refuses it once a type is wrong."""
    source = API.read_text(encoding="utf-8")
    assert "type: ignore" not in source
    assert "cast(" not in source
    assert check(API).startswith("Success")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        source.replace("amount: int | None = cost.nanousd", "amount: str = cost.nanousd"), encoding="utf-8"
    )
    assert 'expression has type "int | None", variable has type "str"' in check(wrong)
    wrong.write_text(
        source.replace("run_in_background(", "run_in_background(7, ").replace('wait("api"', "wait(7"), encoding="utf-8"
    )
    found = check(wrong)
    assert 'Argument 1 to "run_in_background" has incompatible type "int"' in found
    assert 'Argument 1 to "trigger_and_wait" of "AgentRuntime" has incompatible type "int"' in found
    assert 'Argument 1 has incompatible type "int"; expected "str"' in found
