"""Usage of a streamed answer, chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

from msgspec.structs import replace

from hivecost.events import Usage
from hivecost.usage.deltas import answer_bytes, plain_text_bytes
from hivecost.usage.detection import Found, answer_id_of, find_usage, flavor_of
from hivecost.usage.reader import read_usage
from hivecost.usage.reading import UsageReading, UsageStatus
from hivecost.usage.views import decoded, items, plain, snake, text, view

#: Facts around the usage that a later chunk replaces.
_FACTS: Final = (
    "model", "modelVersion", "model_version", "service_tier", "serviceTier", "stop_reason", "stopReason",
    "finish_reason", "status", "incomplete_details", "output", "_hidden_params", "type",
)  # fmt: skip
#: Where an event keeps such facts, besides where its usage is.
_FACT_HOLDERS: Final = ("message", "response", "delta", "messageStop")
#: The same for the answer's id.
_ID_HOLDERS: Final = ("message", "response", "chunk")
_LAST_EVENTS: Final = frozenset(
    {"message_stop", "message-end", "response.completed", "response.incomplete", "response.failed", "response.done"}
)
CUT_REASON: Final = "the stream was cut: at least this much was used"


class StreamedAnswer(NamedTuple):
    """One of the answers of a stream, and the most output tokens that what came of it can be."""

    reading: UsageReading
    output_bound: int


class UsageStream:
    """Takes a stream's chunks or events as they come and knows the usage so far.

    Counts replace what came before, because providers send running totals. `flavor` as in `read_usage`. A chunk with
    another id, after one answer has ended, begins another answer.
    """

    def __init__(self, *, flavor: str | None = None) -> None:
        self._given_flavor = flavor
        self._earlier: list[StreamedAnswer] = []
        self._begin()

    def _begin(self) -> None:
        self._flavor = self._given_flavor
        self._answer_id = ""
        self._usage: dict[str, Any] = {}
        self._facts: dict[str, Any] = {}
        self._finished = False
        self._counted = Usage()
        self._bytes_since = 0

    @property
    def counted(self) -> Usage:
        """The provider's own running count; zeros before it says one."""
        return self._counted

    @property
    def output_bound(self) -> int:
        """The most output tokens that what has come so far can be.

        The provider's running count, and one more for each byte of UTF-8 that came with it or after it: a token is at
        least one byte. Reasoning that a provider neither shows nor counts yet is not in it: nobody can bound that.
        """
        return sum(answer.output_bound for answer in self._earlier) + self._newest_bound

    @property
    def _newest_bound(self) -> int:
        return self._counted.output_tokens + self._bytes_since

    @property
    def is_finished(self) -> bool:
        """The provider has said the final counts."""
        return self._finished

    def observe(self, chunk: object) -> Self:
        """Take one chunk: dict, SDK object, JSON text, a line of server-sent events, bare text. Never raises.

        Return the stream itself, so that `UsageStream().observe(chunk).reading()` reads a single one.
        """
        event: Mapping[str, Any] = {}
        with suppress(Exception):  # a chunk nobody can read tells nothing; the stream then counts as cut
            event = view(decoded(_event_data(chunk)))
        with suppress(Exception):
            if event:
                self._observe(event)
            else:
                self._bytes_since += plain_text_bytes(chunk)
        return self

    def reading(self) -> UsageReading:
        """What is known now of the newest answer.

        `estimated` while the stream is not at its end, `missing` without any usage.
        """
        response = {**self._facts, "id": self._answer_id, "usage": self._usage}
        reading = read_usage(response, flavor=self._flavor if self._usage else None)
        if reading.status is UsageStatus.OK and not self._finished:
            return replace(reading, status=UsageStatus.ESTIMATED, reason=CUT_REASON, raw=plain(self._usage))
        return reading

    def answers(self) -> list[StreamedAnswer]:
        """All that came, the newest last."""
        return [*self._earlier, StreamedAnswer(self.reading(), self._newest_bound)]

    def _observe(self, event: Mapping[str, Any]) -> None:
        found = find_usage(event)
        self._take_id(found, event)
        for facts in (found.response, *(view(event.get(name)) for name in _FACT_HOLDERS)):
            self._facts.update({name: facts[name] for name in _FACTS if facts.get(name) is not None})
        self._usage.update({name: count for name, count in found.usage.items() if count is not None})
        self._flavor = self._flavor or self._shape(found, event)
        stopped = _stop(event, "choices") or _stop(event, "candidates")
        self._facts.update(stopped)
        self._finished = self._finished or self._is_last(found, event, stopped)
        if found.usage:
            self._take_count()
        self._bytes_since += answer_bytes(event)

    def _take_id(self, found: Found, event: Mapping[str, Any]) -> None:
        """Some servers give each chunk another id: only what comes after the end of an answer is another one."""
        has_ended = self._finished or "choices" in self._facts or "candidates" in self._facts
        if self._answer_id and not has_ended:
            return
        holders = found.response, *(view(event.get(name)) for name in _ID_HOLDERS)
        answer_id = next(filter(None, map(answer_id_of, holders)), "")
        is_only_usage = "choices" in event and not items(event["choices"])
        if self._answer_id and answer_id not in ("", self._answer_id) and not is_only_usage:
            self._earlier = self.answers()
            self._begin()
        self._answer_id = self._answer_id or answer_id

    def _take_count(self) -> None:
        """A count that grew stands for all that came before it; one that is only said again, or cannot be, does not."""
        reading = self.reading()
        if reading.status not in (UsageStatus.OK, UsageStatus.ESTIMATED):
            return
        if reading.usage.output_tokens > self._counted.output_tokens:
            self._bytes_since = 0
        self._counted = reading.usage

    def _shape(self, found: Found, event: Mapping[str, Any]) -> str | None:
        if text(event.get("type")) == "message_start":
            return "anthropic"
        return flavor_of(found) or None

    def _is_last(self, found: Found, event: Mapping[str, Any], stopped: Mapping[str, Any]) -> bool:
        """The provider's own last event, or the chunk that brings final counts."""
        if text(event.get("type")) in _LAST_EVENTS or self._flavor == "bedrock":
            return True
        if not found.usage:
            return False
        if "choices" in event and not items(event["choices"]):
            return True
        return bool(stopped) or bool(view(event.get("delta")).get("stop_reason"))


def _stop(event: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The choices of this chunk, when one of them says why it stopped."""
    choices = [snake(view(choice)) for choice in items(event.get(key))]
    stopped = [
        {"finish_reason": text(choice.get("finish_reason"))} for choice in choices if choice.get("finish_reason")
    ]
    return {key: stopped} if stopped else {}


def _event_data(chunk: object) -> object:
    """The JSON of a server-sent event's data line; anything else as it is."""
    if isinstance(chunk, bytes | bytearray):
        chunk = bytes(chunk).decode("utf-8")
    if isinstance(chunk, str):
        return chunk.strip().removeprefix("data:").strip()
    return chunk
