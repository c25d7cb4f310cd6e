"""What the models of a catalog are called, at their hosts and everywhere: made once, for all price books."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from hivecost.model_names import last_name, undated


class CatalogNames:
    """Looks names up in a catalog of (provider, name)."""

    def __init__(self, names: Iterable[tuple[str, str]]) -> None:
        self._names = tuple(names)

    @cached_property
    def models(self) -> frozenset[str]:
        """What models are called everywhere."""
        return frozenset(last_name(name) for _, name in self._names)

    @cached_property
    def makers(self) -> frozenset[str]:
        """What stands in front of models' names as their maker, and names no host by itself."""
        return frozenset(name.partition("/")[0].lower() for _, name in self._names if "/" in name)

    @cached_property
    def hosts_of(self) -> dict[str, dict[str, str]]:
        """The hosts of a model and its name at each, by the name that it has everywhere."""
        hosts: dict[str, dict[str, str]] = {}
        for provider, name in self._names:
            hosts.setdefault(last_name(name), {}).setdefault(provider, name)
        return hosts

    @cached_property
    def names_at(self) -> dict[tuple[str, str], list[str]]:
        """The names of a model at a host, by the host and the name that it has everywhere, with or without a date.

        Whoever says no region does not mean Bedrock's global one.
        """
        names: dict[tuple[str, str], list[str]] = {}
        for provider, name in self._names:
            last = last_name(name)
            for called in (last, *undated(last)) if not name.startswith("global.") else ():
                names.setdefault((provider, called), []).append(name)
        return names

    def load(self) -> None:
        """Make all of it now."""
        _ = self.models, self.makers, self.hosts_of, self.names_at
