"""Usage of a streamed answer, chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

from msgspec.structs import replace

from hivecost.events import TOKENS_PER_TURN_MAX, Usage
from hivecost.usage.answers import ALL_ZERO, read_answer, require_flavor, unreadable, with_output
from hivecost.usage.bills import queries_of
from hivecost.usage.deltas import answer_bytes, plain_text_bytes
from hivecost.usage.detection import Found, answer_id_of, find_usage, flavor_of
from hivecost.usage.estimates import tokens_of
from hivecost.usage.raw import raw_of
from hivecost.usage.reading import UsageReading, UsageStatus
from hivecost.usage.views import decoded, items, snake, text, view

#: Facts around the usage that a later chunk replaces.
_FACTS: Final = (
    "model", "modelVersion", "model_version", "modelId", "model_name", "response_metadata",
    "service_tier", "serviceTier", "stop_reason", "stopReason",
    "finish_reason", "status", "incomplete_details", "output", "_hidden_params", "type", "object", "provider",
    "x_groq", "time_info", "tool_usage", "done_reason", "ResponseMetadata", "$metadata",
    "steps", "usage_breakdown", "total_cost_usd", "modelUsage", "performanceConfig", "trace",
)  # fmt: skip
#: Where an event keeps such facts, besides where its usage is.
_FACT_HOLDERS: Final = ("message", "response", "delta", "messageStop")
#: The same for the answer's id.
_ID_HOLDERS: Final = ("message", "response", "chunk")
_LAST_EVENTS: Final = frozenset(
    {
        "message_stop", "message-end", "response.completed", "response.incomplete", "response.failed", "response.done",
        "interaction.complete", "interaction.completed", "transcript.text.done", "speech.audio.done",
        "image_generation.completed", "image_edit.completed", "conversation.item.input_audio_transcription.completed",
    }
)  # fmt: skip
#: How OpenAI's Assistants end a run; the event's name stands beside its data.
_LAST_RUNS: Final = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})
_DONE: Final = "[DONE]"
_STOPS: Final = ("stop_reason", "stopReason", "done_reason", "finish_reason", "finishReason")
_STOP_HOLDERS: Final = ("delta", "messageStop", "response_metadata")
#: What Bedrock adds to the last event of a model's own.
_METRICS: Final = "amazon-bedrock-invocationMetrics"
#: LangChain's, whose counts are to be added up.
_CHUNK: Final = "AIMessageChunk"
_ITEM_DONE: Final = "response.output_item.done"
_NOTHING: Final = Usage()
#: All that a chunk of a chat has which brings nothing but more of the answer, and all that its choice has.
_CHUNK_KEYS: Final = frozenset(
    {"id", "object", "created", "model", "system_fingerprint", "service_tier", "choices", "usage", "obfuscation"}
)
_CHOICE_KEYS: Final = frozenset({"index", "delta", "logprobs", "finish_reason"})
#: Of those, what it says of the answer.
_CHUNK_FACTS: Final = ("model", "object", "service_tier")
CUT_REASON: Final = "the stream was cut: at least this much was used"


class StreamedAnswer(NamedTuple):
    """One of the answers of a stream, and the most output tokens that what came of it can be."""

    reading: UsageReading
    output_bound: int


class UsageStream:
    """Takes a stream's chunks or events as they come and knows the usage so far.

    Counts replace what came before, because providers send running totals. `flavor` as in `read_usage`. A chunk with
    another id, after one answer has ended, begins another answer. Raises ConfigError for a flavor that is none.
    """

    def __init__(self, *, flavor: str | None = None) -> None:
        require_flavor(flavor)
        self._given_flavor = flavor
        self._earlier: list[StreamedAnswer] = []
        self._begin()

    def _begin(self) -> None:
        self._flavor = self._given_flavor
        self._answer_id = ""
        self._usage: dict[str, Any] = {}
        self._facts: dict[str, Any] = {}
        #: OpenAI's output items; some servers leave them out of the last event.
        self._items: list[Any] = []
        self._has_stopped = False
        self._finished = False
        self._counted = Usage()
        self._bytes_since = 0
        #: Of those, what no count of the provider's stands for: the one in the same event does.
        self._uncounted_bytes = 0

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
        """Take one chunk: dict, SDK object, JSON text, a line of server-sent events, bare text. Never raise.

        Return the stream itself, so that `UsageStream().observe(chunk).reading()` reads a single one.
        """
        event: Mapping[str, Any] = {}
        with suppress(Exception):  # a chunk nobody can read tells nothing; the stream then counts as cut
            event = view(decoded(_event_data(chunk)))
        with suppress(Exception):
            if event:
                self._observe(event)
            elif _event_data(chunk) == _DONE:
                self._finished = self._finished or bool(self._usage)
            else:
                size = plain_text_bytes(chunk)
                self._bytes_since += size
                self._uncounted_bytes += size
        return self

    def reading(self) -> UsageReading:
        """Return what is known now of the newest answer.

        `estimated` while the stream is not at its end, with what was read since the provider's last count added to it;
        `missing` without any usage.
        """
        reading = self._said()
        if self._finished and reading.status is UsageStatus.OK and not reading.usage.output_tokens:
            return self._with_output(reading)
        if self._finished or reading.status not in (UsageStatus.OK, UsageStatus.ESTIMATED):
            return reading
        reason = "; ".join(filter(None, (CUT_REASON, reading.reason)))
        said = reading.usage
        reading = replace(reading, status=UsageStatus.ESTIMATED, reason=reason, raw=raw_of(self._usage))
        if not self._uncounted_bytes or reading.passes:
            return reading
        output_tokens = min(said.output_tokens + tokens_of(self._uncounted_bytes), TOKENS_PER_TURN_MAX)
        return replace(reading, usage=replace(said, output_tokens=output_tokens), counted=said)

    def _with_output(self, reading: UsageReading) -> UsageReading:
        """Return the reading with an estimate of output that was read, and that the ended stream did not count."""
        usage, doubt = with_output(reading.usage, 0 if reading.passes else self._bytes_since)
        if not doubt:
            return reading
        status = UsageStatus.MISSING if doubt == ALL_ZERO else UsageStatus.ESTIMATED
        return replace(reading, usage=usage, status=status, reason=doubt, raw=raw_of(self._usage))

    def _said(self) -> UsageReading:
        """Return what the provider has counted."""
        response = {**self._facts, "id": self._answer_id, "usage": self._usage}
        if self._items and not response.get("output"):
            response["output"] = self._items
        try:
            return read_answer(response, self._flavor if self._usage else None)
        except Exception as error:  # a stranger's object may raise anything from a property
            return unreadable(error)

    def answers(self) -> list[StreamedAnswer]:
        """Return all answers that came, the newest last."""
        return [*self._earlier, StreamedAnswer(self.reading(), self._newest_bound)]

    def _observe(self, event: Mapping[str, Any]) -> None:
        if self._only_goes_on(event):
            size = answer_bytes(event)
            self._uncounted_bytes += size
            self._bytes_since += size
            return
        found = find_usage(event)
        self._take_id(found, event)
        for facts in (found.response, *(view(event.get(name)) for name in _FACT_HOLDERS)):
            if facts:
                self._facts.update({name: facts[name] for name in _FACTS if name in facts and _is_said(facts[name])})
        counts = {name: count for name, count in found.usage.items() if count is not None}
        if text(event.get("type")) == _CHUNK:
            counts = _added(self._usage, counts)
        # What was counted once is not nothing where a later event does not count it.
        self._usage.update({name: count for name, count in counts.items() if count != 0 or name not in self._usage})
        if text(event.get("type")) == _ITEM_DONE:
            self._items.append(event.get("item"))
        self._flavor = self._flavor or self._shape(found, event)
        stopped = _stop(event, "choices") or _stop(event, "candidates")
        self._facts.update(stopped)
        self._keep_grounding(event)
        self._has_stopped = self._has_stopped or bool(stopped) or _says_stop(found.response, event)
        self._finished = self._finished or self._is_last(found, event)
        size = answer_bytes(event)
        if found.usage and self._take_count():
            self._uncounted_bytes = 0
        else:
            self._uncounted_bytes += size
        self._bytes_since += size

    def _only_goes_on(self, event: Mapping[str, Any]) -> bool:
        """Tell whether it is a chunk of a chat, as most are, that says nothing new but a piece of the answer."""
        choices = event.get("choices")
        if type(event) is not dict or type(choices) is not list or len(choices) != 1 or event.get("usage") is not None:
            return False
        choice, facts = choices[0], self._facts
        return (
            not self._has_stopped
            and event.keys() <= _CHUNK_KEYS
            and bool(self._answer_id)
            and event.get("id") == self._answer_id
            and type(choice) is dict
            and choice.keys() <= _CHOICE_KEYS
            and not choice.get("finish_reason")
            and type(choice.get("delta")) is dict
            and all((event.get(name) or None) == facts.get(name) for name in _CHUNK_FACTS)
            and choice["delta"].keys().isdisjoint(_FACTS)
        )

    def _take_id(self, found: Found, event: Mapping[str, Any]) -> None:
        """Note the answer's id; another id begins another answer only after the end of this one.

        Some servers give each chunk another id.
        """
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

    def _take_count(self) -> bool:
        """Tell whether there is a new count, which stands for all that came before it.

        A count that is only repeated, or that cannot be, is not new.
        """
        reading = self._said()
        if reading.status not in (UsageStatus.OK, UsageStatus.ESTIMATED):
            return False
        is_first, has_grown = self._counted == _NOTHING, reading.usage.output_tokens > self._counted.output_tokens
        if has_grown:
            self._bytes_since = 0
        self._counted = reading.usage
        return is_first or has_grown

    def _shape(self, found: Found, event: Mapping[str, Any]) -> str | None:
        if text(event.get("type")) == "message_start":
            return "anthropic"
        return flavor_of(found) or None

    def _keep_grounding(self, event: Mapping[str, Any]) -> None:
        """Keep the searches that Gemini names in some chunk, which need not be the last."""
        if found := list(queries_of(event)):
            self._facts["grounding"] = [*self._facts.get("grounding", ()), *found]

    def _is_last(self, found: Found, event: Mapping[str, Any]) -> bool:
        """Tell whether this is the provider's last event, or one after which stop reason and count are known."""
        if text(event.get("type")) in _LAST_EVENTS or text(event.get("event_type")) in _LAST_EVENTS:
            return True
        if _METRICS in event:
            return True
        if self._flavor == "bedrock" and "usage" in view(event.get("metadata")):
            return True
        if text(found.response.get("object")) == "thread.run":
            return bool(found.usage) and text(found.response.get("status")) in _LAST_RUNS
        if found.usage and "choices" in event and not items(event["choices"]):
            return True
        return self._has_stopped and bool(self._usage)


