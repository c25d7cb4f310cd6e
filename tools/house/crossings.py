"""The files of hivecost that a run crosses: those whose functions it enters."""

from __future__ import annotations

import inspect
import io
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final

import anyio

import hivecost as hc
from hivecost.cli import main

_HOME: Final = f"{Path(hc.__file__).parent}/"
_ANSWER: Final = {"usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}}


def crossed_by_settle() -> set[str]:
    """Return the files that `turn.settle(response)` crosses, under a hard budget, when it is not the first."""
    with TemporaryDirectory() as folder:
        return anyio.run(_settle, folder)


def crossed_by_report() -> set[str]:
    """Return the files that `hivecost report` crosses, of a session that a hard budget counts."""
    with TemporaryDirectory() as folder, _entered() as files:
        anyio.run(_settle, folder)
        for _ in ("imports", "counts"):
            files.clear()
            _run_command("report", "latest", "--data", folder)
        return set(files)


def behind_the_log(files: Collection[str]) -> set[str]:
    """Return those of the embedded backend, behind the contracts that a report asks."""
    return {file for file in files if file.startswith("backends/sqlite/")}


async def _settle(folder: str) -> set[str]:
    budget = hc.Budget("per day", limit="$5", window="day", mode="hard")
    async with hc.AgentRuntime(folder, budgets=[budget]) as runtime, runtime.execution(agent_id="planner") as ctx:
        for _ in ("fills caches", "counts"):
            async with ctx.node("plan"), ctx.turn("gpt-4o", input_tokens=1_000, max_tokens=100) as turn:
                with _entered() as files:
                    turn.settle(_ANSWER)
    return files


def _run_command(*arguments: str) -> None:
    before, sys.argv = sys.argv, ["hivecost", *arguments]
    try:
        with redirect_stdout(io.StringIO()), suppress(SystemExit):
            main()
    finally:
        sys.argv = before


@contextmanager
def _entered() -> Iterator[set[str]]:
    """Give the files whose functions are entered, in this thread and in those that start meanwhile."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        # The bodies of modules and classes have no such flag.
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and code.co_filename.startswith(_HOME):
            files.add(code.co_filename.removeprefix(_HOME))

    before = sys.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(before)
        threading.setprofile(before)
