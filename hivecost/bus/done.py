"""What publish() gives where there is nothing to wait for: a coroutine that is over, the same one every time."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final


class _Done(Coroutine[Any, Any, None]):
    """Can be awaited, or made a task of, any number of times. Making a coroutine costs as much as publishing does."""

    __slots__ = ()

    #: An iterator that is over, made in C.
    __await__ = ().__iter__  # type: ignore[assignment]  # `await` takes any iterator

    def send(self, value: object) -> Any:
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        raise kind if value is None else value

    def close(self) -> None:
        """There is nothing to end."""


DONE: Final[Coroutine[Any, Any, None]] = _Done()
