"""Whether the hook works in the Python of the agents: one call that a budget can pay, and one that it cannot."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hivecost.attach.command import child_environment, run_command
from hivecost.attach.doctor.check import Environment, Finding
from hivecost.attach.running import Attachment

_SUBJECT: Final = "self-test"
#: In the order that they are taken in.
_CLIENTS: Final = ("httpx2", "httpx", "requests", "urllib3")
_BUDGET: Final = "$0.10"
_PROGRAM: Final = """
import importlib, sys
client, url = importlib.import_module(sys.argv[1]), sys.argv[2]
post = client.post if hasattr(client, "post") else lambda url, json: client.request("POST", url, json=json)
def status(max_tokens):
    chat = {"model": "gpt-4o", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "hello"}]}
    answer = post(url, json=chat)
    return getattr(answer, "status_code", None) or answer.status
sys.exit(0 if (status(100), status(16000)) == (200, 402) else 1)
"""


async def check_hook(environment: Environment) -> Sequence[Finding]:
    """Return whether a program is metered as the provider bills it, and refused what its budget cannot pay."""
    client = next((name for name in _CLIENTS if name in environment.packages), None)
    if client is None:
        return [Finding("warn", _SUBJECT, f"needs one of {', '.join(_CLIENTS)} in {environment.python}")]
    from hivecost.testing import ProviderEmulator  # noqa: PLC0415  # a package for tests

    with tempfile.TemporaryDirectory() as folder, ProviderEmulator() as provider:
        attachment = Attachment([_BUDGET], data=str(Path(folder) / "data"), agent=_SUBJECT)
        async with attachment.opened() as socket_path:
            command = [environment.python, "-c", _PROGRAM, client, f"{provider.openai_base_url}/chat/completions"]
            status = await run_command(command, child_environment(os.environ, socket_path))
        billed = [(entry.usage.input_tokens, entry.usage.output_tokens) for entry in provider.bill]
    return [_finding(client, status, billed, attachment)]


def _finding(client: str, status: int, billed: Sequence[tuple[int, int]], attachment: Attachment) -> Finding:
    tally, totals = attachment.tally, attachment.totals
    if not tally.clients:
        return Finding("fail", _SUBJECT, "the hook was not loaded: something takes PYTHONPATH away from it")
    metered = [(totals.input_tokens, totals.output_tokens)]
    if status or billed != metered or sum(tally.refused.values()) != 1:
        text = f"billed {billed}, metered {metered}, {dict(tally.refused)} refused, exit status {status}"
        return Finding("fail", _SUBJECT, f"a call by {client}: {text}")
    return Finding("ok", _SUBJECT, f"a call by {client} was metered as it was billed, and one over the budget refused")
