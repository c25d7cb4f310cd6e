"""The shipped rates: genai-prices' data, read into offers. It is imported when rates are loaded, not before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from hivecost.pricing.catalog_names import CatalogNames
from hivecost.pricing.fees import more_models, more_rates
from hivecost.pricing.model_limits import ModelLimits
from hivecost.pricing.offers import ALWAYS, DAY_NS, ModelRates, Offer, Price, Validity, day_ns
from hivecost.pricing.patches import PATCHES, patched
from hivecost.pricing.units import FEE_UNITS

if TYPE_CHECKING:
    from datetime import time

    from genai_prices.types import ModelInfo, ModelPrice, Provider

SOURCE: Final = "genai-prices"

#: genai-prices' names of what we price. A unit that is not here keeps its name: what it bills, no `Usage` counts, and
#: whoever is priced by it gets an estimate that says so.
_UNITS: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "output_citation_mtok": "output_citation",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "cache_audio_read_mtok": "cache_audio_read",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
    "cache_image_read_mtok": "cache_image_read",
    "input_video_mtok": "input_video",
    "output_video_mtok": "output_video",
    "cache_video_read_mtok": "cache_video_read",
    "audio_hours": "audio_hour",
    "input_audio_hours": "audio_hour",
}
#: Published per thousand, kept per one.
_FEES: Final = {
    "web_searches_kcount": "web_search",
    "storage_searches_kcount": "file_search",
    "rerank_searches_kcount": "search_unit",
    "input_document_kpages": "page",
    "requests_kcount": "request",
}
#: What a page costs that was annotated as well: the request alone says whether it was.
_ANNOTATED_PAGES: Final = "input_annotated_document_kpages"

#: What others sell at prices of their own, whatever the shipped rates lend them: by maker, words of the models' names.
_SOLD_AT_OTHER_RATES: Final = {"deepseek": ("deepseek",), "openai": ("gpt-oss",)}

#: More than a program asks for; a name of a stranger's goes first.
_REMEMBERED_MAX: Final = 8_192

_TIER_KEYS: Final = frozenset({"processing", "service_tier", "speed"})


class Catalog:
    """Finds rates by provider and model, as genai-prices matches them."""

    def __init__(self, providers: list[Provider], edition: str) -> None:
        self._providers = providers
        #: Names the data: its version, or the hash of what was fetched.
        self.edition = edition
        #: A question takes up to a millisecond, and is asked again by every price book.
        self._found = lru_cache(maxsize=_REMEMBERED_MAX)(self._find)
        self._vendors = lru_cache(maxsize=_REMEMBERED_MAX)(self._find_vendor)

    def provider_id(self, name: str) -> str | None:
        """Return the id of the provider that goes by this name; None when none does."""
        from genai_prices.data_snapshot import find_provider_by_id  # noqa: PLC0415  # 0.2 s, paid when first used

        found = find_provider_by_id(self._providers, name) if name else None
        return None if found is None else found.id

    def vendor_id(self, model: str) -> str | None:
        """Return the provider whose own models look like this one; None when there is none."""
        return self._vendors(model)

    def _find_vendor(self, model: str) -> str | None:
        for provider in self._providers:
            if provider.model_match is not None and provider.model_match.is_match(model):
                return provider.id
        return None

    def find(self, provider_id: str, model: str) -> ModelRates | None:
        """Return the rates of the model at this provider, patches applied; None when it has none."""
        return self._found(provider_id, model)

    def _find(self, provider_id: str, model: str) -> ModelRates | None:
        provider = next((provider for provider in self._providers if provider.id == provider_id), None)
        if provider is None:
            return None
        info = provider.find_model(model, all_providers=self._providers)
        if info is None:
            # Some models are listed under a name that their own matching does not know.
            info = next((listed for listed in provider.models if listed.id.lower() == model.lower()), None)
        # A name of our own is more than a look-alike of the shipped ones, or a model that another provider lends.
        is_own = info is not None and _is_own(provider, info)
        ours = more_rates(provider_id, model)
        if info is None or (ours is not None and not (is_own and info.id.lower() == model.lower())):
            return ours
        return _model_rates(provider, info) if is_own else self._lent(provider, info)

    def _lent(self, provider: Provider, info: ModelInfo) -> ModelRates:
        """Return the rates of a model that this provider sells for another one, as far as they are known.

        Where this provider has prices of its own, the maker's are taken, and the doubt is noted.
        """
        rates = _without_fees(_model_rates(provider, info))
        lenders = [maker for maker, words in _SOLD_AT_OTHER_RATES.items() if any(word in info.id for word in words)]
        lender = next((other.id for other in self._providers if other.id in lenders and _is_own(other, info)), "")
        if not lender:
            return rates
        doubt = f"{provider.id} has a price of its own for {info.id!r}, which is not known: {lender}'s is taken"
        return replace(rates, offers=tuple(replace(offer, doubt=doubt) for offer in rates.offers))

    @cached_property
    def called(self) -> CatalogNames:
        """What its models are called."""
        return CatalogNames(self.names())

    def provider_ids(self) -> Iterator[str]:
        """Yield every provider there is."""
        return (provider.id for provider in self._providers)

    def models(self) -> Iterator[tuple[str, str]]:
        """Yield every (provider id, model id)."""
        known = set(self.provider_ids())
        yield from ((provider.id, model.id) for provider in self._providers for model in provider.models)
        yield from ((provider, model) for provider, model in more_models() if provider in known)

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield (provider, name) of every model, and of every name that a model's own rules for matching spell out."""
        for provider in self._providers:
            for model in provider.models:
                yield provider.id, model.id
                yield from ((provider.id, name) for name in _spelled_out(model.match))
        known = set(self.provider_ids())
        yield from ((provider, model) for provider, model in more_models() if provider in known)


