"""Record what real clients send: `python -m benchmarks.recorded --npm PREFIX --agents PYTHON`.

PREFIX is where npm installed @anthropic-ai/claude-code and @openai/codex (`npm install --prefix PREFIX …`), PYTHON the
interpreter of an environment with openai-agents, langchain, langchain-openai, langchain-anthropic and pydantic-ai. Each
client works on a copy of some of our own files, in a folder of its own and with a home of its own, and talks to nobody
but the emulator. Writes `requests.jsonl`, without a word of what was sent.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from benchmarks.recorded import FILE, LISTS
from benchmarks.recorded.billing import PromptCache, claude_tokens
from benchmarks.recorded.scripts import (
    Action,
    Tools,
    agent_tools,
    assumed_output_tokens,
    behaviours,
    claude_tools,
    codex_code_tools,
    codex_tools,
    delegation,
    tasks,
)
from benchmarks.recorded.shapes import shape_of, tokens_of
from hivecost.events import Usage
from hivecost.pricing import PriceBook
from hivecost.testing import Behaviour, ProviderEmulator, ReceivedRequest

TIMEOUT_S: Final = 300
_SOURCES: Final = Path(__file__).parents[2] / "hivecost" / "testing"
_FILES: Final = ("bill", "clock", "dialect", "emulator", "generation", "models", "openai_chat", "server", "tokens")
_PROMPT: Final = "Make the {0} module log what it does, with a test, and note what you changed."


class Run(NamedTuple):
    """How a client is run: a session, a command for each of its tasks, and what it answers to."""

    client: str
    name: str
    tools: Tools
    #: `{url}`, `{project}` and `{prompt}` are put in.
    commands: list[list[str]]
    #: Of a framework; "" for a program of its own.
    package: str = ""
    environment: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    tasks: Callable[[Path], list[list[Action]]] = tasks


class Recorder:
    """Answers with what is scripted, and keeps each request with what it would be billed."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.script: deque[Behaviour] = deque()
        self._cache, self._book = PromptCache(), PriceBook()

    def __call__(self, request: ReceivedRequest) -> Behaviour:
        body = json.loads(request.body)
        behaviour = self.script.popleft() if self.script else Behaviour(text="There is nothing left to do.")
        anthropic = request.flavor == "anthropic.messages"
        usage = self._cache.input_of(body, anthropic=anthropic, writes_cost=self._writes_cost(body["model"]))
        visible = _visible_tokens(behaviour, anthropic=anthropic)
        usage = replace(usage, output_tokens=max(assumed_output_tokens(len(self.requests)), visible))
        counts = {name: number for name in usage.__struct_fields__ if (number := getattr(usage, name))}
        self.requests.append({"flavor": request.flavor, "body": body, "usage": counts})
        return behaviour

    def _writes_cost(self, model: str) -> bool:
        plain, written = (self._book.price(model, Usage(1000, 0, cache_write_tokens=n)).nanousd for n in (0, 1000))
        return plain != written


def _visible_tokens(behaviour: Behaviour, *, anthropic: bool) -> int:
    called = [json.dumps([call.name, call.arguments]) for call in behaviour.tool_calls]
    text = "".join([behaviour.text or "", *called])
    return claude_tokens(text) if anthropic else tokens_of(text)


def runs(npm: Path, agents: Path) -> Iterator[Run]:
    """Which clients are run, and how."""
    yield from _claude_code(str(npm / "node_modules/.bin/claude"))
    yield from _codex(str(npm / "node_modules/.bin/codex"))
    yield _framework("openai-agents", "", agents)
    for provider in ("openai", "anthropic"):
        yield _framework("langchain", provider, agents)
        yield _framework("pydantic-ai", provider, agents)


def _claude_code(command: str) -> Iterator[Run]:
    environment = {
        "ANTHROPIC_BASE_URL": "{url}",
        "ANTHROPIC_API_KEY": "any",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
    }

    def asked(prompt: str, model: str, *more: str) -> list[str]:
        return [command, "-p", prompt, "--dangerously-skip-permissions", "--model", model, *more]

    first, further = asked("{prompt}", "default"), asked("{prompt}", "default", "--continue")
    one = Run("claude-code", "default", claude_tools, [first, further, further], environment=environment)
    yield one
    for_an_hour = environment | {"ENABLE_PROMPT_CACHING_1H": "1"}
    yield one._replace(name="one-hour cache", commands=[first], environment=for_an_hour)
    for model in ("sonnet", "haiku"):
        yield one._replace(name=model, commands=[asked("{prompt}", model)])
    compact = asked("/compact", "default", "--continue")
    yield one._replace(name="sub-agent", commands=[first, compact], tasks=delegation)


