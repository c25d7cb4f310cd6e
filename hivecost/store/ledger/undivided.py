"""Methods whose steps belong together, and the knowledge of whether they were ever torn apart."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from hivecost.errors import HiveCostError


class Undivided:
    """Has methods that are `undivided`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        #: What ended a method halfway; None: nothing ever did.
        self.torn_by: str | None = None


S = TypeVar("S", bound=Undivided)
Ts = TypeVarTuple("Ts")
R = TypeVar("R")


def undivided(method: Callable[[S, *Ts], R]) -> Callable[[S, *Ts], R]:
    """One thread at a time, with positional arguments. Torn, for good, when anything but a HiveCostError ends it.

    Our own steps never fail halfway; KeyboardInterrupt, or a MemoryError, can end them anywhere. The lock is used
    by itself, because only `with` on a lock written in C is safe from KeyboardInterrupt.
    """

    @functools.wraps(method)
    def whole(self: S, /, *args: *Ts) -> R:
        with self.lock:
            try:
                return method(self, *args)
            except HiveCostError:
                raise
            except BaseException as error:
                self.torn_by = repr(error)
                raise

    return whole
