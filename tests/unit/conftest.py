"""What rooms of the unit tests share."""

from __future__ import annotations

import sys

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


@pytest.fixture
def at_line():
    """`with at_line(files, number, call) as passed:`; `passed.lines` is how many lines there were."""
    return AtLine
