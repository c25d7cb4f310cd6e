"""A reader that has seen enough, as `hivecost … | head` has, is no fault."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Pipe(io.FileIO):
    """Standard output; what nobody reads any more is thrown away."""

    is_left = False

    def write(self, data: ReadableBuffer, /) -> int:
        if not self.is_left:
            try:
                return super().write(data) or 0
            except BrokenPipeError:
                self.is_left = True
        return memoryview(data).nbytes


@contextmanager
def outliving_readers() -> Iterator[None]:
    """Let the program come to its own end, with its own exit status, when nobody reads its output any more.

    In one place, because what prints is spread over event loops, handlers and libraries that each see to a closed pipe
    in a way of their own.
    """
    before = _with_a_file(sys.stdout)
    if before is None:
        yield
        return
    before.flush()
    pipe = _Pipe(os.dup(before.fileno()), "wb")
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(pipe),
        before.encoding,
        before.errors,
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )
    try:
        yield
        sys.stdout.flush()
    except SystemExit:  # how every command ends
        sys.stdout.flush()
        raise
    finally:
        pipe.is_left = True  # what the disk had no room for is not tried again when the stream is collected
        sys.stdout = before


def is_output_left() -> bool:
    """Tell whether nobody reads standard output any more: a program without an end of its own ends then."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, _Pipe) and raw.is_left


def _with_a_file(stream: object) -> io.TextIOWrapper | None:
    """Return the stream if it leads to a file or a pipe of this process; None for a terminal, which nobody closes."""
    try:
        return stream if isinstance(stream, io.TextIOWrapper) and not stream.isatty() and stream.fileno() >= 0 else None
    except (OSError, ValueError):  # it is closed, or has no file
        return None