def _says_stop(response: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Tell whether it has a stop reason: Anthropic's and Bedrock's in the event, Ollama's and Llama's beside counts."""
    if "serverContent" in event and view(event["serverContent"]).get("turnComplete") is True:
        return True
    places = (event, response, *(view(event.get(name)) for name in _STOP_HOLDERS))
    return any(text(place.get(name)) for place in places if place for name in _STOPS)


def _is_said(fact: object) -> bool:
    return fact is not None and (type(fact) not in (str, dict) or bool(fact))


def _added(before: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sums of both, part by part."""
    sums = dict(counts)
    for name, count in counts.items():
        if type(count) is int and type(before.get(name)) is int:
            sums[name] = before[name] + count
        elif parts := view(before.get(name)):
            sums[name] = {**parts, **_added(parts, view(count))}
    return sums


def _stop(event: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the choices of this chunk, when one of them says why it stopped."""
    if key not in event:
        return {}
    choices = [snake(view(choice)) for choice in items(event[key])]
    stopped = [
        {"finish_reason": text(choice.get("finish_reason"))} for choice in choices if choice.get("finish_reason")
    ]
    return {key: stopped} if stopped else {}


def _event_data(chunk: object) -> object:
    """Return the JSON of a server-sent event's data line; anything else as it is."""
    if isinstance(chunk, bytes | bytearray):
        chunk = bytes(chunk).decode("utf-8")
    if isinstance(chunk, str):
        return chunk.strip().removeprefix("data:").strip()
    return chunk
