"""What publish() gives: a coroutine that is over, the same one every time, or one that begins when it is awaited."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any, Final


def _nothing() -> Iterator[Any]:
    yield from ()


#: A generator that is over, and is so each time it is asked.
_OVER: Final = _nothing()
next(_OVER, None)


class _Completed(Coroutine[Any, Any, None]):
    """Can be awaited, or made a task of, any number of times. Making a coroutine costs as much as publishing does."""

    __slots__ = ()

    #: Calling a weak reference gives what it refers to, and is C all the way.
    __await__ = weakref.ref(_OVER)  # type: ignore[assignment]  # `await` takes whatever gives an iterator

    def send(self, value: object) -> Any:
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        raise kind if value is None else value

    def close(self) -> None:
        """Do nothing, because there is nothing to end."""


COMPLETED: Final[Coroutine[Any, Any, None]] = _Completed()


class Later(Coroutine[Any, Any, None]):
    """Calls `begin` each time it is awaited, or when it is made a task of; says nothing when it is never awaited."""

    __slots__ = ("_begin", "_begun")

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._begin = begin
        self._begun: Coroutine[Any, Any, None] | None = None

    def __await__(self) -> Generator[Any, Any, None]:
        return self._begin().__await__()

    def _as_task(self) -> Coroutine[Any, Any, None]:
        if self._begun is None:
            self._begun = self._begin()
        return self._begun

    def send(self, value: object) -> Any:
        """Send a value into the coroutine, which begins now if it has not."""
        return self._as_task().send(value)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """Throw an exception into the coroutine, which begins now if it has not."""
        return self._as_task().throw(kind if value is None else value)

    def close(self) -> None:
        """End what has begun."""
        if self._begun is not None:
            self._begun.close()
