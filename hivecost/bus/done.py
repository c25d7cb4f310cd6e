"""What publish() gives where there is nothing to wait for: a coroutine that is over, the same one every time."""

from __future__ import annotations

import weakref
from collections.abc import Coroutine, Iterator
from typing import Any, Final


def _nothing() -> Iterator[Any]:
    yield from ()


#: A generator that is over, and is so each time it is asked.
_OVER: Final = _nothing()
next(_OVER, None)


class _Done(Coroutine[Any, Any, None]):
    """Can be awaited, or made a task of, any number of times. Making a coroutine costs as much as publishing does."""

    __slots__ = ()

    #: Calling a weak reference gives what it refers to, and is C all the way.
    __await__ = weakref.ref(_OVER)  # type: ignore[assignment]  # `await` takes whatever gives an iterator

    def send(self, value: object) -> Any:
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        raise kind if value is None else value

    def close(self) -> None:
        """There is nothing to end."""


DONE: Final[Coroutine[Any, Any, None]] = _Done()
