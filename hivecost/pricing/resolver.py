"""Which rates a model's name means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hivecost.model_names import spellings, undated
from hivecost.pricing.catalog import Catalog
from hivecost.pricing.names import FIRST_PARTIES, GATEWAYS, PROVIDER_NAMES
from hivecost.pricing.offers import ModelRates


class ModelName(NamedTuple):
    """What a name means to a price book; "" is what it does not know."""

    provider: str
    model: str


class Resolver:
    """The user's table by exact name, then the catalog by ever looser names."""

    def __init__(self, table: Mapping[str, ModelRates], aliases: Mapping[str, str], catalog: Catalog) -> None:
        self._table = table
        self._aliases = aliases
        self._catalog = catalog

    def find(self, model: str, provider: str) -> Iterator[ModelRates]:
        """Rates for the model, best first: the user's own, then shipped ones; nothing when it is unknown."""
        name = self._alias(model, provider)
        for own in dict.fromkeys((model, f"{provider}/{model}", name)):
            if own in self._table:
                yield self._table[own]
        if name:
            shipped = self._shipped(name.strip(), provider.strip().lower())
            if shipped is not None:
                yield shipped

    def name(self, model: str, provider: str, rates: Sequence[ModelRates]) -> ModelName:
        """What the name means, from the `rates` that `find` gives for it.

        A provider that was named and is no gateway is believed, also one that the catalog does not know.
        """
        found = next((one.provider for one in rates if one.provider), "")
        if provider and not (found and (self._provider_id(provider) or provider.lower() in GATEWAYS)):
            found = self._provider_id(provider) or provider
        if rates and not found and "/" in rates[0].model:  # of the user's own table
            found = rates[0].model.partition("/")[0]
        return ModelName(found, rates[0].model if rates else "")

    def provider_id(self, name: str) -> str:
        """The provider that goes by this name, which may be a gateway or a host in the user's table; "" for none."""
        return self._provider_id(name) or (name.lower() if name.lower() in {*GATEWAYS, *self.hosts()} else "")

    def hosts(self) -> set[str]:
        """Those of the user's own table, which names models as `host/model`."""
        return {model.partition("/")[0].lower() for model in self._table if "/" in model}

    def _alias(self, model: str, provider: str) -> str:
        return self._aliases.get(model) or self._aliases.get(f"{provider}/{model}") or model

    def _shipped(self, model: str, provider: str) -> ModelRates | None:
        names = list(spellings(model))
        for loosen in (False, True):
            for head, rest in names:
                for ref in undated(rest) if loosen else (rest,):
                    for provider_id in self._providers(head, ref, provider):
                        rates = self._catalog.find(provider_id, ref)
                        if rates is not None:
                            return rates
        return None

    def _providers(self, head: str, ref: str, provider: str) -> Iterator[str]:
        """Where to look for `ref`: at the provider that was named, else at the one whose model it looks like."""
        if head == "aws":  # the shape of a Bedrock id says so, whichever client sent it
            yield "aws"
            return
        for name in (provider, head):
            named = self._provider_id(name)
            if named:
                yield named
                if name not in GATEWAYS:
                    return
        vendor = self._catalog.vendor_id(ref.lower())
        if vendor:
            yield vendor
        else:
            yield from FIRST_PARTIES

    def _provider_id(self, name: str) -> str | None:
        name = name.lower()
        return self._catalog.provider_id(PROVIDER_NAMES.get(name, name))
