"""Which host a provider's name or a model's name means, as clients, gateways and telemetry write them."""

from __future__ import annotations

from functools import cached_property
from typing import Final, NamedTuple

from hivecost.model_names import is_bedrock
from hivecost.pricing.catalog import Catalog
from hivecost.pricing.names import MAKERS, NOBODY, PATH_WORDS, POLICIES, PROVIDER_NAMES, TRANSPARENT, VARIANTS

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
        """The provider in the catalog that goes by this name; None when none does."""
        name = name.lower()
        return self._catalog.provider_id(PROVIDER_NAMES.get(name, name))

    def named(self, name: str) -> Host:
        """The host that goes by this name, in lower case; one that only passes on says nothing."""
        if not name or name in NOBODY:
            return NOWHERE
        listed = self.provider_id(name)
        if (listed or name) in TRANSPARENT:
            return NOWHERE
        return Host(listed) if listed else Host(unlisted=PROVIDER_NAMES.get(name, name))

    def in_name(self, model: str) -> Host:
        """The host that the beginning of a model's name says, its shape, or its end as Hugging Face writes it."""
        name = model.lower()
        if is_bedrock(name):
            return Host("aws")
        if name.startswith("ft:"):
            return Host("openai")
        if "/publishers/" in name or name.startswith("publishers/"):
            return Host("google")
        head, slash, rest = name.partition("/")
        if slash and ":" not in head:
            return self._in_path(head, rest)
        head, colon, rest = name.partition(":")
        if slash:
            return self._in_path(head, rest)
        return Host(self.named(head).listed, in_front=True) if colon else NOWHERE

    def _in_path(self, head: str, rest: str) -> Host:
        if head in TRANSPARENT or self.provider_id(head) in TRANSPARENT:
            return self.in_name(rest)
        named, is_maker = self.named(head), head in self.makers
        if named.unlisted == _HUGGING_FACE:
            return self.of_hugging_face(rest)
        if is_maker and ":" in rest and named.listed != "openrouter":
            return self._at_end(rest.rpartition(":")[2])
        if not named.listed and (is_maker or head in PATH_WORDS):
            return NOWHERE
        return named._replace(in_front=True, is_maker=is_maker and named.listed in MAKERS)

    def _at_end(self, suffix: str) -> Host:
        """The host that the end of `maker/model:suffix` says: OpenRouter's variants, and Hugging Face's hosts."""
        if suffix in VARIANTS:
            return Host("openrouter")
        if suffix in POLICIES:
            return Host(unlisted=_HUGGING_FACE)
        listed = self.provider_id(f"{_HUGGING_FACE}_{suffix}") or self.provider_id(suffix)
        return Host(listed) if listed else Host(unlisted=suffix)

    def of_hugging_face(self, model: str) -> Host:
        """The host behind Hugging Face, that `model:host` or `host/model` names."""
        name = model.lower()
        name = name.partition("/")[2] if name.split("/")[0] in {"hf", _HUGGING_FACE} else name
        for host in (name.rpartition(":")[2] if ":" in name else "", name.partition("/")[0]):
            listed = self.provider_id(f"{_HUGGING_FACE}_{host}") if host else None
            if listed:
                return Host(listed)
        return Host(unlisted=_HUGGING_FACE)

    @cached_property
    def makers(self) -> frozenset[str]:
        """What stands in front of models' names as their maker, and names no host by itself."""
        return frozenset(name.partition("/")[0].lower() for _, name in self._catalog.names() if "/" in name)