@cache
def shipped_catalog() -> Catalog:
    """Return the catalog inside the installed genai-prices, whatever an updater put beside it; one for all books."""
    from genai_prices import __version__, data  # noqa: PLC0415  # 0.2 s, paid when first used

    return Catalog(data.providers, __version__)


def fetched_catalog(data: bytes) -> Catalog:
    """Return the catalog in genai-prices' published JSON. Raise ValueError when it is not that."""
    import json  # noqa: PLC0415  # only `prices update` comes here

    from genai_prices.types import _providers_from_raw  # noqa: PLC0415  # the one parser of this format

    raw = json.loads(data)
    if not isinstance(raw, list) or not raw:
        raise ValueError("expected a list of providers")
    return Catalog(_providers_from_raw(raw), hashlib.sha256(data).hexdigest()[:12])


def _spelled_out(clause: Any) -> Iterator[str]:
    """Yield the texts in a matching clause of genai-prices, whatever it does with them."""
    for value in vars(clause).values() if hasattr(clause, "__dict__") else ():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for part in value:
                yield from _spelled_out(part)


def _is_own(provider: Provider, info: ModelInfo) -> bool:
    """Tell whether the provider lists the model itself, and is not only found to sell another provider's."""
    return any(info is own for own in provider.models)


def _without_fees(rates: ModelRates) -> ModelRates:
    """Return the rates without fees of tools: a provider has its own, whoever made the model."""
    offers = (
        replace(offer, prices={unit: price for unit, price in offer.prices.items() if unit not in FEE_UNITS})
        for offer in rates.offers
    )
    return replace(rates, offers=tuple(offers))


def _model_rates(provider: Provider, info: ModelInfo) -> ModelRates:
    offers = tuple(_standard_offers(info))
    # A model lent by another provider has that provider's standard rates only; Azure sells OpenAI's tiers, too.
    if _is_own(provider, info) or provider.id == "azure":
        offers += tuple(_tier_offers(info))
    limits = ModelLimits(context_window=info.context_window)
    return patched(ModelRates(provider.id, info.id, offers, limits), PATCHES)


def _standard_offers(info: ModelInfo) -> Iterator[Offer]:
    if not isinstance(info.prices, list):
        yield Offer(_prices(info.prices), source=SOURCE)
        return
    for conditional in info.prices:
        yield Offer(_prices(conditional.prices), _validity(conditional.constraint), source=SOURCE)


def _tier_offers(info: ModelInfo) -> Iterator[Offer]:
    for variant in info.price_variants or ():
        # Variants by route or search type are no service tiers; nobody asks for them here.
        if len(variant.when) == 1 and _TIER_KEYS.issuperset(variant.when):
            (tier,) = variant.when.values()
            yield Offer(_prices(variant.prices), _validity(variant.constraint), tier, SOURCE)


def _prices(prices: ModelPrice) -> dict[str, Price]:
    found: dict[str, Price] = {}
    for key, value in vars(prices).items():
        if value is None:
            continue
        if key in _UNITS:
            found[_UNITS[key]] = _price(value)
        elif key in _FEES:
            found[_FEES[key]] = Price(value / 1000)
        elif key != _ANNOTATED_PAGES:
            found[key] = _price(value)
    return found


def _price(value: Any) -> Price:
    if isinstance(value, Decimal):
        return Price(value)
    return Price(value.base, tuple((tier.start, tier.price) for tier in value.tiers))


def _validity(constraint: Any) -> Validity:
    if constraint is None:
        return ALWAYS
    if hasattr(constraint, "start_date"):
        return Validity(from_ns=day_ns(constraint.start_date))
    return Validity(daily_ns=(_utc_ns(constraint.start_time), _utc_ns(constraint.end_time)))


def _utc_ns(moment: time) -> int:
    offset = moment.utcoffset()
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second - (offset.total_seconds() if offset else 0)
    return (int(seconds) * 10**9 + moment.microsecond * 1000) % DAY_NS
