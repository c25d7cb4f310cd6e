"""Money in an answer besides its tokens: what its provider says that it cost, searches, containers and other pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

from hivecost.money import TURN_COST_MAX_NANOUSD
from hivecost.usage.raw import word
from hivecost.usage.views import items, snake, text, view

_BILLS: Final = frozenset(
    {
        "cost", "cost_in_usd_ticks", "is_byok", "total_cost_usd", "cost_usd", "estimated_cost", "total_cost",
        "_hidden_params", "response_cost", "providerMetadata",
    }
)  # fmt: skip

#: Gemini bills a grounded prompt once; from version 3 on, each distinct query.
#: https://ai.google.dev/gemini-api/docs/pricing#grounding-with-google-search, read 2026-11.
_GEMINI_VERSION: Final = re.compile(r"gemini-(\d+)")
_PER_PROMPT: Final = range(1, 3)

#: https://platform.openai.com/docs/pricing#built-in-tools, read 2026-11.
_NOT_REASONING: Final = re.compile(r"(?:.*/)?(?:gpt-4o|gpt-4\.1)")
#: Perplexity's fee for a request, of which the shipped rates have the dearest: https://docs.perplexity.ai/pricing.
_SEARCH_CONTEXTS: Final = frozenset({"low", "medium"})
_SONAR: Final = re.compile(r"(?:^|/)sonar(?:-pro|-reasoning|-reasoning-pro)?$")

#: Items of a response's output that cost nothing by themselves, or are counted here.
_BILLED_ITEMS: Final[Mapping[str, str]] = {"file_search_call": "file_search_calls"}
#: Items that run in a container, and where they name it.
_CONTAINERS: Final = frozenset({"code_interpreter_call", "shell_call"})
#: Tools of the provider that pydantic-ai tells as parts, under its own names.
_TOOLS: Final[Mapping[str, str]] = {"web_search": "web_search_call", "file_search": "file_search_call"}
#: Items whose price depends on more than their number.
_UNPRICED_ITEMS: Final = frozenset({"image_generation_call", "video_generation_call", "google_maps_call"})

_LOCAL: Final = "the caller's"
#: Where answers list what they did: OpenAI's, Gemini's Interactions, pydantic-ai's, and LangChain's in their content.
_LISTS: Final = ("output", "outputs", "steps", "parts")
_ITEM_LISTS: Final = frozenset({*_LISTS, "response_metadata"})
#: Where Gemini's grounding stands; ADK's events, LangChain's messages and Live's have no candidates.
_GROUNDED: Final = frozenset(
    {"candidates", "grounding", "groundingMetadata", "grounding_metadata", "serverContent", "providerMetadata"}
)
_TERMS: Final = frozenset({"search_context_size", "performanceConfig", "server_side_tools_used", "x_groq"})
_PLACES: Final = _ITEM_LISTS | _GROUNDED | _TERMS


def reported_nanousd(response: Mapping[str, Any], usage: Mapping[str, Any]) -> int | None:
    """Return the provider's own bill in nano-USD; None where it names none, or an impossible one.

    xAI's `cost_in_usd_ticks` are 10**-10 USD. Perplexity says `cost.total_cost`, LiteLLM `response_cost`, and 0.0 for
    models it has no price for. OpenRouter says `cost`; with a key of one's own the spend is upstream, and the fee alone
    is not what the turn cost. DeepInfra says `estimated_cost`, Claude Code `total_cost_usd` and `cost_usd`.
    """
    if _BILLS.isdisjoint(usage) and _BILLS.isdisjoint(response):  # as it is most often
        return None
    ticks, cost = usage.get("cost_in_usd_ticks"), usage.get("cost")
    if type(ticks) is int:
        return nanousd_of(Decimal(ticks).scaleb(-10))
    for place, name in ((response, "total_cost_usd"), (usage, "cost_usd"), (usage, "estimated_cost")):
        if name in place:
            return nanousd_of(place[name])
    if parts := view(cost):
        return nanousd_of(parts.get("total_cost"))
    if "native_tokens_prompt" not in usage and (cost is not None or "is_byok" in usage):
        return _openrouter(usage, cost)
    return _of_client(response)


def _of_client(response: Mapping[str, Any]) -> int | None:
    if "providerMetadata" in response:  # Vercel's AI SDK, of its gateway
        return nanousd_of(view(view(response["providerMetadata"]).get("gateway")).get("cost"))
    if "native_tokens_prompt" in response:  # OpenRouter's account of a generation
        return nanousd_of(response.get("total_cost"))
    hidden = view(response["_hidden_params"]) if "_hidden_params" in response else response
    return nanousd_of(hidden.get("response_cost")) or None


def _openrouter(usage: Mapping[str, Any], cost: object) -> int | None:
    fee = nanousd_of(cost)
    if usage.get("is_byok") is not True:
        return fee
    upstream = nanousd_of(view(usage.get("cost_details")).get("upstream_inference_cost"))
    return None if upstream is None else upstream + (fee or 0)


def nanousd_of(value: object) -> int | None:
    """Return a foreign amount in USD as nano-USD; None when it is no finite, non-negative, believable number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        usd = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):  # the second for an integer that Python does not write out
        return None
    if not usd.is_finite() or usd < 0 or usd > TURN_COST_MAX_NANOUSD:
        return None
    nanousd = int(usd.scaleb(9).to_integral_value(ROUND_HALF_EVEN))
    return nanousd if nanousd <= TURN_COST_MAX_NANOUSD else None


