"""The user's own table, as the names of a turn lead there: aliases, rates by exact name, rates by pattern."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from hivecost.model_names import general_names
from hivecost.pricing.hosts import HostNames
from hivecost.pricing.offers import ModelRates
from hivecost.pricing.placement import Asked, Placement
from hivecost.pricing.user_table import UserTable


class OwnRates:
    """Looks names up in the user's table, alone and with their hosts."""

    def __init__(self, given: UserTable, hosts: HostNames) -> None:
        self.aliases = given.aliases
        self.has_rates = bool(given.rates)
        self.has_patterns = bool(given.patterns)
        self._given = given
        self._table = given.rates
        self._hosts = hosts

    def by_name(self, asked: Asked, found: Placement) -> Iterator[ModelRates]:
        """Give the rates of the names that were given, alone and with their host, as written or as understood."""
        hosts = dict.fromkeys(
            (asked.provider, asked.answering, asked.model.partition("/")[0], *self._known(asked, found))
        )
        names: list[str] = []
        for model in filter(None, (asked.answered, asked.model)):
            bare = self._hosts.without_host(model)
            names += [model, *(f"{host}/{name}" for host in hosts for name in (model, bare) if name)]
            names.append(self.alias(model, asked.provider or asked.answering))
        if not self._is_elsewhere(asked.model, asked.provider):
            bare = self._hosts.without_host(asked.model)
            names += [bare, self.aliases.get(bare, "")]
        own = (self._table.get(name) or self._folded.get(name.lower()) for name in dict.fromkeys(names))
        yield from {rates.model: rates for rates in own if rates is not None}.values()

    def _known(self, asked: Asked, found: Placement) -> tuple[str, ...]:
        """Return the host as it was understood, in a tuple of one; an empty one where it is unknown."""
        given = self._hosts.named(asked.provider.strip().lower())
        return () if found.unknown_host and not given else (given.unlisted or found.name.provider,)

    @cached_property
    def _folded(self) -> dict[str, ModelRates]:
        return {name.lower(): rates for name, rates in self._table.items()}

    def by_answers(self, asked: Asked, found: Placement, own: Sequence[ModelRates]) -> Iterator[ModelRates]:
        """Give the rates of other names of the model, by one of which the answer may call it at this host."""
        names = general_names(asked.model)
        for name, rates in self._table.items():
            if rates in own or names.isdisjoint(general_names(name)):
                continue
            host = self._hosts.in_name(name)
            if not host or host.listed == found.name.provider:
                yield rates

    def by_pattern(self, asked: Asked, found: Placement) -> Iterator[ModelRates]:
        """Give the rates of patterns that match the name as it was given or understood, not as another host's."""
        names = {found.name.model}
        hosts = (asked.provider, asked.answering, found.name.provider, *self._known(asked, found))
        for model in filter(None, (asked.answered, asked.model)):
            names |= {model, *(f"{host}/{name}" for host in hosts for name in (model, self._hosts.without_host(model)))}
        if not found.unknown_host:
            names |= {f"{rates.provider}/{rates.model}" for rates in found.shipped}
        names = {name for name in names if not self._is_elsewhere(name, found.name.provider)}
        return self._given.matching(names, found.name.model or asked.model or asked.answered)

    def _is_elsewhere(self, name: str, host: str) -> bool:
        """Tell whether a name begins with another host than its own, as `anthropic/claude-…` does at OpenRouter."""
        first = self._hosts.provider_id(name.partition("/")[0]) if host and "/" in name else None
        return first is not None and first != (self._hosts.provider_id(host) or host)

    def alias(self, model: str, provider: str) -> str:
        """Return what the name stands for, alone or with its host; the same name where it is no alias."""
        if not self.aliases:
            return model
        head, _, last = model.rpartition("/")
        is_behind_host = self._hosts.in_name(model) or self._hosts.provider_id(head.lower())
        names = (model, f"{provider}/{model}", last if is_behind_host else model)
        return next((self.aliases[name] for name in names if name in self.aliases), model)

    def meant(self, model: str, provider: str) -> str:
        """Return the name that it stands for, at the host of the alias: `azure/gpt-4o` of `azure/prod`."""
        target = self.alias(model, provider).strip()
        if target == model or self._hosts.in_name(target) or not self._hosts.in_name(model):
            return target
        return f"{model.rpartition('/')[0]}/{target}"

    def hosts(self) -> set[str]:
        """Return the hosts in front of names that are written `host/model`, in lower case."""
        return {model.partition("/")[0].lower() for model in self._table if "/" in model}
