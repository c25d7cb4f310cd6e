"""From a path or a URL to the backend that serves it."""

from __future__ import annotations

import os

from hivecost.backends.sqlite.reading.log_reader import SQLiteLogReader
from hivecost.errors import ConfigError
from hivecost.log import LogReader


def open_log(place: str | os.PathLike[str]) -> LogReader:
    """Return the reader of the log at a place: a folder, or `memory://NAME` for one in this process.

    Raise ConfigError for any other URL: no backend serves it yet.
    """
    scheme, separator, name = os.fspath(place).partition("://")
    if separator and scheme == "memory":
        from hivecost.backends.memory import memory_log  # noqa: PLC0415  # a prompt has none

        return memory_log(name)
    if separator and scheme.isalnum():
        raise ConfigError("base_path", f"a folder; logs at {scheme}:// are not served yet", got=os.fspath(place))
    return SQLiteLogReader(place)
