"""The ways in which agents call the SDKs, each as a process under `hivecost run`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))
from attached import AGENT, CLAUDE, GPT, run_attached  # noqa: E402  # it stands with those of `make test`

MODES = [
    *("raw", "streamed", "responses", "async_chat", "async_streamed"),
    *("message", "message_stream", "async_message"),
    *("fork:chat", "fork:async_chat", "fork:message", "spawn:chat", "spawn:async_streamed", "spawn:message_stream"),
]


@pytest.mark.parametrize("mode", MODES)
def test_the_bill_stays_under_the_limit(mode: str, tmp_path: Path) -> None:
    """Threads, asyncio, streams, and four processes, forked or spawned: one limit for all."""
    behaviour = CLAUDE if "message" in mode else GPT
    run_attached(tmp_path, str(AGENT), mode, "50", behaviour=behaviour).require_held()
