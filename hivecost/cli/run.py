"""`hivecost run`: a command whose calls of models are asked for and metered. Reads its own arguments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hivecost.cli.quick import Option, usage
from hivecost.errors import ConfigError, HiveCostError
from hivecost.plain_text import printable

_OPTIONS: Final = {
    "budget": Option("LIMIT", "'$0.50' (this command), 5usd/day, '200k tokens/week', '100 calls'; several hold all."),
    "data": Option("FOLDER", "Where it is kept: a folder, or a URL; HIVECOST_DATA stands for it."),
    "whole-answers": Option("", "Refuse a stream that no budget can pay whole; else it is paid for in steps."),
    "tag-prompts": Option("", "Tag each call with a hash of its system prompt, salted: prompt=…."),
    "receipt": Option("FILE", "Write the receipt there as JSON, too."),
    "required": Option("", "End with 125 where no process of the command loaded the hook."),
    "help": Option("", "Show this message."),
}
_ABOUT: Final = (
    "Run an agent that knows nothing of hivecost under budgets: hivecost run --budget '$0.50' -- python agent.py"
)


def run(arguments: Sequence[str]) -> None:
    """End with the command's own exit status; 99 where calls were refused and it failed, 125 to 127 as env(1)."""
    import asyncio  # noqa: PLC0415  # help waits for nothing

    from hivecost.attach.command import NOT_STARTED, CommandNotStartedError  # noqa: PLC0415  # the same
    from hivecost.attach.running import RunOptions, run_attached  # noqa: PLC0415  # the same

    try:
        given = _read(arguments)
        if given is None:
            print(usage("run", _ABOUT, _OPTIONS))  # noqa: T201  # what was asked for
            return
        status = asyncio.run(run_attached(RunOptions(**given)))
    except CommandNotStartedError as error:
        _fail(error, error.status)
    except HiveCostError as error:
        _fail(error, NOT_STARTED)
    else:
        sys.exit(status)


def _read(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Return the options and the command; None for `--help`. Raise ConfigError."""
    budgets: list[str] = []
    given: dict[str, Any] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        argument = rest.pop(0)
        if argument == "--":
            break
        name, separator, value = ("--data" if argument == "-d" else argument).partition("=")
        name = name.removeprefix("--")
        option = _OPTIONS.get(name) if argument.startswith("-") else None
        if name == "help":
            return None
        if option is None or (separator and not option.value):
            raise ConfigError("run", "options that `hivecost run --help` lists", got=argument)
        if option.value and not separator:
            value = rest.pop(0) if rest else ""
        if option.value and not value:
            raise ConfigError(f"run --{name}", f"a {option.value.lower()}")
        if name == "budget":
            budgets.append(value)
        else:
            given[name.replace("-", "_")] = Path(value) if name == "receipt" else value or True
    return {**given, "budgets": tuple(budgets), "command": tuple(rest)}


def _fail(error: HiveCostError, status: int) -> None:
    sys.stderr.write(f"hivecost: {printable(str(error))}\n")
    sys.exit(status)