def _codex(command: str) -> Iterator[Run]:
    config = (
        'model_provider = "emulator"\n[model_providers.emulator]\nname = "emulator"\nbase_url = "{url}/v1"\n'
        'env_key = "EMULATOR_KEY"\nwire_api = "responses"\n'
    )
    for model, tools in (("gpt-6.1-sol", codex_code_tools), ("gpt-5.3-codex", codex_tools)):
        flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-m", model]
        first = [command, "exec", *flags, "{prompt}"]
        further = [command, "exec", "resume", "--last", *flags, "{prompt}"]
        key, files = {"EMULATOR_KEY": "any"}, {".codex/config.toml": config}
        yield Run("codex", model, tools, [first, further], environment=key, files=files)


def _framework(package: str, provider: str, python: Path) -> Run:
    name = f"{package}-{provider}" if provider else package
    # Two providers share the requests of a framework.
    modules = _FILES[: 2 if provider else 3]
    command = [str(python), str(Path(__file__).with_name("frameworks.py")), name, "{url}", "{project}", *modules]

    def in_one_go(project: Path) -> list[list[Action]]:
        return [[action for task in tasks(project)[: len(modules)] for action in task]]

    return Run(package, provider or "default", agent_tools, [command], package, tasks=in_one_go)


def _version(run: Run, agents: Path) -> str:
    if run.package:
        code = f"import importlib.metadata as m; print(m.version({run.package!r}))"
        return subprocess.check_output([agents, "-c", code], text=True).strip()
    printed = subprocess.check_output([run.commands[0][0], "--version"], text=True, stderr=subprocess.DEVNULL)
    return next(word for word in printed.split() if word[0].isdigit())


def record(run: Run) -> list[dict[str, Any]]:
    """Run the client and return its requests. Raises RuntimeError where it fails."""
    recorder = Recorder()
    with TemporaryDirectory() as folder, ProviderEmulator(decide=recorder) as provider:
        project, home = Path(folder) / "project", Path(folder) / "home"
        project.mkdir()
        for name in _FILES:
            shutil.copy(_SOURCES / f"{name}.py", project)
        for name, text in run.files.items():
            (home / name).parent.mkdir(parents=True)
            (home / name).write_text(text.replace("{url}", provider.url))
        home.mkdir(exist_ok=True)
        scripts = [behaviours(actions, run.tools, project) for actions in run.tasks(project)]
        for command, script, module in zip(run.commands, scripts, _FILES, strict=False):
            recorder.script.extend(script)
            put = {"{url}": provider.url, "{project}": str(project), "{prompt}": _PROMPT.format(module)}
            _call([put.get(word, word) for word in command], run, provider.url, project, home)
    return recorder.requests


def _call(command: list[str], run: Run, url: str, project: Path, home: Path) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
    environment |= {name: value.replace("{url}", url) for name, value in run.environment.items()}
    done = subprocess.run(
        command,
        cwd=project,
        env=environment | {"HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{run.client} ({run.name}) ended with {done.returncode}:\n{done.stdout}{done.stderr}")


class Writer:
    """Lines of `requests.jsonl`: what bodies share is written once, and nothing of their texts."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._lines: list[str] = []

    def add(self, run: Run, version: str, requests: list[dict[str, Any]]) -> None:
        """A session, and its requests."""
        self._lines.append(_line({"client": run.client, "version": version, "name": run.name}))
        for request in requests:
            self._lines.append(_line(request | {"body": self._shared(shape_of(request["body"]))}))

    def write(self, path: Path) -> None:
        """Shared parts first."""
        parts = [_line({"part": number, "shape": json.loads(part)}) for part, number in self._numbers.items()]
        path.write_text("\n".join([*parts, *self._lines]) + "\n")

    def _shared(self, body: dict[str, Any]) -> dict[str, Any]:
        lists = {name: body[name] for name in LISTS if isinstance(body.get(name), list)}
        return body | {name: [self._number(part) for part in parts] for name, parts in lists.items()}

    def _number(self, part: Any) -> int:
        return self._numbers.setdefault(json.dumps(part), len(self._numbers))


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorded", description="Record what real clients send.")
    parser.add_argument("--npm", type=Path, required=True)
    parser.add_argument("--agents", type=Path, required=True)
    parser.add_argument("--only", default="", help="of the clients those whose name begins so")
    parser.add_argument("--out", type=Path, default=FILE)
    arguments = parser.parse_args()
    writer = Writer()
    for run in runs(arguments.npm, arguments.agents):
        if run.client.startswith(arguments.only):
            requests = record(run)
            print(f"{run.client} ({run.name}): {len(requests)} requests", file=sys.stderr)
            writer.add(run, _version(run, arguments.agents), requests)
    writer.write(arguments.out)


if __name__ == "__main__":
    main()