class Fees:
    """Pieces by field of Usage, and a reason for each kind of piece that has no field."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.unpriced: dict[str, int] = {}
        #: What changes the price, in sentences.
        self.doubts: list[str] = []

    @property
    def reason(self) -> str:
        """What is billed and not included, or at another rate; "" where there is nothing."""
        pieces = ", ".join(f"{count} {name}" for name, count in self.unpriced.items())
        return "; ".join([*([f"no price is known for {pieces}: not included"] if pieces else ()), *self.doubts])

    def read(self, response: Mapping[str, Any], usage: Mapping[str, Any], model: str) -> None:
        """Take what the answer lists: OpenAI's output items, Gemini's grounding, xAI's and Groq's tools."""
        if _PLACES.isdisjoint(response) and _TERMS.isdisjoint(usage):  # as it is most often
            return
        if not _ITEM_LISTS.isdisjoint(response):
            self._take_items(_items_of(response), model)
        if not _GROUNDED.isdisjoint(response):
            self._take_grounding(list(queries_of(response)), model)
        self._take_terms(response, usage, model)

    def _take_terms(self, response: Mapping[str, Any], usage: Mapping[str, Any], model: str) -> None:
        """Take the terms that change the price and have none of their own."""
        context = text(usage.get("search_context_size"))
        if context in _SEARCH_CONTEXTS and _SONAR.search(model) and not view(usage.get("cost")):
            self.doubts.append(f"the fee is that of a high search context, and this one was {context}")
        if "performanceConfig" in response and text(view(response["performanceConfig"]).get("latency")) == "optimized":
            self.doubts.append("latency was optimized, and the rate is the standard one")
        for asked in map(view, items(response.get("tools"))):
            kind, container = word(asked.get("type")), view(asked.get("container"))
            if kind.startswith("web_search_preview") and _NOT_REASONING.match(model):
                self.doubts.append(f"a search of {kind} costs 0.025 USD with a model that does not reason")
            if (size := word(container.get("memory_limit"))) not in {"", "1g"}:
                self.doubts.append(f"a container of {size} costs more than one of 1g")
        for tool in map(word, items(usage.get("server_side_tools_used"))):
            if tool.endswith("WEB_SEARCH"):
                self._count("web_search_requests")
            else:
                name = tool.removeprefix("SERVER_SIDE_TOOL_").lower() or "server-side tools"
                self.unpriced[name] = self.unpriced.get(name, 0) + 1
        for choice in items(response.get("choices")) if "x_groq" in response else ():
            if executed := items(view(view(choice).get("message")).get("executed_tools")):
                self.unpriced["tools that Groq ran"] = len(executed)

    def _take_items(self, output: list[Any], model: str) -> None:
        containers: set[str] = set()
        queries: list[str] = []
        for item in output:
            parts = view(item)
            kind = text(parts.get("type"))
            if text(parts.get("part_kind")) == "builtin-tool-call":
                kind = _TOOLS.get(text(parts.get("tool_name")), "")
            if kind == "google_search_call":
                queries += [text(query) for query in items(view(parts.get("arguments")).get("queries"))] or [""]
            elif _is_search(kind, parts):
                self._count("web_search_requests")
            elif kind in _BILLED_ITEMS:
                self._count(_BILLED_ITEMS[kind])
            elif kind in _CONTAINERS:
                containers.add(text(parts.get("container_id")) or _container_of(parts, kind))
            elif kind in _UNPRICED_ITEMS:
                self.unpriced[kind] = self.unpriced.get(kind, 0) + 1
        containers.discard(_LOCAL)
        if containers:
            self.counts["code_containers"] = len(containers)
        if queries:
            self._search(len(set(queries)), model)

    def _take_grounding(self, holders: list[dict[str, Any]], model: str) -> None:
        grounded = [one["grounding_metadata"] for one in holders]
        queries = {
            (kind, query)
            for one in grounded
            for kind in ("web_search_queries", "image_search_queries")
            for query in map(text, items(one.get(kind)))
            if query
        }
        if queries:
            self._search(len(queries), model)
        elif any(_has_chunk(one, "web") for one in grounded):
            self._search(1, model)
            if not is_billed_by_prompt(model):
                self.unpriced["searches whose queries it does not name, beyond the first"] = 1
        if any(_has_chunk(one, "maps") for one in grounded):
            self.unpriced["grounding on maps"] = 1

    def _search(self, queries: int, model: str) -> None:
        self.counts["web_search_requests"] = 1 if is_billed_by_prompt(model) else queries

    def _count(self, field: str) -> None:
        self.counts[field] = self.counts.get(field, 0) + 1


def _is_search(kind: str, item: Mapping[str, Any]) -> bool:
    """Tell whether the item is a web search that is billed; opening a page it found is not."""
    return kind == "web_search_call" and text(view(item.get("action")).get("type")) in {"", "search"}


def is_billed_by_prompt(model: str) -> bool:
    """Tell whether the model is a Gemini whose searches are billed once for a prompt, however many there are."""
    version = _GEMINI_VERSION.search(model)
    return version is not None and int(version[1]) in _PER_PROMPT


def _container_of(item: Mapping[str, Any], kind: str) -> str:
    """Return the container of a shell, where it is not one of the caller's own."""
    if kind != "shell_call":
        return ""
    return text(view(item.get("environment")).get("container_id")) or _LOCAL


def _has_chunk(grounding: Mapping[str, Any], kind: str) -> bool:
    return any(view(view(chunk).get(kind)) for chunk in items(grounding.get("grounding_chunks")))


def _items_of(response: Mapping[str, Any]) -> list[Any]:
    found = [one for name in _LISTS if name in response for one in items(response[name])]
    if "response_metadata" in response:
        found += items(response.get("content"))
        found += items(view(response.get("additional_kwargs")).get("tool_outputs"))
    return found


def queries_of(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the parts of Gemini's answer or event that say that it searched, in the form that a stream keeps."""
    if _GROUNDED.isdisjoint(answer):
        return
    kept, candidates = items(answer.get("grounding")), items(answer.get("candidates"))
    google = view(answer.get("providerMetadata")).get("google")
    for holder in (*kept, *candidates, answer, answer.get("serverContent"), google):
        parts = view(holder)
        if grounding := view(parts.get("groundingMetadata") or parts.get("grounding_metadata")):
            yield {"grounding_metadata": snake(grounding)}
