"""The agent's command as a child process: started with the hook, told of signals, and what its end means."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from hivecost.errors import HiveCostError

#: The folder of the hook, which the child's Python finds its sitecustomize in.
HOOK: Final = Path(__file__).with_name("hook")
SOCKET: Final = "HIVECOST_SOCKET"
#: Calls were refused, and the command failed.
REFUSED: Final = 99
#: hivecost could not start, or the command did not attach though it had to.
NOT_STARTED: Final = 125
_PASSED_ON: Final = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2")
#: Sent by a terminal to all of its foreground processes.
_FROM_TERMINAL: Final = frozenset({"SIGINT", "SIGQUIT"})


class CommandNotStartedError(HiveCostError):
    """The command could not be started; `status` is what env(1) ends with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


async def run_command(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run it to its end and return its exit status, 128 + n after signal n. Raise CommandNotStartedError."""
    try:
        process = await asyncio.create_subprocess_exec(*command, env=dict(environment))
    except FileNotFoundError as error:
        raise CommandNotStartedError(f"{command[0]}: {error.strerror}", 127) from error
    except OSError as error:
        raise CommandNotStartedError(f"{command[0]}: {error.strerror}", 126) from error
    with _passing_signals_on(process):
        status = await process.wait()
    return status if status >= 0 else 128 - status


@contextmanager
def _passing_signals_on(process: asyncio.subprocess.Process) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = {name: getattr(signal, name) for name in _PASSED_ON}

    def pass_on(name: str) -> None:
        if name in _FROM_TERMINAL and _is_in_foreground():
            return  # the child has it from the terminal
        with suppress(ProcessLookupError):
            process.send_signal(numbers[name])

    for name, number in numbers.items():
        loop.add_signal_handler(number, pass_on, name)
    try:
        yield
    finally:
        for number in numbers.values():
            loop.remove_signal_handler(number)


def _is_in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):  # there is no terminal, or no stdin
        return False


def child_environment(environment: Mapping[str, str], socket_path: Path) -> dict[str, str]:
    """Return the environment, with the hook first on PYTHONPATH and the socket to ask."""
    after = environment.get("PYTHONPATH", "")
    return {
        **environment,
        "PYTHONPATH": f"{HOOK}{os.pathsep}{after}" if after else str(HOOK),
        SOCKET: str(socket_path),
    }
