"""Which handler of a bus the calling code is, told by the bus to those who should not be waited for there."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

import anyio

#: The handler's name, and the id of the task that calls it.
_handler: Final[ContextVar[tuple[str, int]]] = ContextVar("hivecost_handler")


def enter_handler(name: str) -> None:
    """Note that this task calls the handler of this name from here on."""
    _handler.set((name, anyio.get_current_task().id))


def current_handler() -> str:
    """Return the name of the handler that the calling task is in; "" in any other, in one that it started too."""
    name, task_id = _handler.get(("", 0))
    return name if name and anyio.get_current_task().id == task_id else ""
