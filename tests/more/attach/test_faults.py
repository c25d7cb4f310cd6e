"""What goes wrong between an agent and its provider: one hold an attempt, and doubt where nobody knows the bill."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hivecost.testing import Behaviour

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))
from attached import run_attached  # it stands with those of `make test`

AGENT = """
import asyncio, json, os, sys, openai
kind, headers = sys.argv[1], json.loads(sys.argv[2])
options = dict(base_url=os.environ["PROVIDER"] + "/v1", api_key="any", max_retries=1, timeout=1)
options["default_headers"] = headers
CHAT = dict(model="gpt-4o", max_tokens=1995, messages=[{"role": "user", "content": "word " * 20}])
def whole():
    openai.OpenAI(**options).chat.completions.create(**CHAT)
def stream():
    print(len(list(openai.OpenAI(**options).chat.completions.create(**CHAT, stream=True))))
def left():
    for chunk in openai.OpenAI(**options).chat.completions.create(**CHAT, stream=True):
        break
async def cancelled():
    client = openai.AsyncOpenAI(**options)
    task = asyncio.create_task(client.chat.completions.create(**CHAT))
    await asyncio.sleep(0.5)
    task.cancel()
    await task
try:
    asyncio.run(cancelled()) if kind == "cancelled" else globals()[kind]()
except (openai.OpenAIError, asyncio.CancelledError, ConnectionError) as error:
    print(type(error).__name__)
except Exception as error:
    print("other", type(error).__name__)
"""
#: What a call of the agent's is held at, at most: a token for each byte of its prompt, and its limit of output.
HELD_NANOUSD = 20_500_000


@pytest.mark.parametrize(
    ("kind", "behaviour", "calls", "in_doubt"),
    [
        ("whole", Behaviour(status=429, retry_after_s=0.01), 2, 0),
        ("whole", Behaviour(status=400), 1, 0),
        ("whole", Behaviour(status=500, billed=True), 2, 2),
        ("whole", Behaviour(latency_s=3), 2, 2),
        ("whole", Behaviour(omit_usage=True), 1, 1),
        ("stream", Behaviour(text="word " * 50, cut_after_chunks=5), 1, 1),
        ("stream", Behaviour(text="word " * 50, stall_after_chunks=5), 1, 1),
        ("stream", Behaviour(text="word " * 50, cut_after_chunks=0), 2, 2),
        ("left", Behaviour(text="word " * 50), 1, 1),
        ("cancelled", Behaviour(latency_s=3), 1, 1),
    ],
    ids=str,
)
def test_each_attempt_is_held_for_itself(
    kind: str, behaviour: Behaviour, calls: int, in_doubt: int, tmp_path: Path
) -> None:
    """What the provider bills is settled, or in doubt."""
    ran = run_attached(tmp_path, "-c", AGENT, kind, json.dumps(behaviour.as_header()), budgets=("$0.50",))
    total: dict[str, Any] = ran.receipt["total"]
    assert (total["calls"], total["in_doubt"]) == (calls, in_doubt), ran.errors + ran.output
    assert "other" not in ran.output
    assert ran.billed_nanousd <= total["cost_nanousd"] + in_doubt * HELD_NANOUSD


def test_a_gateway_that_answers_with_a_page_is_in_doubt(tmp_path: Path) -> None:
    """200 with HTML is no bill; the client gets the page."""
    code = """
import http.server, threading, httpx2
class Page(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
chat = {"model": "gpt-4o", "max_tokens": 10, "messages": []}
print(httpx2.post(f"http://127.0.0.1:{server.server_port}/v1/chat/completions", json=chat).text)
"""
    ran = run_attached(tmp_path, "-c", code)
    assert (ran.output, ran.receipt["total"]["in_doubt"]) == ("<p>\n", 1), ran.errors
