"""Python's interpreter for the threads that write, beside a loop that never rests."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: How long a thread waits before it asks for the interpreter. Python's 5 ms begin anew with each turn of the loop, so
#: that beside one with shorter turns a commit takes seconds.
SWITCH_S: Final = 0.0005

#: Python cuts intervals to whole microseconds.
_HALF_A_MICROSECOND: Final = 5e-7

_lock = threading.Lock()
_sharing = 0
_before_s = _ours_s = 0.0


@contextmanager
def shared_interpreter() -> Iterator[None]:
    """Until it ends, whoever waits for the interpreter asks for it after `SWITCH_S`; any number may be in it at once.

    A shorter interval is left as it is, and so is one that somebody else sets meanwhile.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _sharing, _before_s, _ours_s  # noqa: PLW0603  # as the interval is: one for the process
    with _lock:
        if not _sharing:
            _before_s = sys.getswitchinterval()
            if _before_s > SWITCH_S:
                sys.setswitchinterval(SWITCH_S + _HALF_A_MICROSECOND)
            _ours_s = sys.getswitchinterval()
        _sharing += 1


def _leave() -> None:
    global _sharing  # noqa: PLW0603  # the same
    with _lock:
        _sharing = max(_sharing - 1, 0)  # a forked child may leave what its parent entered
        if not _sharing and _ours_s != _before_s and sys.getswitchinterval() == _ours_s:
            sys.setswitchinterval(_before_s + _HALF_A_MICROSECOND)


def _renew_after_fork() -> None:
    global _lock, _sharing  # noqa: PLW0603  # the threads that held and shared it are not there
    _lock = threading.Lock()
    if _sharing:
        _sharing = 1
        _leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)
