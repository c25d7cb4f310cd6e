"""Methods whose steps belong together, and the knowledge of whether they were ever interrupted."""

from __future__ import annotations

import functools
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar, TypeVarTuple, cast

from hivecost.errors import HiveCostError, LedgerUnavailableError

_RECOVER: Final = "close it and open it again to recover"

_log = logging.getLogger(__name__)


class Atomic:
    """Has methods that are `atomic`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        #: Why nothing is decided any more, such as what ended a method halfway; "" while it is.
        self.poisoned = ""
        self._is_inside = False
        self._deferred: deque[Callable[[], object]] = deque()

    def defer(self, call: Callable[[], object]) -> None:
        """Call it when this thread has left the lock: a finalizer or a signal handler came in the middle."""
        self._deferred.append(call)

    def do_deferred(self) -> None:
        """Make the calls that were deferred while this thread was inside the lock."""
        while self._deferred:
            try:
                self._deferred.popleft()()
            except IndexError:  # another thread was quicker
                return
            except LedgerUnavailableError as error:  # the edge: whoever asked for it is gone
                _log.error("what a finalizer or a signal handler settled stays in doubt: %s", error)


S = TypeVar("S", bound=Atomic)
Ts = TypeVarTuple("Ts")
R = TypeVar("R")


def refuse_reentry(*_: object) -> None:
    """Raise: this cannot be done in the middle of something else."""
    raise LedgerUnavailableError(
        "a finalizer or a signal handler came in the middle of the ledger's own work; there it may only settle, "
        "release and doubt, and reserve_nowait() gives None"
    )


def atomic(
    reentered: Callable[..., Any] = refuse_reentry,
) -> Callable[[Callable[[S, *Ts], R]], Callable[[S, *Ts], R]]:
    """Let one thread at a time into the method, with positional arguments.

    The garbage collector may run a finalizer in the middle of it, and the interpreter a signal handler, in the same
    thread: their call does `reentered` instead, which may `defer`. Poisoned for good when anything but a HiveCostError
    ends the method. Our own steps never fail halfway; KeyboardInterrupt, or a MemoryError, can end them anywhere. The
    lock is used by itself, because only `with` on a lock written in C is safe from KeyboardInterrupt.
    """

    def decorate(method: Callable[[S, *Ts], R]) -> Callable[[S, *Ts], R]:
        @functools.wraps(method)
        def whole(self: S, /, *args: *Ts) -> R:
            try:
                with self.lock:
                    if self._is_inside:
                        return cast(R, reentered(self, *args))
                    try:
                        self._is_inside = True
                        return method(self, *args)
                    except HiveCostError:
                        raise
                    except BaseException as error:
                        self.poisoned = f"the ledger was interrupted by {error!r}; {_RECOVER}"
                        raise
                    finally:
                        self._is_inside = False
            finally:
                if self._deferred and not self._is_inside:
                    self.do_deferred()

        return whole

    return decorate
