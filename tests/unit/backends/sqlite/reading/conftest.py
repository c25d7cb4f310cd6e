from __future__ import annotations

import time

import pytest

from hivecost.backends.sqlite import Store


@pytest.fixture
def anyio_backend():
    """One loop is enough here: test_reader.py reads on both."""
    return "asyncio"


@pytest.fixture
def write(tmp_path):
    async def write(*events):
        await Store(tmp_path).write(events)

    return write


@pytest.fixture
def local_zone(monkeypatch):
    """Makes a time zone the local one."""

    def local_zone(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield local_zone
    monkeypatch.undo()
    time.tzset()
