"""A command under budgets, from its flags to its receipt."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import dropwhile
from pathlib import Path
from typing import Final

import msgspec

from hivecost.attach.attributed_executions import AttributedExecutions
from hivecost.attach.command import NOT_STARTED, REFUSED, SOCKET, child_environment, run_command
from hivecost.attach.execution_meter import ExecutionMeter
from hivecost.attach.limits import WrittenLimit, read_limits, system_timezone
from hivecost.attach.meter_socket import MeterSocket
from hivecost.attach.prompt_tags import PromptTags
from hivecost.attach.receipt import receipt_lines, receipt_values
from hivecost.attach.tally import Tally
from hivecost.backends import open_log
from hivecost.backends.data_place import data_place, find_settings, state_folder
from hivecost.backends.places import Place
from hivecost.errors import ConfigError, StoreError
from hivecost.events import Totals
from hivecost.ledger import Budget
from hivecost.runtime.config_file import ConfigFile, read_config_file
from hivecost.runtime.runtime import AgentRuntime

#: Options of Python without a value.
_FLAGS: Final = re.compile("-[bBdEiIOPqsSuvx]+")


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `hivecost run` was told."""

    command: tuple[str, ...]
    budgets: tuple[str, ...] = ()
    #: A folder or a URL; "" where nobody says.
    data: str = ""
    #: Refuse a stream that no budget can pay whole, in place of paying for it in steps.
    whole_answers: bool = False
    #: Tag calls with the hash of their system prompt.
    tag_prompts: bool = False
    #: Where the receipt goes as JSON, too.
    receipt: Path | None = None
    #: End with 125 where no process of the command attached.
    required: bool = False


async def run_attached(options: RunOptions) -> int:
    """Run the command under its budgets, print the receipt on stderr and return the exit status.

    Raise ConfigError for what cannot be used, and CommandNotStartedError.
    """
    _require_usable(options)
    attachment = Attachment(
        options.budgets,
        data=options.data,
        agent=agent_name(options.command),
        whole_answers=options.whole_answers,
        tag_prompts=options.tag_prompts,
    )
    if options.receipt is not None:
        _require_place(options.receipt)
    async with attachment.opened() as socket_path:
        status = await run_command(options.command, child_environment(os.environ, socket_path))
    return _ended(options, attachment, status)


def _require_usable(options: RunOptions) -> None:
    if sys.platform == "win32":
        raise ConfigError("run", "Linux or macOS: on Windows there is no unix socket to ask over")
    if not options.command:
        raise ConfigError("run", "a command after --, such as `hivecost run --budget '$0.50' -- python my_agent.py`")
    if os.environ.get(SOCKET):
        raise ConfigError("run", "no `hivecost run` around it, whose budgets would not see these calls")


def _require_place(receipt: Path) -> None:
    """Raise ConfigError where no file can be, before any money is spent."""
    try:
        receipt.touch()
    except OSError as error:
        expected = f"a file that can be written ({error.strerror})"
        raise ConfigError("run --receipt", expected, got=error.filename) from None


def _ended(options: RunOptions, attachment: Attachment, status: int) -> int:
    tally = attachment.tally
    if options.required and not tally.clients:
        status = NOT_STARTED
    elif status and tally.refused and status < 128:
        status = REFUSED
    if options.receipt is not None:
        values = receipt_values(tally, attachment.totals, attachment.place, status)
        try:
            options.receipt.write_bytes(msgspec.json.format(msgspec.json.encode(values)) + b"\n")
        except OSError as error:
            _say([f"the receipt could not be written: {error}"])
    _say(receipt_lines(tally, attachment.totals, attachment.place))
    return status


def _say(lines: Iterable[str]) -> None:
    """Write lines to stderr; where nobody can read them, the command's own exit status still counts."""
    with suppress(OSError, ValueError):
        for line in lines:
            if sys.stderr is not None:
                sys.stderr.write(f"hivecost: {line}\n")
                sys.stderr.flush()


