"""Closing a ledger where the system gives nothing to close it with."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from hivecost.store import Ledger, os_lock

pytestmark = pytest.mark.anyio

WHO = {"user": "ada"}


def no_thread(_):
    raise RuntimeError("can't start new thread")


def no_descriptor(path, flags):
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))


@pytest.mark.parametrize(
    ("owner", "name", "fault"), [(threading.Thread, "start", no_thread), (os_lock, "open_private", no_descriptor)]
)
async def test_what_cannot_be_closed_is_recovered(base_path, budgets, sums, caplog, owner, name, fault):
    """Its block ends without an error, and whoever opens the ledger next takes it for dead, in the same process too."""
    with pytest.MonkeyPatch.context() as patch:
        async with Ledger.open(base_path, budgets=budgets) as ledger:
            (await ledger.reserve(WHO, nanousd=100)).settle(nanousd=30)
            hold = await ledger.reserve(WHO, nanousd=10)
            patch.setattr(owner, name, fault)
    assert "could not be closed in order, and will be recovered" in caplog.text
    assert hold.state == "in_doubt"
    async with Ledger.open(base_path) as again:
        assert await sums(again) == (30, 0, 10)
        assert [doubt.reason for doubt in await again.in_doubt()] == ["its process died"]
