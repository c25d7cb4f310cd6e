"""How the plugins that installed packages offer are found."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from hivecost.errors import PluginError

ENTRY_POINT_GROUP: Final = "hivecost.plugins"


def installed_plugins() -> dict[str, EntryPoint]:
    """The plugins that installed packages offer, by name; nothing is imported yet."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def load_plugin_class(name: str) -> Any:
    """The class or factory an installed package offers as `name`. Raises PluginError when it cannot be had."""
    entry = installed_plugins().get(name)
    if entry is None:
        known = ", ".join(sorted(installed_plugins())) or "none"
        raise PluginError(name, f"is not installed (installed: {known}); pip install hivecost-{name}")
    try:
        return entry.load()
    except Exception as error:
        raise PluginError(name, f"cannot be imported from {entry.value}: {error!r}") from error
