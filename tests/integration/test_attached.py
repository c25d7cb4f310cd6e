"""Unmodified agents under `hivecost run`: the provider's bill stays under the limit."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hivecost.backends import open_log
from hivecost.testing import Behaviour, ProviderEmulator

from .attached import AGENT, CLAUDE, GPT, PRICES, RATES, run_attached

#: As in pyproject.toml.
BPE_OPENAIS = "ignore:open_binary is deprecated:DeprecationWarning"
REFUSED = """
import os, openai
import hivecost
client = openai.OpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="any")
try:
    client.chat.completions.create(model="gpt-4o", max_tokens=20_000, messages=[{"role": "user", "content": "hello"}])
except hivecost.BudgetExceededError as error:
    print(isinstance(error, openai.APIStatusError), error.status_code, error.budget, error.needed > error.remaining > 0)
    raise SystemExit(3)
"""


@pytest.mark.parametrize(("mode", "behaviour"), [("chat", GPT), ("async_message_stream", CLAUDE)])
def test_fifty_calls_at_once_are_billed_no_more_than_the_limit(mode: str, behaviour: Behaviour, tmp_path: Path) -> None:
    """Fifty calls of $0.02 at $0.50: at least 24 answers, and the rest is refused."""
    options = ("--whole-answers",)
    run_attached(tmp_path, str(AGENT), mode, "50", behaviour=behaviour, options=options).require_held()


STREAMED = """
import os, openai
client = openai.OpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="any")
for _ in range(2):
    chat = dict(model="gpt-4o", max_tokens=4000, messages=[{"role": "user", "content": "hello"}])
    chunks = list(client.chat.completions.create(**chat, stream=True))
    print(len(chunks), chunks[-1].choices[0].finish_reason)
"""


@pytest.mark.parametrize("options", [(), ("--whole-answers",)])
def test_a_stream_that_cannot_be_paid_whole_is_paid_for_in_steps(options: tuple[str, ...], tmp_path: Path) -> None:
    """It ends as at a limit of the provider's, no more than a step behind the budget; whole answers are refused."""
    behaviour = Behaviour(text="word " * 3_000, on_hang_up="stop", chunk_interval_s=0.0001)
    ran = run_attached(tmp_path, "-c", STREAMED, budgets=("$0.06",), behaviour=behaviour, options=options)
    first, *second = ran.output.splitlines()
    assert first.split()[1] == "stop", ran.errors
    if options:
        assert (ran.status, second, ran.receipt["refused"]) == (99, [], {"exhausted": 1})
        return
    assert (ran.status, second[0].split()[1]) == (0, "length")
    assert (ran.receipt["stepped"], ran.receipt["ended"], ran.receipt["total"]["in_doubt"]) == (1, 1, 1)
    assert 40_000_000 < ran.billed_nanousd <= 60_000_000 + 512 * 10_000
    assert "paid for in steps" in ran.errors


def test_a_refusal_is_the_errors_of_both(tmp_path: Path) -> None:
    """The SDK's status error is hivecost's as well; a command that fails by it ends with 99."""
    ran = run_attached(tmp_path, "-c", REFUSED, budgets=("$0.10",))
    assert (ran.output.split(), ran.status) == (["True", "402", "cap", "of", Path(sys.executable).name, "True"], 99)
    assert (ran.receipt["refused"], ran.billed_nanousd) == ({"exhausted": 1}, 0)
    assert "needs up to $0.1640, $0.1000 of $0.1000 remain" in ran.errors


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_a_receipt_that_nobody_can_read_changes_no_status(redirection: str, tmp_path: Path) -> None:
    """The command's own exit status counts, and the receipt's file is there."""
    options = f"--data data --receipt receipt.json -- sh -c 'exit 3' {redirection}"
    line = f"{shlex.quote(sys.executable)} -m hivecost run {options}"
    assert subprocess.run(["sh", "-c", line], cwd=tmp_path, timeout=60, check=False).returncode == 3
    assert json.loads((tmp_path / "receipt.json").read_bytes())["exit_status"] == 3


