"""The programs of docs/attach.md do what it says, as they stand."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from hivecost.testing import Behaviour

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))
from attached import run_attached  # it stands with those of `make test`

PAGE = (Path(__file__).parents[3] / "docs" / "attach.md").read_text()
#: A section with a program: what it prints, and the error that it ends with where it is refused.
SECTION = re.compile(
    r"^## (?P<name>[^\n]+)\n\n```python\n(?P<code>.*?)^```\n\n```text\n(?P<output>.*?)^```\n\n"
    r"Refused, it ends with `(?P<error>[\w.]+)`(?P<is_ours>, (?:which|a `ClientError` that) is ours too)?",
    re.DOTALL | re.MULTILINE,
)
SECTIONS = [pytest.param(found, id=found["name"]) for found in SECTION.finditer(PAGE)]
#: Where each client looks for its provider, and a key.
ADDRESSES = {
    "OPENAI_BASE_URL": "{}/v1",
    "OPENAI_API_BASE": "{}/v1",
    "ANTHROPIC_BASE_URL": "{}",
    "GOOGLE_GEMINI_BASE_URL": "{}",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "{}",
    "MISTRAL_URL": "{}",
}
ENVIRONMENT = {
    **dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY"), "any"),
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "any"),
    "AWS_DEFAULT_REGION": "us-east-1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",  # its traces go to OpenAI
}
#: Runs a program of the page with the emulator as its provider, and says what its error is.
RUNNER = """
import os, runpy, sys
for name, address in {addresses!r}.items():
    os.environ[name] = address.format(os.environ["PROVIDER"])
try:
    runpy.run_path("program.py", run_name="__main__")
except Exception as error:
    kind = type(error)
    print("ends with", kind.__module__ + "." + kind.__qualname__, hasattr(error, "needed"))
"""


def test_each_section_has_a_program() -> None:
    """None is left out because it reads otherwise."""
    assert len(SECTIONS) == PAGE.count("```python") >= 12


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("budget", ["$1", "$0.00001"])
def test_a_program_of_the_page_runs(section: re.Match[str], budget: str, tmp_path: Path) -> None:
    """Its call is settled at what was billed; with a budget too small none is made, and it ends as is said."""
    (tmp_path / "program.py").write_text(section["code"])
    code = RUNNER.format(addresses=ADDRESSES)
    ran = run_attached(
        tmp_path, "-c", code, budgets=(budget,), behaviour=Behaviour(text="Paris"), environment=ENVIRONMENT
    )
    total = ran.receipt["total"]
    if budget == "$1":
        assert ran.output == section["output"], ran.errors
        assert (total["calls"], total["in_doubt"], total["unpriced"]) == (1, 0, 0)
        return
    assert (total["calls"], ran.receipt["refused"]) == (0, {"exhausted": 1}), ran.errors
    assert ran.output.splitlines()[-1] == f"ends with {section['error']} {section['is_ours'] is not None}", ran.errors
