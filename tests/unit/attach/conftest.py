from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from hivecost.attach.command import HOOK


@pytest.fixture
def hook_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hook can be imported, and is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(HOOK))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "hivecost_hook"]:
        del sys.modules[name]
