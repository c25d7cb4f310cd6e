"""The moments in which the bus is in the middle of its own work, and must not be worked on."""

from __future__ import annotations

from typing import Protocol

from hivecost.loops import Here, Loop, nowhere


class _Bus(Protocol):
    _here: Here
    _loop: Loop | None


class Middle:
    """To be entered while what is queued is divided between lists and counts. Loop thread only.

    The garbage collector may run a finalizer in any line of it, and the interpreter a signal handler, in the same
    thread. For those the bus is not on its own thread then: what they publish waits in the inbox.
    """

    __slots__ = ("_bus", "_depth", "_nowhere")

    def __init__(self, bus: _Bus) -> None:
        self._bus = bus
        self._depth = 0
        self._nowhere = nowhere()

    def __bool__(self) -> bool:
        return self._depth > 0

    def __enter__(self) -> None:
        self._depth += 1
        self._bus._here = self._nowhere  # noqa: SLF001  # it is a part of the bus

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        loop = self._bus._loop  # noqa: SLF001
        if not self._depth and loop is not None:
            self._bus._here = loop.here  # noqa: SLF001
