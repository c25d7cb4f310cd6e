"""Which host a provider's name or a model's name means, as clients, gateways and telemetry write them."""

from __future__ import annotations

from typing import Final, NamedTuple

from hivecost.model_names import is_bedrock, last_name
from hivecost.pricing.catalog import Catalog
from hivecost.pricing.names import (
    ALIKE_BEDROCK,
    LOCAL_HOSTS,
    MAKERS,
    NOBODY,
    PATH_WORDS,
    POLICIES,
    PROVIDER_NAMES,
    TRANSPARENT,
    VARIANTS,
    provider_word,
)

_HUGGING_FACE: Final = "huggingface"


class Host(NamedTuple):
    """A provider of the catalog, or the name of one that it does not list; both empty where nobody named one."""

    listed: str = ""
    unlisted: str = ""
    #: Named by the first part of the model's name.
    in_front: bool = False
    #: Which may as well be the model's maker.
    is_maker: bool = False

    def __bool__(self) -> bool:
        return bool(self.listed or self.unlisted)


NOWHERE: Final = Host()


class HostNames:
    """Reads the names of hosts, of those in the catalog and of others."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def provider_id(self, name: str) -> str | None:
        """Return the provider in the catalog that goes by this name; None when none does."""
        return self._catalog.provider_id(provider_word(name.lower()))

    def named(self, name: str) -> Host:
        """Return the host that goes by this name, in lower case; NOWHERE for one that only passes requests on."""
        if not name or name in NOBODY:
            return NOWHERE
        listed = self.provider_id(name)
        if (listed or name) in TRANSPARENT:
            return NOWHERE
        if listed:
            return Host(listed)
        word = provider_word(name)
        return Host(unlisted=word if word in {_HUGGING_FACE, *LOCAL_HOSTS} else PROVIDER_NAMES.get(name, name))

    def in_name(self, model: str) -> Host:
        """Return the host that a model's name tells by its beginning, its shape, or its end as at Hugging Face."""
        name = model.lower()
        if is_bedrock(name):
            return self.in_front_of_bedrock(name) or Host("aws")
        if name.startswith("ft:"):
            return Host("openai")
        if "/publishers/" in name or name.startswith("publishers/"):
            return Host("google")
        if name.startswith("accounts/fireworks/"):
            return Host("fireworks")
        head, slash, rest = name.partition("/")
        if slash and ":" in head:
            head, _, rest = name.partition(":")
        return self._in_path(head, rest) if slash else self._before_colon(name)

    def without_host(self, model: str) -> str:
        """Return `gpt-4o` for `azure/gpt-4o` and `azure:gpt-4o`; the same name where no host is in front."""
        if not self.in_name(model).in_front:
            return model
        head, slash, rest = model.partition("/")
        return rest if slash and ":" not in head else model.partition(":")[2]

    def in_front_of_bedrock(self, model: str) -> Host:
        """Return the other cloud that names its models as Bedrock does: `oci/meta.llama-3.3-70b-instruct`."""
        head, slash, _ = model.partition("/")
        named = self.named(head) if slash and ":" not in head else NOWHERE
        return named if named.unlisted in ALIKE_BEDROCK else NOWHERE

    def _before_colon(self, name: str) -> Host:
        """Return the host of `host:model`; NOWHERE for `model:tag`, as Ollama writes it."""
        head, colon, rest = name.partition(":")
        named = self.named(head) if colon else NOWHERE
        if named.listed or named.unlisted in LOCAL_HOSTS or self._is_known(rest):
            return named._replace(in_front=True)
        return NOWHERE

    def _in_path(self, head: str, rest: str) -> Host:
        if head in TRANSPARENT or self.provider_id(head) in TRANSPARENT:
            last = rest.rpartition(":")[2] if head == "openai" and ":" in rest else ""
            return self._at_end(last) if last and self._is_end(last) else self.in_name(rest)
        if head == "gateway" and ":" in rest:
            return self.in_name(rest)
        named, is_maker = self.named(head), head in self._catalog.called.makers
        if named.unlisted == _HUGGING_FACE:
            return self.of_hugging_face(rest)
        if is_maker and ":" in rest and named.listed != "openrouter":
            return self._at_end(rest.rpartition(":")[2])
        if not named.listed and (is_maker or head in PATH_WORDS):
            return NOWHERE
        return named._replace(in_front=True, is_maker=is_maker and named.listed in MAKERS)

    def _is_end(self, suffix: str) -> bool:
        """Tell whether the suffix is one of OpenRouter's or of Hugging Face's, and no tag of a model."""
        return suffix in VARIANTS | POLICIES or self.provider_id(f"{_HUGGING_FACE}_{suffix}") is not None

    def _at_end(self, suffix: str) -> Host:
        """Return the host that `suffix` of `maker/model:suffix` names: OpenRouter, or one of Hugging Face's."""
        if suffix in VARIANTS:
            return Host("openrouter")
        if suffix in POLICIES:
            return Host(unlisted=_HUGGING_FACE)
        listed = self.provider_id(f"{_HUGGING_FACE}_{suffix}") or self.provider_id(suffix)
        return Host(listed) if listed else Host(unlisted=suffix)

    def of_hugging_face(self, model: str) -> Host:
        """Return the host behind Hugging Face that `model:host` or `host/model` names."""
        name = model.lower()
        name = name.partition("/")[2] if name.split("/")[0] in {"hf", _HUGGING_FACE} else name
        for host in (name.rpartition(":")[2] if ":" in name else "", name.partition("/")[0]):
            listed = self.provider_id(f"{_HUGGING_FACE}_{host}") if host else None
            if listed:
                return Host(listed)
        return Host(unlisted=_HUGGING_FACE)

    def _is_known(self, model: str) -> bool:
        return self._catalog.vendor_id(model) is not None or last_name(model) in self._catalog.called.models
