"""SIGTERM, for a runtime that is asked to handle it: everything ends in order, and then the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import msgspec

from hivecost.errors import ConfigError


class Termination(msgspec.Struct):
    """Whether SIGTERM came while the runtime ran."""

    received: bool = False


class _Handler:
    """The one of the process, for all runtimes that ask for it: SIGTERM ends one after the other, the last first."""

    def __init__(self) -> None:
        self._received = False
        self._ends: list[Callable[[], None]] = []
        self._previous: Callable[[int, FrameType | None], Any] | int | signal.Handlers = signal.SIG_DFL

    def add(self, end: Callable[[], None]) -> None:
        if not self._ends:
            self._received = False
            self._previous = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL  # None: not set from Python
            signal.signal(signal.SIGTERM, self._receive)
        self._ends.append(end)

    def remove(self, end: Callable[[], None]) -> None:
        self._ends.remove(end)
        if self._ends and self._received:
            self._ends[-1]()
        elif not self._ends and signal.getsignal(signal.SIGTERM) == self._receive:
            signal.signal(signal.SIGTERM, self._previous)

    def _receive(self, number: int, _: FrameType | None) -> None:
        signal.signal(number, self._previous)  # a second one does at once what it did before
        self._received = True
        if self._ends:
            self._ends[-1]()

    def pass_on(self) -> None:
        """Do what the signal did before, when no other runtime is to be ended first.

        Call its handler, or raise SystemExit with the status that a shell gives for the signal.
        """
        if self._ends:
            return
        if callable(self._previous):
            signal.raise_signal(signal.SIGTERM)
        else:
            raise SystemExit(128 + signal.SIGTERM)


_handler: Final = _Handler()


@contextmanager
def ending_on_sigterm(is_asked: bool, end: Callable[[], None]) -> Iterator[Termination]:
    """Make SIGTERM call `end`, inside the signal's handler, until this ends. Then call `pass_on`, if one was received.

    Raise ConfigError outside of the main thread.
    """
    termination = Termination()

    def receive() -> None:
        termination.received = True
        end()

    if not is_asked:
        yield termination
        return
    if threading.current_thread() is not threading.main_thread():
        expected = "False, or a runtime in the main thread: signals come to no other"
        raise ConfigError("config.handle_signals", expected, got=True)
    _handler.add(receive)
    try:
        yield termination
    finally:
        _handler.remove(receive)


pass_on: Final = _handler.pass_on
