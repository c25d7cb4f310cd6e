"""The end of a stream of OpenAI's responses: whatever is open is done, then the response is incomplete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from hivecost.dialects.framing import Event
from hivecost.events import Usage
from hivecost.usage.views import items, text, view

#: Where an item keeps its parts, by the event that adds one, and what counts them.
_PARTS: Final = {
    "response.content_part": ("content", "content_index"),
    "response.reasoning_summary_part": ("summary", "summary_index"),
}
#: Where a part, or else an item, keeps what its deltas add.
_TEXTS: Final = {
    "response.output_text": "text",
    "response.reasoning_text": "text",
    "response.reasoning_summary_text": "text",
    "response.refusal": "refusal",
    "response.function_call_arguments": "arguments",
    "response.mcp_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
    "response.code_interpreter_call_code": "code",
}
#: What says where an event belongs.
_PLACE: Final = ("item_id", "output_index", "content_index", "summary_index")

#: The event's kind, and the numbers of its place.
_Key = tuple[str, Any, Any]


class ResponseEnding:
    """Builds up what a stream has said, as far as it has to be said again at its end."""

    def __init__(self, model: str) -> None:
        self._response: dict[str, Any] = {
            "id": "resp_hivecost", "object": "response", "created_at": 0, "model": model, "error": None,
            "instructions": None, "metadata": {}, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        }  # fmt: skip
        self._number = -1
        self._items: dict[Any, dict[str, Any]] = {}
        self._open_items: dict[Any, None] = {}
        self._open_parts: dict[_Key, dict[str, Any]] = {}
        self._open_texts: dict[_Key, tuple[dict[str, Any], list[str]]] = {}

    def observe(self, event: Event) -> None:
        """Note what was begun, what was added to it, and what was done."""
        fields = event.fields
        kind = text(fields.get("type"))
        number = fields.get("sequence_number")
        self._number = number if isinstance(number, int) else self._number
        if response := view(fields.get("response")):
            self._response = dict(response)
        name, _, step = kind.rpartition(".")
        if name == "response.output_item":
            self._observe_item(fields.get("output_index"), dict(view(fields.get("item"))), is_open=step == "added")
        elif name in _PARTS:
            self._observe_part(_key(name, fields), dict(fields), is_open=step == "added")
        elif name in _TEXTS:
            self._observe_text(_key(name, fields), dict(fields), step)

    def _observe_item(self, index: Any, item: dict[str, Any], *, is_open: bool) -> None:
        self._items[index] = item
        if is_open:
            self._open_items[index] = None
        else:
            self._open_items.pop(index, None)

    def _observe_part(self, key: _Key, fields: dict[str, Any], *, is_open: bool) -> None:
        if is_open:
            self._open_parts[key] = fields
        elif self._open_parts.pop(key, None):
            self._keep_part(key[0], fields)

    def _keep_part(self, name: str, fields: dict[str, Any]) -> None:
        """Keep the part in its item, which is repeated when it is done."""
        holder, _ = _PARTS[name]
        item = self._items.setdefault(fields.get("output_index"), {})
        item[holder] = [*items(item.get(holder)), fields.get("part")]

    def _observe_text(self, key: _Key, fields: dict[str, Any], step: str) -> None:
        if step == "delta":
            _, pieces = self._open_texts.setdefault(key, (fields, []))
            pieces.append(text_of(fields.get("delta")))
        elif begun := self._open_texts.pop(key, None):
            name = _TEXTS[key[0]]
            self._keep_text(key[0], begun[0], text_of(fields.get(name)))

    def _keep_text(self, name: str, fields: dict[str, Any], said: str) -> None:
        """Keep the text in its part while that is open, else in its item."""
        index = fields.get("output_index")
        places = [key for key in self._open_parts if key[1:] == _key(name, fields)[1:]]
        holder = dict(view(self._open_parts[places[0]].get("part"))) if places else self._items.setdefault(index, {})
        holder[_TEXTS[name]] = said
        if places:
            self._open_parts[places[0]] = {**self._open_parts[places[0]], "part": holder}

    def events(self, usage: Usage) -> list[Event]:
        """Return the events that end texts, parts, items and the response, with the next sequence numbers."""
        said = [*self._texts_done(), *self._parts_done(), *self._items_done(), self._incomplete(usage)]
        return [
            Event({"type": kind, "sequence_number": number, **fields}, kind)
            for number, (kind, fields) in enumerate(said, self._number + 1)
        ]

    def _texts_done(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for (name, *_), (fields, pieces) in self._open_texts.items():
            said = "".join(pieces)
            self._keep_text(name, fields, said)
            more: dict[str, Any] = {"logprobs": []} if name == "response.output_text" else {}
            yield f"{name}.done", {**_place(fields), _TEXTS[name]: said, **more}

    def _parts_done(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for (name, *_), fields in self._open_parts.items():
            self._keep_part(name, fields)
            yield f"{name}.done", {**_place(fields), "part": fields.get("part")}

    def _items_done(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for index in self._open_items:
            item = self._items[index]
            if "status" in item:
                item["status"] = "incomplete"
            yield "response.output_item.done", {"output_index": index, "item": item}

    def _incomplete(self, usage: Usage) -> tuple[str, dict[str, Any]]:
        response = {
            **self._response,
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "output": [self._items[index] for index in sorted(self._items, key=str)],
            "usage": response_usage(usage),
        }
        return "response.incomplete", {"response": response}


def _key(name: str, fields: dict[str, Any] | Any) -> _Key:
    index = fields.get("content_index")
    return name, fields.get("output_index"), fields.get("summary_index") if index is None else index


def _place(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: fields[key] for key in _PLACE if key in fields}


def text_of(value: object) -> str:
    """Return a text as it is; "" for anything else."""
    return value if isinstance(value, str) else ""


def response_usage(usage: Usage) -> dict[str, Any]:
    """Return the usage in the form of the Responses API."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
