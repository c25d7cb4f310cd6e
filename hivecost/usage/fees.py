"""What an answer is billed besides its tokens: searches, containers, and whatever nobody can price yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hivecost.usage.views import items, snake, text, view

#: Gemini bills a grounded prompt once; from version 3 on, each distinct query.
#: https://ai.google.dev/gemini-api/docs/pricing#grounding-with-google-search, read 2026-11.
_GEMINI_VERSION: Final = re.compile(r"gemini-(\d+)")
_PER_PROMPT: Final = range(1, 3)

#: Items of a response's output that cost nothing by themselves, or are counted here.
_BILLED_ITEMS: Final[Mapping[str, str]] = {"file_search_call": "file_search_calls"}
#: Items whose price depends on more than their number.
_UNPRICED_ITEMS: Final = frozenset({"image_generation_call", "video_generation_call"})


class Fees:
    """Pieces by field of Usage, and a reason for each kind of piece that has no field."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.unpriced: dict[str, int] = {}

    @property
    def reason(self) -> str:
        """What is billed and not included; "" where there is nothing."""
        pieces = ", ".join(f"{count} {name}" for name, count in self.unpriced.items())
        return f"no price is known for {pieces}: not included" if pieces else ""

    def read(self, response: Mapping[str, Any], model: str) -> None:
        """Take what the answer lists: OpenAI's output items, Gemini's grounding."""
        if "output" in response:
            self._take_items(items(response["output"]))
        # A stream keeps what its chunks said of their searches apart.
        candidates = [*items(response.get("candidates")), *items(response.get("grounding"))]
        if candidates:
            self._take_grounding([snake(view(one)) for one in candidates], model)

    def _take_items(self, output: list[Any]) -> None:
        containers: set[str] = set()
        for item in output:
            parts = view(item)
            kind = text(parts.get("type"))
            if _is_search(kind, parts):
                self._count("web_search_requests")
            elif kind in _BILLED_ITEMS:
                self._count(_BILLED_ITEMS[kind])
            elif kind == "code_interpreter_call":
                containers.add(text(parts.get("container_id")))
            elif kind in _UNPRICED_ITEMS:
                self.unpriced[kind] = self.unpriced.get(kind, 0) + 1
        if containers:
            self.counts["code_containers"] = len(containers)

    def _take_grounding(self, candidates: list[dict[str, Any]], model: str) -> None:
        grounded = [snake(view(one.get("grounding_metadata"))) for one in candidates if one.get("grounding_metadata")]
        queries = {query for one in grounded for query in map(text, items(one.get("web_search_queries"))) if query}
        version = _GEMINI_VERSION.search(model)
        if queries:
            is_once = version is not None and int(version[1]) in _PER_PROMPT
            self.counts["web_search_requests"] = 1 if is_once else len(queries)
        elif any(map(_on_maps, grounded)):
            self.unpriced["grounding on maps"] = 1

    def _count(self, field: str) -> None:
        self.counts[field] = self.counts.get(field, 0) + 1


def _is_search(kind: str, item: Mapping[str, Any]) -> bool:
    """A web search that is billed; opening a page it found is not."""
    return kind == "web_search_call" and text(view(item.get("action")).get("type")) in {"", "search"}


def _on_maps(grounding: Mapping[str, Any]) -> bool:
    return any("maps" in view(chunk) for chunk in items(grounding.get("grounding_chunks")))


def queries_of(candidates: object) -> Iterator[dict[str, Any]]:
    """What of Gemini's candidates says that they searched, as a stream keeps it."""
    for candidate in items(candidates):
        grounding = snake(view(candidate)).get("grounding_metadata")
        if grounding:
            yield {"grounding_metadata": grounding}