def test_a_receipt_that_has_no_place_starts_nothing(tmp_path: Path) -> None:
    """It is said before any money is spent."""
    words = [sys.executable, "-m", "hivecost", "run", "--receipt", "none/receipt.json", "--", "touch", "started"]
    finished = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (finished.returncode, (tmp_path / "started").exists()) == (125, False)
    assert "run --receipt: expected a file that can be written (No such file or directory)" in finished.stderr


def test_a_process_that_ended_well_is_an_execution_that_did(tmp_path: Path) -> None:
    """Its end is no error in reports."""
    run_attached(tmp_path, "-c", "pass")
    with open_log(tmp_path / "data").snapshot() as log:
        runs = log.executions().rows
    assert len(runs) >= 2
    assert {(run.status, run.error) for run in runs} == {("completed", "")}


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ((sys.executable, "-c", "raise SystemExit(7)"), 7),
        ((sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"), 128 + signal.SIGTERM),
        (("./no such program",), 127),
        ((".",), 126),
        ((), 125),
    ],
)
def test_the_exit_status_is_that_of_the_command(command: tuple[str, ...], status: int, tmp_path: Path) -> None:
    """128 and its number after a signal; 125, 126 and 127 as env(1) has them."""
    words = [
        sys.executable,
        "-m",
        "hivecost",
        "run",
        "--budget",
        "$1",
        "--data",
        str(tmp_path / "data"),
        "--",
        *command,
    ]
    finished = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == status, finished.stderr


@pytest.mark.parametrize("budget", ["0", "-1", "much", "1e18", "$1/year", "9999999999999999999999"])
def test_a_limit_that_is_none_starts_nothing(budget: str, tmp_path: Path) -> None:
    """It is named, and nothing was run."""
    ran = run_attached(tmp_path, "-c", "print('started')", budgets=(budget,))
    assert (ran.status, ran.output, "--budget" in ran.errors) == (125, "", True), ran.errors


NESTED = """
import subprocess, sys
inner = [sys.executable, "-m", "hivecost", "run", "--budget", "$1", "--", sys.executable, "-c", "print('started')"]
ran = subprocess.run(inner, capture_output=True, text=True)
print(ran.returncode, ran.stdout, "around it" in ran.stderr)
import hivecost as hc
try: hc.install("$1")
except hc.ConfigError as error: print("not metered yet" in str(error))
"""


def test_one_inside_another_is_refused(tmp_path: Path) -> None:
    """Neither would see all: the inner one says so, and starts nothing."""
    ran = run_attached(tmp_path, "-c", NESTED)
    assert (ran.output, ran.status) == ("125  True\nTrue\n", 0), ran.errors


REDIRECTED = """
import http.server, os, threading, httpx2
class Redirect(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(307)
        self.send_header("location", os.environ["PROVIDER"] + self.path)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Redirect)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
chat = {"model": "gpt-4o", "max_tokens": 1995, "messages": [{"role": "user", "content": "word"}]}
answer = httpx2.post(url, json=chat, follow_redirects=True)
print(answer.status_code, len(answer.history), answer.json()["usage"]["completion_tokens"])
"""


def test_a_redirect_is_the_same_call(tmp_path: Path) -> None:
    """It is asked for once, and settled by the answer at its end."""
    ran = run_attached(tmp_path, "-c", REDIRECTED)
    assert ran.output == "200 1 1995\n", ran.errors
    assert ran.receipt["total"] == {"calls": 1, "cost_nanousd": ran.billed_nanousd, "in_doubt": 0, "unpriced": 0}


