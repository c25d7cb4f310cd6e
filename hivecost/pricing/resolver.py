"""Whose rates price a turn: its host is decided first, then the model is looked up there.

A host that somebody named is never exchanged for another. Who may name it, strongest first: the provider that the
caller gave, the shape of a Bedrock id, the prefix of the name that was asked for, the answer itself, the prefix of the
model that answered; then a mere hint, then the vendor whose own model it is. Where nobody knows the host, it may be
any that has a price for the name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Final

from hivecost.model_names import (
    bedrock_area,
    general_names,
    is_bedrock,
    is_ollama,
    last_name,
    region_of,
    spellings,
    undated,
)
from hivecost.pricing.catalog import Catalog
from hivecost.pricing.hosts import NOWHERE, Host, HostNames
from hivecost.pricing.names import (
    ALIKE_BEDROCK,
    FIRST_PARTIES,
    GATEWAYS,
    LOCAL_HOSTS,
    NOT_SERVED,
)
from hivecost.pricing.offers import ModelRates, Offer, Price
from hivecost.pricing.own_rates import OwnRates
from hivecost.pricing.placement import Asked, ModelName, Placement
from hivecost.pricing.regions import at_region
from hivecost.pricing.user_table import UserTable

_log = logging.getLogger("hivecost.pricing")

#: Variants of a model at OpenRouter that are the model itself, by a choice among hosts or with searches added.
_ONLINE: Final = "online"
_FREE: Final = ":free"
#: How the end of a name says which version it is, without dashes.
_VERSION: Final = re.compile(r"\d{4}|\d{6}|\d{8}|latest")
#: ARNs that do not say which model they run.
_OPAQUE_ARNS: Final = ("application-inference-profile/", "custom-model", "imported-model/", "provisioned-model/")


class Resolver:
    """The user's table by exact name and by pattern, then the catalog at the host that was named."""

    def __init__(self, own: UserTable, catalog: Catalog) -> None:
        self._catalog = catalog
        self._names = catalog.called
        self._hosts = HostNames(catalog)
        self._own = OwnRates(own, self._hosts)

    def place(self, asked: Asked) -> Placement:
        """Return whose rates price the turn; without any, the reason. Never raise."""
        model, provider = self._own.meant(asked.model, asked.provider), asked.provider.strip().lower()
        answered = self._own.meant(asked.answered, asked.provider or asked.answering)
        model, answered = model or answered, "" if answered == model else answered
        if not model:
            found = Placement(ModelName(provider, ""), missing="no model is named")
            return found._replace(own=tuple(self._own.by_name(asked, found)))
        host = self._host(model, provider, answered, asked)
        hints = (provider, asked.answering, asked.hint)  # OpenAI's client is asked for OpenAI's models, too
        found = self._at_host(host, model, answered) if host else self._anywhere(model, answered, hints)
        own = tuple(self._own.by_name(asked, found))
        if self._own.has_rates and not asked.answered and (own or found.shipped):
            shipped = found
            found = found._replace(later=lambda: (*shipped.later(), *self._own.by_answers(asked, shipped, own)))
        found = found._replace(own=own, name=self._name(asked.provider, own, found, host))
        return found._replace(own=(*own, *self._own.by_pattern(asked, found))) if self._own.has_patterns else found

    def beside(self, asked: str, provider: str, model: str) -> ModelName:
        """Return whom to ask for another model where a host was named for `asked`, and by which name.

        The model stands alone where no host was named, where that one does not have it, and where it names its own.
        """
        named = self._hosts.named(provider.strip().lower())
        names_own = self._hosts.in_name(self._own.alias(model, "").strip())
        if names_own and not (named.listed and self._lists(named.listed, model)):
            return ModelName("", model)
        host = self.place(Asked(asked, provider)).name.provider
        beside = (one for one in self._named_beside(asked, provider, model) if self._has(one, host))
        return next(beside, ModelName("", model))

    def _named_beside(self, asked: str, provider: str, model: str) -> Iterator[ModelName]:
        """Yield the model with the host of `asked`, in front of its name where it stands there, too."""
        front, host = asked.rpartition("/")[0], self._hosts.in_name(self._own.alias(asked, ""))
        if front and "/" not in model and self._hosts.in_name(asked).in_front:
            yield ModelName(provider, f"{front}/{model}")
        yield ModelName(provider or host.listed or host.unlisted, model)

    def _has(self, name: ModelName, host: str) -> bool:
        """Tell whether a name is understood as that of a model at this host."""
        found = self.place(Asked(name.model, name.provider))
        is_unsure = found.unknown_host and self._hosts.provider_id(host)
        return bool(found.name.model) and found.name.provider == host and not is_unsure

    def _name(self, provider: str, own: Sequence[ModelRates], found: Placement, host: Host) -> ModelName:
        """Return what the name means: the named host, even one that the catalog does not know, and the model."""
        given = self._hosts.named(provider.strip().lower())
        if given.unlisted == "huggingface" and host.listed:
            given = host
        named = given.listed or (provider if given else "") or found.name.provider or host.listed or host.unlisted
        model = own[0].model if own else found.name.model
        if not named and own and "/" in model:
            named = model.partition("/")[0]
        return ModelName(named or self._hosts.provider_id(provider) or provider, model)

    # -- who hosts it ---------------------------------------------------------------------------------------------

    def _host(self, model: str, provider: str, answered: str, asked: Asked) -> Host:
        given = self._hosts.named(provider)
        if is_bedrock(model) and given.unlisted not in ALIKE_BEDROCK:  # the shape says so, whichever client sent it
            return self._hosts.in_name(model)
        if given:
            return self._hosts.of_hugging_face(model) if given.unlisted == "huggingface" else given
        prefix, answering = self._hosts.in_name(model), self._hosts.named(asked.answering.strip().lower())
        if prefix.listed and answering.listed and self._lists(answering.listed, model):
            return answering  # what looks like a host in front is a part of the name there
        return prefix or answering or self._hosts.in_name(answered)

    def _lists(self, provider: str, model: str) -> bool:
        return "/" in model and self._catalog.find(provider, model) is not None

    # -- the model at its host --------------------------------------------------------------------------------------

    def _at_host(self, host: Host, model: str, answered: str) -> Placement:
        rates, doubt = self._find_at(host, model, answered) if host.listed else (None, "")
        if rates is not None and not (host.is_maker and not _is_priced(rates)):
            region = region_of(model, host.listed) or region_of(answered, host.listed)
            later = tuple if answered else partial(self._later, model, rates, region)
            rates, unsure = at_region(rates, region)
            reason = "; ".join(filter(None, (doubt, unsure)))
            return Placement(ModelName(rates.provider, rates.model), shipped=(rates,), later=later, doubt=reason)
        may_be_elsewhere = host.is_maker or host.listed == "openrouter" or (host.unlisted not in {"", *LOCAL_HOSTS})
        others, called = self._everywhere(model, answered) if may_be_elsewhere else ((), "")
        named = host.listed or host.unlisted
        if not others:
            return Placement(ModelName(named, ""), missing=self._missing(host, model))
        why = f"no price of {named!r} is known" if host.unlisted else f"{named} lists no price for {model!r}"
        if host.unlisted == "huggingface":
            theirs = tuple(one for one in others if one.provider.startswith("huggingface_"))
            others, why = theirs or others, "Hugging Face chooses the host"
        return Placement(ModelName(named, called), shipped=others, unknown_host=why)

    def _find_at(self, host: Host, model: str, answered: str) -> tuple[ModelRates | None, str]:
        """Return the rates of the model that answered, and a doubt about them.

        Those of the one asked for are returned where its name says more, or has the only price.
        """
        names = [answered, model] if answered and not self._says_more(host, model, answered) else [model, answered]
        for name in names:
            rates, doubt = self._find(host, name, is_asked=name != answered) if name else (None, "")
            if rates is not None:
                return rates, doubt
        return None, ""

    def _says_more(self, host: Host, model: str, answered: str) -> bool:
        """Tell whether the name asked for says more than the answered one, not counting a host in front of it."""
        head, _, rest = model.partition("/")
        only_host = rest == answered and self._hosts.named(head.lower()).listed == host.listed
        return not only_host and _says_more(model, answered)

    def _find(self, host: Host, model: str, *, is_asked: bool) -> tuple[ModelRates | None, str]:
        provider, references = host.listed, list(dict.fromkeys(rest for _, rest in spellings(model)))
        named = self._hosts.in_name(model)
        if is_asked and host.in_front and named.in_front and named.listed == provider:
            references.append(references.pop(0))  # the name without its host comes first
        if provider.startswith("huggingface_"):
            references += [rest.rpartition(":")[0] for rest in references if ":" in rest]
        for loosen in (False, True):
            for reference in references:
                for name in undated(reference) if loosen else (reference,):
                    rates = self._catalog.find(provider, name)
                    if rates is not None:
                        return rates, ""
        rates = self._by_last_name(provider, references[-1])
        return (rates, "") if rates is not None or provider != "openrouter" else self._variant(references)

    def _by_last_name(self, provider: str, name: str) -> ModelRates | None:
        """Return the only rates that this host has for a model called so, of any maker and date; else None."""
        listed = self._names.names_at.get((provider, last_name(name)), ())
        found = {one.model: one for called in listed if (one := self._catalog.find(provider, called)) is not None}
        rates = list(found.values())
        return rates[0] if rates and all(one.offers == rates[0].offers for one in rates) else None

    def _variant(self, references: Sequence[str]) -> tuple[ModelRates | None, str]:
        """Return the rates of a variant that OpenRouter does not list, and a doubt about them.

        The free one is free; others cost what the model does, perhaps.
        """
        for reference in references:
            base, _, variant = reference.rpartition(":")
            rates = self._catalog.find("openrouter", base) if base else None
            if rates is None:
                continue
            if reference.endswith(_FREE):
                free = {unit: Price(Decimal(0)) for unit in ("input", "output")}
                return ModelRates("openrouter", reference, (Offer(free, source="patch"),)), ""
            doubt = f"':{variant}' chooses among hosts: the rate of {base!r} is taken"
            if variant == _ONLINE:
                doubt = f"':{variant}' adds web searches, which are not included: the rate of {base!r} is taken"
            return rates, doubt
        return None, ""

    # -- where nobody names a host -----------------------------------------------------------------------------------

    def _anywhere(self, model: str, answered: str, hints: Sequence[str]) -> Placement:
        local = next((hint for hint in hints if hint in LOCAL_HOSTS), "ollama" if is_ollama(model) else "")
        if local:
            return self._at_host(Host(unlisted=local), model, answered)
        for hint in filter(None, hints):
            hinted = self._hosts.provider_id(hint.strip())
            rates = self._find_at(Host(hinted), model, answered)[0] if hinted else None
            if hinted and rates is not None and _is_served(rates):
                return self._at_host(Host(hinted), model, answered)
        vendors = self._of_vendor(answered) or self._of_vendor(model)
        others, called = self._everywhere(model, answered) if vendors is None or not _is_priced(vendors) else ((), "")
        if vendors is not None and not any(map(_is_priced, others)):
            later = tuple if answered else partial(self._later, model, vendors)
            return Placement(ModelName(vendors.provider, vendors.model), shipped=(vendors,), later=later)
        if others:
            return Placement(ModelName("", called), shipped=others, unknown_host="host unknown")
        return Placement(ModelName("", ""), missing=self._missing(NOWHERE, model))

    def _of_vendor(self, model: str) -> ModelRates | None:
        """Return the rates of the provider whose own model it is; None where there are none."""
        references = list(dict.fromkeys(rest for _, rest in spellings(model))) if model else []
        for loosen in (False, True):
            for reference in references:
                for name in undated(reference) if loosen else (reference,):
                    vendor = self._catalog.vendor_id(name.lower())
                    for provider in (vendor,) if vendor else FIRST_PARTIES:
                        rates = self._catalog.find(provider, name)
                        if rates is not None and _is_served(rates, name):
                            return rates
        return None

    def _everywhere(self, model: str, answered: str) -> tuple[tuple[ModelRates, ...], str]:
        """Return the rates of every host that has a price for the name, the vendor's first, and the name there."""
        vendor = self._of_vendor(answered) or self._of_vendor(model)
        for name in filter(None, (answered, model)):
            last = last_name(self._hosts.without_host(name))
            for called in (last, *undated(last), last.partition(":")[0]):
                listed = self._names.hosts_of.get(called, {})
                found = [self._catalog.find(host, listed_as) for host, listed_as in listed.items()]
                rates = [one for one in found if one is not None and _is_served(one)]
                if rates:
                    others = (one for one in rates if vendor is None or one.provider != vendor.provider)
                    return (*((vendor,) if vendor else ()), *others), called
        return ((), "") if vendor is None else ((vendor,), vendor.model)

    def _later(self, model: str, rates: ModelRates, region: str = "") -> tuple[ModelRates, ...]:
        """Return the rates of versions that are later than those which cost what the name does, at the same provider.

        Those of the name without its host are among them, where that is another model.
        """
        name, until = last_name(model), ""
        found: dict[str, tuple[str, ModelRates]] = {}
        bare = self._catalog.find(rates.provider, self._hosts.without_host(model))
        if bare is not None and bare.model != rates.model:  # as `perplexity/sonar`, which is one of two
            found[bare.model] = "latest", bare
        for called in self._names.names_at.get((rates.provider, name), ()):
            version = last_name(called).removeprefix(name).strip("-@").replace("-", "")
            one = self._catalog.find(rates.provider, called)
            if one is None or not _VERSION.fullmatch(version):
                continue
            if one.model == rates.model:
                until = max(until, version if version.isdigit() else "")
            else:
                found[called] = version, one
        later = (one for version, one in found.values() if len(version) != len(until) or version > until)
        return tuple(at_region(one, region)[0] for one in {one.model: one for one in later}.values())

    def _missing(self, host: Host, model: str) -> str:
        """Say why there is no price, and name the hosts that have one."""
        if any(part in model for part in _OPAQUE_ARNS):
            return f"{model!r} does not say which model it runs: give it an alias"
        at = host.listed or host.unlisted
        where = f" at provider {at!r}" if at else ""
        reason = f"no price is known for model {model!r}{where}"
        if host.unlisted in LOCAL_HOSTS:
            return f"{reason}, which runs on machines of your own: give a price, 0 where it is free"
        elsewhere, _ = self._everywhere(model, "") if host.listed else ((), "")
        hosts = list(dict.fromkeys(one.provider for one in elsewhere if _is_priced(one) and one.provider != at))
        if hosts:
            reason += f": priced at {', '.join(hosts[:3])}, not at {at}: give provider={hosts[0]!r}"
        return reason

    # -- names of providers -------------------------------------------------------------------------------------------

    def provider_id(self, name: str) -> str:
        """Return the provider, gateway, or host in the user's table that goes by this name; "" for none."""
        return self._hosts.provider_id(name) or (name.lower() if name.lower() in {*GATEWAYS, *self.hosts()} else "")

    def hosts(self) -> set[str]:
        """Return the hosts of the user's own table, which names models as `host/model`."""
        return self._own.hosts()

    def load(self) -> None:
        """Make the indexes now, and warn of aliases that stand for nothing."""
        self._names.load()
        for alias, target in self._own.aliases.items():
            found = self.place(Asked(target))
            if not (found.own or found.shipped):
                _log.warning("prices: alias %r of %r, which the price book does not know", alias, target)


def _is_priced(rates: ModelRates) -> bool:
    """Tell whether tokens have a price at any time."""
    return any("input" in offer.prices for offer in rates.offers)


def _is_served(rates: ModelRates, name: str = "") -> bool:
    """Tell whether the provider serves the model; it may be an open one that its maker does not serve."""
    called = (name or rates.model).lower()
    return not any(words in called for words in NOT_SERVED.get(rates.provider, ()))


def _says_more(asked: str, answered: str) -> bool:
    """Tell whether the name asked for is the model that answered, with a maker, a profile or a variant besides."""
    asked, answered = asked.lower(), answered.lower()
    if asked.endswith((f"/{answered}", f".{answered}")):
        return True
    variant = asked.rpartition(":")[2] if "/" in asked and ":" in asked else ""
    if not variant and not bedrock_area(asked):
        return False
    plain = asked.removesuffix(f":{variant}") if variant else asked
    return not general_names(plain).isdisjoint(general_names(answered))
