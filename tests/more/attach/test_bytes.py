"""What a program gets is byte for byte what it gets without hivecost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))
from attached import run_attached  # it stands with those of `make test`

AGENT = Path(__file__).with_name("bytes_agent.py")


def test_answers_are_the_same_in_every_form_by_every_client(tmp_path: Path) -> None:
    """Whole and streamed, compressed, cut anywhere; each is metered, though the program asked for no usage."""
    bare = subprocess.run([sys.executable, str(AGENT)], capture_output=True, text=True, timeout=60, check=True)
    ran = run_attached(tmp_path, str(AGENT))
    assert comparable(ran.output) == comparable(bare.stdout), ran.errors
    calls = len(bare.stdout.splitlines())
    one_nanousd = 5 * 2_500 + 7 * 10_000
    expected = {"calls": calls, "cost_nanousd": calls * one_nanousd, "in_doubt": 0, "unpriced": 0}
    assert ran.receipt["total"] == expected, ran.errors


def comparable(output: str) -> list[str]:
    """Of a stream that its reader does not decode, nothing can be taken out."""
    raw = ("urllib3_stream gzip True", "urllib3_stream deflate True")
    return [line for line in output.splitlines() if not line.startswith(raw)]
