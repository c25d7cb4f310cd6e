"""What an answer is billed besides its tokens: searches, containers, and whatever nobody can price yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hivecost.usage.raw import word
from hivecost.usage.views import items, snake, text, view

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
        """What changes the price and has none."""
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
    """A web search that is billed; opening a page it found is not."""
    return kind == "web_search_call" and text(view(item.get("action")).get("type")) in {"", "search"}


def is_billed_by_prompt(model: str) -> bool:
    """Whether it is a Gemini whose searches are billed once for a prompt, however many there are."""
    version = _GEMINI_VERSION.search(model)
    return version is not None and int(version[1]) in _PER_PROMPT


def _container_of(item: Mapping[str, Any], kind: str) -> str:
    """The container of a shell, where it is not one of the caller's own."""
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
    """What of an answer or an event of Gemini's says that it searched, as a stream keeps it."""
    if _GROUNDED.isdisjoint(answer):
        return
    kept, candidates = items(answer.get("grounding")), items(answer.get("candidates"))
    google = view(answer.get("providerMetadata")).get("google")
    for holder in (*kept, *candidates, answer, answer.get("serverContent"), google):
        parts = view(holder)
        if grounding := view(parts.get("groundingMetadata") or parts.get("grounding_metadata")):
            yield {"grounding_metadata": snake(grounding)}
