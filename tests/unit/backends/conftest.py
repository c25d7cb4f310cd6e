from __future__ import annotations

import anyio
import pytest

from hivecost.backends import open_log
from hivecost.backends.sqlite import Store


@pytest.fixture
def write(tmp_path):
    """Commit events to the log of `tmp_path`."""
    return lambda *events: anyio.run(Store(tmp_path).write, events)


@pytest.fixture
def log(tmp_path):
    """The reader of the log of `tmp_path`."""
    reader = open_log(tmp_path)
    yield reader
    reader.close()
