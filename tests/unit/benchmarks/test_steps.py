"""How far above its hold a stream in steps is billed: what docs/holds.md says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.steps import PAID_STEPS, SHOWN_TOKENS, STEPS, excess

# The tokenizer's package, on Python 3.11 and 3.12.
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

DOCS = Path(__file__).parents[3] / "docs" / "holds.md"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("reasoning", [0, 4_000])
def test_a_provider_that_writes_on_bills_its_whole_answer(step, reasoning):
    """The excess is all that comes behind the hold, as documented, whatever the pace of the machine."""
    found = excess("write_on", reasoning, step)
    assert found.billed == SHOWN_TOKENS + reasoning
    assert step < found.held <= PAID_STEPS * step
    hidden = f"{reasoning:,}" if reasoning else "none"
    above = f"{found.tokens:,} ({found.percent} %)"
    row = f"| writes on | {hidden} | {step:,} | {found.held:,} | {found.billed:,} | {above} |"
    assert row in DOCS.read_text().splitlines()


def test_a_provider_that_stops_bills_its_reasoning_and_what_it_sent():
    """Not what it would have written besides."""
    found = excess("stop", 4_000, STEPS[0])
    assert 4_000 < found.billed < SHOWN_TOKENS + 4_000
    assert found.tokens == found.billed - found.held
