"""What rooms of the unit tests share."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class AtLine:
    """Calls `call` before the line of this number, of those of the files that are run through: as a finalizer would,
    or a signal handler."""

    def __init__(self, files, number, call):
        self.files, self.number, self.call, self.lines = files, number, call, 0

    def __enter__(self):
        self._outer = sys.gettrace()  # that of a coverage run, which goes on afterwards
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_):
        sys.settrace(self._outer)

    def trace(self, frame, event, _):
        if not frame.f_code.co_filename.endswith(self.files):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.number:
                self.call()
        return self.trace


@contextmanager
def _busiest_collector() -> Iterator[None]:
    # No tracer: with one, as coverage's, finalizers at every allocation break event loops on CPython 3.11, trio's too.
    threshold, trace = gc.get_threshold(), sys.gettrace()
    sys.settrace(None)
    gc.collect()
    gc.freeze()  # or it looks each time through all that earlier tests left
    gc.set_threshold(1)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        sys.settrace(trace)
        gc.collect()


@pytest.fixture
def busiest_collector():
    """`with busiest_collector():` the garbage collector runs at every allocation, and once more at the end."""
    return _busiest_collector


@pytest.fixture
def at_line():
    """`with at_line(files, number, call) as passed:`; `passed.lines` is how many lines there were."""
    return AtLine