class Attachment:
    """A runtime for agents that know nothing of it: its ledger, and the socket that their hooks ask."""

    def __init__(
        self,
        budgets: Iterable[str],
        *,
        data: str = "",
        agent: str,
        whole_answers: bool = False,
        tag_prompts: bool = False,
    ) -> None:
        """Raise ConfigError for a limit, settings or a place that cannot be used."""
        limits = read_limits(budgets)
        settings = find_settings(Path.cwd())
        config = None if settings is None else read_config_file(settings)
        self.place = data_place(data)
        self.tally = Tally()
        self.totals = Totals()
        self._agent = agent
        self._whole_answers = whole_answers
        self._prompt_tags = PromptTags.kept_in(state_folder(os.environ)) if tag_prompts else None
        stored, caps = _in_force(limits, self.place)
        self._caps = caps
        self._is_hard = bool(limits) or any(budget.mode == "hard" for budget in (config.budgets if config else ()))
        self.runtime = _runtime(self.place, stored, config)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Path]:
        """Give the path of the socket. On leaving, what ended processes said is counted, and the log is written."""
        async with self.runtime, self.serving() as path:
            yield path

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Path]:
        """Do the same in a runtime that runs."""
        runtime = self.runtime
        async with AsyncExitStack() as stack:
            outermost = await stack.enter_async_context(runtime.execution(agent_id=self._agent))
            for cap in self._caps:
                await stack.enter_async_context(runtime.execution(agent_id=self._agent, limit=cap))
            async with MeterSocket(self._open_meter).serving() as path:
                yield path
            await runtime.bus.drain()
            self.totals = outermost.tree_totals

    @asynccontextmanager
    async def _open_meter(self, script: str) -> AsyncIterator[ExecutionMeter]:
        """Each process is an execution inside of the command's."""
        self.tally.clients += 1
        async with AttributedExecutions.opened(self.runtime, script) as executions:
            yield ExecutionMeter(
                executions,
                self.tally,
                is_hard=self._is_hard,
                whole_answers=self._whole_answers,
                prompt_tags=self._prompt_tags,
            )


def _runtime(place: Place, budgets: Sequence[Budget], config: ConfigFile | None) -> AgentRuntime:
    names = {budget.name for budget in config.budgets} if config else set()
    own = [budget for budget in budgets if budget.name not in names]
    if config is not None:
        return AgentRuntime(os.fspath(place), budgets=own, config=config.path)
    return AgentRuntime(os.fspath(place), budgets=own, config={"runaway": "off"})


def _in_force(limits: Iterable[WrittenLimit], place: Place) -> tuple[list[Budget], list[str]]:
    """Return the budgets that are kept, with the limits that they have there, and the caps of this command."""
    zone = system_timezone()
    known = _stored(place)
    budgets, caps = [], []
    for limit in limits:
        if limit.window is None:
            caps.append(limit.text)
            continue
        budget = limit.budget(zone)
        stored = known.get(budget.name)
        if stored is not None and stored.limit_amount != budget.limit_amount:
            caps.append(limit.text)
            budget = stored
        budgets.append(budget)
    return budgets, caps


def _stored(place: Place) -> dict[str, Budget]:
    """Return the budgets that are kept there, by name."""
    try:
        with open_log(place).snapshot() as log:
            return {one.budget.name: one.budget for one in log.budgets() if one.budget.mode == "hard"}
    except StoreError:  # the runtime says what is wrong with it
        return {}


def agent_name(command: Sequence[str]) -> str:
    """Return the name of a Python's script or module, else that of the program, and never an argument of either."""
    program = Path(command[0]).name
    if not program.startswith(("python", "pypy")):
        return program
    script, module = [*dropwhile(_FLAGS.fullmatch, command[1:]), "-", "-"][:2]
    name = module if script == "-m" else script
    return program if name.startswith("-") else Path(name).name