def test_a_command_that_does_not_attach_is_told_of(tmp_path: Path) -> None:
    """`python -I` takes no PYTHONPATH: it says that no client was seen, and with --required the run has failed."""
    ran = run_attached(tmp_path, "-I", "-c", "print('done')")
    assert (ran.status, ran.output, ran.receipt["clients"]) == (0, "done\n", 0)
    assert "no client was seen" in ran.errors
    assert run_attached(tmp_path, "-I", "-c", "", options=("--required",)).status == 125
    assert run_attached(tmp_path, "-c", "", options=("--required",)).status == 0


def test_another_sitecustomize_still_runs(tmp_path: Path) -> None:
    """The one that the hook's shadows; and the hook's folder is on no path of the program's."""
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.customized = True")
    code = "import sys; print(customized, [entry for entry in sys.path if 'attach' in entry.rpartition('hook')[0]])"
    ran = run_attached(tmp_path, "-c", code, environment={"PYTHONPATH": f"{tmp_path}{os.pathsep}{_project()}"})
    assert ran.output == "True []\n", ran.errors


def test_no_module_is_imported_that_the_program_does_not_import(tmp_path: Path) -> None:
    """No client, no hivecost, no event loop."""
    code = "import sys; print({'httpx', 'httpx2', 'openai', 'hivecost', 'asyncio', 'requests'} & set(sys.modules))"
    assert run_attached(tmp_path, "-c", code).output == "set()\n"


def test_the_budget_of_a_command_ends_with_its_parent(tmp_path: Path) -> None:
    """After SIGKILL of the parent its child gets refusals, and never a free call."""
    waiting = (
        "import os, sys, openai\n"
        "client = openai.OpenAI(base_url=os.environ['PROVIDER'] + '/v1', api_key='any')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "try: client.chat.completions.create(model='gpt-4o', messages=[])\n"
        "except openai.APIStatusError as error: print(error.status_code, error)\n"
    )
    words = [sys.executable, "-m", "hivecost", "run", "--budget", "$1", "--data", str(tmp_path / "data"), "--"]
    with (
        ProviderEmulator() as provider,
        subprocess.Popen(
            [*words, sys.executable, "-c", waiting],
            cwd=tmp_path,
            env={**os.environ, "PROVIDER": provider.url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as parent,
    ):
        assert parent.stdout is not None
        assert parent.stdin is not None
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
        parent.wait(timeout=30)
        parent.stdin.write("go\n")
        parent.stdin.flush()
        said = parent.stdout.readline()
        assert provider.bill_nanousd(RATES) == 0
    assert said.startswith("402 "), said
    assert "hivecost cannot be asked" in said


INSTALLED = """
import asyncio, os, openai
import hivecost as hc
hc.install({budget!r}, data="data")
CHAT = dict(model="gpt-4o", max_tokens=1995, messages=[{{"role": "user", "content": "word " * 20}}])
async def main():
    async with openai.AsyncOpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="any") as client:
        with hc.node("plan"):
            calls = [client.chat.completions.create(**CHAT) for _ in range(50)]
            done = await asyncio.gather(*calls, return_exceptions=True)
    print(sum(isinstance(one, hc.BudgetExceededError) for one in done), sum(hasattr(one, "choices") for one in done))
asyncio.run(main())
"""


@pytest.mark.parametrize("budget", ["$0.50", "$0.50/day"])
def test_one_line_in_a_program_holds_as_well(budget: str, tmp_path: Path) -> None:
    """`install` meters its own process, in its own loop; the program ends when it is at its end."""
    (tmp_path / "hivecost.toml").write_text(PRICES)
    with ProviderEmulator(GPT) as provider:
        finished = subprocess.run(
            [sys.executable, "-W", "error", "-W", BPE_OPENAIS, "-c", INSTALLED.format(budget=budget)],
            cwd=tmp_path,
            env={**os.environ, "PROVIDER": provider.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        billed = provider.bill_nanousd(RATES)
    assert (finished.stdout, finished.returncode, finished.stderr) == ("26 24\n", 0, "")
    assert billed == 24 * 20_015_000


def _project() -> Path:
    return Path(__file__).parents[2]
