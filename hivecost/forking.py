"""Forked children. What their parent opened lives on its threads and its event loop, and is only a picture in them."""

from __future__ import annotations

import os
import sys
import weakref
from contextlib import suppress
from typing import Final, NoReturn, Protocol


class Forkable(Protocol):
    """Something that a forked child has a copy of."""

    def _forked(self) -> None:
        """Refuse, in a forked child, what needs the parent's threads or loop, and take new locks."""
        ...


_copied: Final[weakref.WeakSet[Forkable]] = weakref.WeakSet()


def tell_children(thing: Forkable) -> None:
    """Call its `_forked()` in every forked child, as long as it lives."""
    _copied.add(thing)


def end_child(error: BaseException | None) -> NoReturn:
    """End this process as Python ends one that leaves by `error`, but close nothing: all of it is the parent's."""
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)  # noqa: T201  # as the interpreter does
    elif error is not None:
        sys.__excepthook__(type(error), error, error.__traceback__)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code & 0xFF)


def leave_child(error: BaseException | None) -> None:
    """End a forked child that leaves the block of something that its parent opened, if it is on its way to its end.

    Further up it would close the rest, and what its parent's event loop has.
    """
    if isinstance(error, SystemExit):
        end_child(error)


def _tell() -> None:
    for thing in list(_copied):
        thing._forked()  # noqa: SLF001  # nobody else is to call it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell)
