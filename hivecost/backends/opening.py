"""From a path or a URL to the backend that serves it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hivecost.backends.places import Place, scheme_of
from hivecost.errors import ConfigError

if TYPE_CHECKING:
    from hivecost.backends.contract import Backend
    from hivecost.log import LogReader

#: A package that serves URLs declares it in this group: `scheme = "package.module:function"`, which takes the URL and
#: returns a Backend.
ENTRY_POINT_GROUP: Final = "hivecost.backends"

OpenBackend = Callable[[str], "Backend"]

#: Those of this process, which come before what is installed.
_registered: dict[str, OpenBackend] = {}


def register_backend(scheme: str, opener: OpenBackend) -> None:
    """Serve the URLs of a scheme, in this process, by what `opener` returns for one. A package has an entry point.

    Raise ConfigError for what is no scheme.
    """
    if not scheme or scheme_of(f"{scheme}://") != scheme:
        raise ConfigError("scheme", "small letters, such as 'postgres'", got=scheme)
    _registered[scheme] = opener


def open_backend(place: Place) -> Backend:
    """Return the backend of a place: a folder, `memory://NAME`, or a URL that an installed package serves.

    Nothing is opened yet. Raise ConfigError for a scheme that nobody serves.
    """
    scheme = scheme_of(place)
    if scheme:
        return _opener(scheme, os.fspath(place))(os.fspath(place))
    from hivecost.backends.sqlite.backend import SQLiteBackend  # noqa: PLC0415  # a prompt reads without

    return SQLiteBackend(Path(place))


def open_log(place: Place) -> LogReader:
    """Return the reader of the log at a place. Raise as `open_backend` does."""
    if scheme_of(place):
        return open_backend(place).reader()
    from hivecost.backends.sqlite.reading.log_reader import SQLiteLogReader  # noqa: PLC0415  # a URL needs none

    return SQLiteLogReader(place)


def has_log(folder: Path) -> bool:
    """Return whether a log was begun in a folder."""
    from hivecost.backends.sqlite.snapshot import DATABASE_NAME  # noqa: PLC0415  # a URL needs none

    return (folder / DATABASE_NAME).exists()


def _opener(scheme: str, url: str) -> OpenBackend:
    if scheme in _registered:
        return _registered[scheme]
    if scheme == "memory":
        from hivecost.backends.memory import memory_backend  # noqa: PLC0415  # a prompt has none

        return memory_backend
    installed = _installed()
    if scheme not in installed:
        known = ", ".join(f"{name}://" for name in sorted({"memory", *_registered, *installed}))
        expected = f"a folder, or a URL of {known} (installed); pip install hivecost-{scheme.partition('+')[0]}"
        raise ConfigError("base_path", expected, got=url)
    try:
        opener: OpenBackend = installed[scheme].load()
    except Exception as error:
        expected = f"a URL whose package can be imported, and {installed[scheme].value} cannot: {error!r}"
        raise ConfigError("base_path", expected, got=url) from error
    return opener


def _installed() -> Mapping[str, Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415  # a folder needs none

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
