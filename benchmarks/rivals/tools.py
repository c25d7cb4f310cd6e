"""Each tool as its own documentation puts it before an agent, with a budget of $0.50."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

AGENTS: Final = Path(__file__).with_name("agents")
_AGENT: Final = str(AGENTS / "agent.py")
MODES: Final = (
    *("sequential", "threads", "asyncio", "async streams"),
    *("responses", "with_raw_response", "unknown model", "4 processes"),
)
_PROXY_START_S: Final = 20.0


class Place(NamedTuple):
    """Where an agent runs."""

    #: Of the rivals' environment.
    python: str
    #: Of its own, and empty.
    folder: Path
    environment: Mapping[str, str]

    def script(self, name: str) -> str:
        """The path of a command of that environment."""
        return str(Path(self.python).with_name(name))


class Tool(NamedTuple):
    """A tool, and how an agent comes under it."""

    name: str
    #: In the index; "" for hivecost, which is in the environment that runs this.
    package: str
    #: So much of the agent is changed for it.
    changed: str
    command: Callable[[Place], Sequence[str]]
    #: Modes for which it has nothing.
    lacks: frozenset[str] = frozenset()
    #: Runs what the agent calls in place of its provider, and gives its address.
    proxy: Callable[[Place], AbstractContextManager[str]] | None = None


def _after_line(line: str) -> Callable[[Place], Sequence[str]]:
    return lambda place: (place.python, "-c", f"{line}\nimport agent\nagent.main()")


def _agent(place: Place) -> Sequence[str]:
    return place.python, _AGENT


def _hivecost(*options: str) -> Callable[[Place], Sequence[str]]:
    run = (sys.executable, "-m", "hivecost", "run", "--budget", "$0.50", *options, "--data")
    return lambda place: (*run, str(place.folder / "data"), "--", place.python, _AGENT)


@contextmanager
def _governer(place: Place) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    upstream = place.environment["PROVIDER"]
    command = (place.script("governer"), "proxy", "--limit", "0.50", "--port", str(port), "--upstream", upstream)
    process = subprocess.Popen(
        command, cwd=place.folder, env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.communicate()


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    until_s = time.monotonic() + _PROXY_START_S
    while time.monotonic() < until_s and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("the proxy did not start")


TOOLS: Final = (
    Tool("nothing", "openai", "", _agent),
    Tool(
        "shekel run",
        "shekel",
        "nothing",
        lambda place: (place.script("shekel"), "run", _AGENT, "--budget", "0.5"),
    ),
    Tool(
        "agentguard run",
        "agentguard47",
        "nothing",
        lambda place: (place.script("agentguard"), "run", "--budget-usd", "0.5", _AGENT),
    ),
    Tool("agentbudget.init", "agentbudget", "a line", _after_line("import agentbudget; agentbudget.init('$0.50')")),
    Tool("agentarmor.init", "agentarmor", "a line", _after_line("import agentarmor; agentarmor.init(budget='$0.50')")),
    Tool(
        "litellm.max_budget",
        "litellm",
        "its client",
        lambda place: (place.python, str(AGENTS / "litellm_agent.py")),
        lacks=frozenset({"with_raw_response"}),
    ),
    Tool(
        "floe-guard",
        "floe-guard",
        "each call",
        lambda place: (place.python, str(AGENTS / "floe_agent.py")),
        lacks=frozenset({"async streams", "responses", "with_raw_response"}),
    ),
    Tool("governer proxy", "governer", "its address", _agent, proxy=_governer),
    Tool("hivecost run", "", "nothing", _hivecost()),
    Tool("hivecost run --whole-answers", "", "nothing", _hivecost("--whole-answers")),
)
