"""The experiment: what the provider billed, and how many answers came, of each tool in each mode."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import hivecost as hc
from benchmarks.rivals.tools import AGENTS, MODES, TOOLS, Place, Tool
from hivecost.money import format_usd
from hivecost.testing import Behaviour, ProviderEmulator, TokenRates, sum_nanousd

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = ROOT / ".venv-rivals/bin/python"
#: gpt-4o's, and what the unknown model costs, too.
RATES: Final = {model: TokenRates.flat(2_500, 10_000) for model in ("gpt-4o", "frontier-1")}
#: Of $0.020015. So slow that calls at once are under way at once.
ANSWER: Final = Behaviour(text="word " * 30, usage=hc.Usage(26, 1_995), latency_s=0.05)
ANSWER_AT_ONCE: Final = Behaviour(text="word " * 30, usage=hc.Usage(26, 1_995), latency_s=1.0)
AT_ONCE: Final = frozenset({"threads", "asyncio", "async streams"})
TIMEOUT_S: Final = 150
#: No tool asks anybody outside: litellm would fetch its prices.
ENVIRONMENT: Final = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONWARNINGS": "ignore"}
_VERSIONS: Final = """
import importlib.metadata, json, sys
versions = {}
for name in sys.argv[1:]:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(versions))
"""


def main(arguments: Sequence[str]) -> int:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rivals", description=__doc__)
    parser.add_argument("tools", nargs="*", metavar="TOOL", help=f"of {', '.join(tool.name for tool in TOOLS)}")
    parser.add_argument("--python", default=str(PYTHON), help="of the environment that has the tools")
    options = parser.parse_args(arguments)
    versions = _versions(options.python)
    for line in table(_rows(options.tools, options.python, versions)):
        print(line, flush=True)
    return 0


def _rows(names: Sequence[str], python: str, versions: Mapping[str, str]) -> Iterator[list[str]]:
    for tool in TOOLS:
        if names and tool.name not in names:
            continue
        version = versions.get(tool.package, "") if tool.package else hc.__version__
        if not version:
            yield [tool.name, tool.changed, *["not installed"] * len(MODES)]
            continue
        cells = []
        for mode in MODES:
            print(f"{tool.name} {version}: {mode}", file=sys.stderr, flush=True)
            cells.append("-" if mode in tool.lacks else measured(tool, mode, python))
        shown = tool.name if tool.name == "nothing" else f"{tool.name} {version}"
        yield [shown, tool.changed, *cells]


def table(rows: Iterator[list[str]]) -> Iterator[str]:
    """The lines of it, as Markdown."""
    yield f"{dt.datetime.now(tz=dt.UTC).date()}: what the provider billed, and of how many calls answers came"
    yield ""
    yield f"| tool | changed in the agent | {' | '.join(MODES)} |"
    yield "|---" * (len(MODES) + 2) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def measured(tool: Tool, mode: str, python: str) -> str:
    """What came of one agent: the bill, and how many answers it got; else why it did not come to its end."""
    behaviour = ANSWER_AT_ONCE if mode in AT_ONCE else ANSWER
    with tempfile.TemporaryDirectory() as name, ProviderEmulator(behaviour) as provider, ExitStack() as stack:
        folder, result = Path(name), Path(name, "result.json")
        environment = _environment(folder, MODE=mode, RESULT=str(result), PROVIDER=provider.openai_base_url)
        place = Place(python, folder, environment)
        why = ""
        try:
            if tool.proxy is not None:
                environment["PROVIDER"] = stack.enter_context(tool.proxy(place))
            why = _run(tool.command(place), folder, environment)
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            why = str(error)[:60]
        billed = format_usd(sum_nanousd(provider.bill, RATES))
        if not result.exists():
            return f"{billed}, ended: {why}"
        return f"{billed}, {json.loads(result.read_bytes())['answers']}"


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run it to its end, and return the last line that it wrote on stderr."""
    finished = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        check=False,
    )
    lines = finished.stderr.strip().splitlines() or finished.stdout.strip().splitlines()
    return lines[-1].strip()[:60] if lines else f"exit status {finished.returncode}"


def _environment(folder: Path, **more: str) -> dict[str, str]:
    """With nothing in it that a tool could keep from one run to the next."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    own = {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(AGENTS), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **ENVIRONMENT, **own, **more}


def _versions(python: str) -> dict[str, str]:
    packages = [tool.package for tool in TOOLS if tool.package]
    try:
        asked = subprocess.run([python, "-c", _VERSIONS, *packages], capture_output=True, text=True, check=True)
    except OSError as error:
        raise SystemExit(f"{python}: {error.strerror}; `make rivals` makes that environment") from error
    versions: dict[str, str] = json.loads(asked.stdout)
    return versions
