"""How the plugins that installed packages offer are found: `hivecost.plugins` has them as attributes."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from hivecost.errors import PluginError

ENTRY_POINT_GROUP: Final = "hivecost.plugins"


def installed_plugins() -> dict[str, EntryPoint]:
    """Return the plugins that installed packages offer, by name; nothing is imported yet."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def load_plugin_class(name: str) -> Any:
    """Return the class or factory that an installed package offers as `name`, in either case and with `_` for `-`.

    Raise PluginError when it is not installed, with the command that installs it, and when it cannot be imported.
    """
    installed = installed_plugins()
    plain = _plain(name)
    entry = next((entry for known, entry in installed.items() if _plain(known) == plain), None)
    if entry is None:
        known = ", ".join(sorted(installed)) or "none"
        raise PluginError(name, f"is not installed (installed: {known}); pip install hivecost-{plain}")
    try:
        return entry.load()
    except Exception as error:
        raise PluginError(name, f"cannot be imported from {entry.value}: {error!r}") from error


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


class _Plugins:
    """The classes of the installed plugins, each imported when it is asked for.

    `hivecost.plugins.Prometheus` is what a package offers as `prometheus`. One that is not installed raises
    PluginError, with the command that installs it; `dir(hivecost.plugins)` lists those that are.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what interpreters and debuggers ask any object for
            raise AttributeError(name)
        return load_plugin_class(name)

    def __dir__(self) -> Iterable[str]:
        return [name.replace("-", "_") for name in installed_plugins()]


plugins: Final = _Plugins()
