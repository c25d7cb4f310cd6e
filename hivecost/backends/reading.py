"""Asking a place from a coroutine: readers are synchronous, and answer in a worker thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hivecost.backends.opening import open_backend
from hivecost.backends.places import Place
from hivecost.errors import StoreError
from hivecost.ledger import LedgerReader
from hivecost.log import LogReader
from hivecost.threads import run_in_thread

T = TypeVar("T")


async def read_place(place: Place, question: Callable[[LogReader, LedgerReader], T]) -> T:
    """Return what a question finds in the log, which stands in one snapshot, and in the ledger.

    Raise what it raises, and StoreError when no thread can be started for it.
    """

    def read() -> T:
        backend = open_backend(place)
        log = backend.reader()
        try:
            with log.snapshot() as view:
                return question(view, backend.ledger_reader())
        finally:
            log.close()

    try:
        return await run_in_thread(read)
    except OSError as error:
        raise StoreError(f"{place}: {error}") from error


async def read_log(place: Place, question: Callable[[LogReader], T]) -> T:
    """Return what a question finds in the log, which stands in one snapshot. Raise what it raises."""
    return await read_place(place, lambda log, _: question(log))
