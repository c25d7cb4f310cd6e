"""The n-th thing that hivecost asks of the system fails: files, locks, memory, SQLite and threads."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sqlite3
import sys
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from failing_connection import failing_connections, sqlite_error

import hivecost
from hivecost import private_files
from hivecost.leasing import journal

PACKAGE = str(Path(hivecost.__file__).parent)
#: How far up hivecost may be: the standard library's pathlib lies in between.
FRAMES = 6

#: What may fail, and how it does.
ERRNOS = {
    (os, "open"): [errno.EMFILE, errno.EIO, errno.ENOSPC],
    (os, "mkdir"): [errno.ENOSPC, errno.EIO],
    (os, "stat"): [errno.EIO],
    (os, "fstat"): [errno.EIO],
    (os, "unlink"): [errno.EIO, errno.EPERM],
    (os, "scandir"): [errno.EMFILE, errno.EIO],
    (mmap, "mmap"): [errno.ENOMEM, errno.EMFILE],
}


class Failures:
    """From the operation of this number on, 0 being the first, so many fail; `turn` is with which of their errors."""

    def __init__(self, number, length, turn=0):
        self._number, self._left, self._turn = number, length, turn
        self.operations, self.failed = 0, []
        self._lock = threading.Lock()

    def meet(self, name, errors):
        """An operation is about to be done: raises one of the errors if it fails."""
        with self._lock:
            self.operations += 1
            if self.operations <= self._number or self._left <= 0:
                return
            self._left -= 1
            error = errors[(self._turn + len(self.failed)) % len(errors)]()
            self.failed.append(f"{name}: {error}")
        raise error

    def stop(self):
        self._left = 0

    def wrap(self, owner, name, errors):
        real = getattr(owner, name)

        def wrapped(*arguments, **more):
            if is_ours(sys._getframe(1)):
                self.meet(name, errors)
            return real(*arguments, **more)

        return wrapped


def is_ours(frame):
    for _ in range(FRAMES):
        if frame is None:
            return False
        if frame.f_code.co_filename.startswith(PACKAGE):
            return True
        frame = frame.f_back
    return False


def os_errors(codes):
    return [partial(OSError, code, os.strerror(code)) for code in codes]


def sqlite_errors(*faults):
    return [partial(sqlite_error, fault) for fault in faults]


class FailingFile:
    """A file whose writes and reads may fail."""

    def __init__(self, file, failures):
        self._file, self._failures = file, failures

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, data):
        self._failures.meet("write", os_errors([errno.ENOSPC, errno.EIO]))
        return self._file.write(data)

    def read(self):
        self._failures.meet("read", os_errors([errno.EIO]))
        return self._file.read()


@contextmanager
def failing(failures):
    """Everything that hivecost asks of the system goes through `failures`."""
    no_thread = partial(RuntimeError, "can't start new thread")
    with ExitStack() as stack:

        def patch(owner, name, new):
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, new)

        for (owner, name), codes in ERRNOS.items():
            patch(owner, name, failures.wrap(owner, name, os_errors(codes)))
        connections = stack.enter_context(failing_connections())
        errors = sqlite_errors("disk full", "disk fails", "locked")
        connections.before = staticmethod(lambda sql: failures.meet(f"execute {sql[:20]}", errors))
        patch(sqlite3, "connect", failures.wrap(sqlite3, "connect", sqlite_errors("cannot open")))
        patch(threading.Thread, "start", failures.wrap(threading.Thread, "start", [no_thread]))
        patch(fcntl, "flock", failing_flock(failures))
        for module in (journal, private_files):  # they open files with the builtin, and find this one before it
            module.open = failing_open(failures)
            stack.callback(delattr, module, "open")
        yield


def failing_open(failures):
    def opened(*arguments, **more):
        return FailingFile(open(*arguments, **more), failures)  # noqa: PTH123  # it is to be like it

    return opened


def failing_flock(failures):
    """Only where a lock is wanted: letting go of one does not fail."""
    flock = fcntl.flock

    def wrapped(descriptor, operation):
        if operation != fcntl.LOCK_UN:
            failures.meet("flock", os_errors([errno.ENOLCK, errno.EIO]))
        return flock(descriptor, operation)

    return wrapped
