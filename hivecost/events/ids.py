"""Ids: unique over processes and restarts, cheap enough for every event."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable

from hivecost.clock import to_datetime


def _counting_from_random() -> Callable[[], str]:
    prefix = secrets.token_hex(8)
    count = itertools.count(1)
    return lambda: f"{prefix}-{next(count):x}"


_next_event_id = _counting_from_random()


def new_event_id() -> str:
    """64 random bits drawn once per process, and a counter; atomic over threads."""
    return _next_event_id()


def _renew_after_fork() -> None:
    global _next_event_id  # noqa: PLW0603  # a forked child would repeat its parent's ids
    _next_event_id = _counting_from_random()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)


def new_session_id(now_ns: int) -> str:
    """`session_YYYYMMDD_HHMMSS_xxxxxxxx`, in UTC."""
    return f"session_{to_datetime(now_ns):%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"


def new_execution_id() -> str:
    """`exec_` and 64 random bits."""
    return f"exec_{secrets.token_hex(8)}"
