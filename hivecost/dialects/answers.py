"""An answer as its bytes come: what of them the client gets, and what they say was used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from hivecost.dialects.content_encoding import Decompressor, decompress
from hivecost.dialects.dialect import ModelRequest
from hivecost.dialects.event_stream import EventStreamFraming
from hivecost.dialects.framing import Event, Framing, Piece
from hivecost.dialects.json_lines import JsonLinesFraming
from hivecost.dialects.openai_chat import is_usage_chunk
from hivecost.dialects.refusals import value_of
from hivecost.dialects.sse import SseFraming
from hivecost.events import Usage
from hivecost.usage import UsageReading, UsageStatus, UsageStream, is_unbilled, read_usage
from hivecost.usage.views import from_json

#: A whole answer that is longer passes, and is not read.
WHOLE_MAX_BYTES: Final = 64 * 1024 * 1024

_FRAMINGS: Final[Mapping[str, type[Framing]]] = {
    "text/event-stream": SseFraming,
    "application/x-ndjson": JsonLinesFraming,
    "application/vnd.amazon.eventstream": EventStreamFraming,
}
#: Types of answers that are no streams, whatever was asked; Gemini's lists alone come as JSON.
_WHOLE: Final = frozenset({"application/json", "text/html"})
_LISTS: Final = "google.gemini"
#: Bedrock's counts of an answer in the model's own words.
_COUNTS: Final = "x-amzn-bedrock-input-token-count"
_ABOUT_BYTES: Final = frozenset({"content-encoding", "content-length"})


class Answer:
    """One answer of a provider.

    `feed` takes its bytes in any pieces and gives those that the client shall get: all but the chunk that is there
    because we asked for usage. A stream passes event by event, decoded; anything else as it came. Nothing here raises
    for what a provider sends: what cannot be read passes, and `reading()` says so.
    """

    def __init__(
        self,
        request: ModelRequest,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        may_end: bool = True,
    ) -> None:
        """Without `may_end` nothing is noted of a stream that only its end at a limit would need."""
        self._request = request
        self._dialect = request.route.dialect
        self._status = status
        self._headers = dict(headers or {})
        self._drops = bool(request.asked.usage_key)
        self._usage = UsageStream()
        self._ending = self._dialect.ending(request)
        self._may_end = may_end
        self._problem = ""
        self._has_begun = False
        self._whole: bytearray | None = bytearray()
        self._framing = self._framing_of() if status < 300 else None
        self._encoding = value_of(self._headers, "content-encoding")
        try:
            self._decompressor = Decompressor(self._encoding)
        except ValueError as error:
            self._problem, self._framing = str(error), None
            self._decompressor = Decompressor("")

    @property
    def is_stream(self) -> bool:
        """Whether it comes event by event."""
        return self._framing is not None

    @property
    def headers(self) -> dict[str, str]:
        """The headers for the client: a stream is not encoded any more, and nobody knows how long it is."""
        if self._framing is None:
            return self._headers
        return {name: value for name, value in self._headers.items() if name.lower() not in _ABOUT_BYTES}

    @property
    def seen(self) -> UsageStream:
        """What has come so far of a stream."""
        return self._usage

    @property
    def output_bound(self) -> int:
        """The most output tokens that what has come so far of a stream can be, as `UsageStream` has it."""
        return self._usage.output_bound

    @property
    def is_finished(self) -> bool:
        """Whether the provider has sent the final counts of a stream."""
        return self._usage.is_finished

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, and return those for the client."""
        if self._framing is None:
            self._keep(data)
            return data
        if self._problem:
            return b""
        try:
            plain = self._decompressor.feed(data)
        except ValueError as error:
            self._problem = str(error)
            return b""
        return self._passed(self._framing.feed(plain))

    def close(self) -> bytes:
        """Return the bytes for the client that are left at the end of the answer."""
        return self._passed(self._framing.close()) if self._framing else b""

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take an event that a client has cut and decoded itself, as botocore does."""
        self._whole = None
        self._note(Event(event, next(iter(event), "")))

    def end_at_limit(self, usage: Usage | None = None) -> bytes:
        """Return the bytes that end a stream here as its provider does at the limit of output.

        `usage` is said to the client as what was used; None says what is known. What came of an event that is not
        whole is left out. b"" for what is no stream.
        """
        if self._framing is None:
            return b""
        return self._framing.encode(self.events_at_limit(usage), is_first=not self._has_begun)

    def events_at_limit(self, usage: Usage | None = None) -> list[Event]:
        """Return the events that end a stream whose client has cut the rest itself."""
        return self._ending.events(usage or self._usage.reading().usage)

    def reading(self) -> UsageReading:
        """Return what is known now of the usage. An error that is not billed says why."""
        if self._framing is not None or self._whole is None:
            reading = self._usage.reading()
            is_lost = bool(self._problem) and reading.status is UsageStatus.MISSING
            return _unreadable(self._problem) if is_lost else reading
        if self._problem:
            return _unreadable(self._problem)
        try:
            body = decompress(bytes(self._whole), self._encoding, WHOLE_MAX_BYTES)
        except ValueError as error:
            return _unreadable(str(error))
        if self._status >= 400 and is_unbilled(self._status, [body]):
            return UsageReading(unbilled=f"not billed: refused with {self._status}")
        return read_usage(self._with_counts(body))

    def readings(self) -> list[UsageReading]:
        """Return a reading for each answer that came: some gateways send several in one stream."""
        if self._framing is None and self._whole is not None:
            return [self.reading()]
        return [answer.reading for answer in self._usage.answers()]

    def _framing_of(self) -> Framing | None:
        kind = value_of(self._headers, "content-type").partition(";")[0].strip().lower()
        if framing := _FRAMINGS.get(kind):
            return framing()
        is_whole = kind in _WHOLE and not (self._dialect.name == _LISTS and kind == "application/json")
        return self._dialect.framing(self._request.route) if self._request.asked.stream and not is_whole else None

    def _passed(self, pieces: Iterable[Piece]) -> bytes:
        passed = b"".join(piece.raw for piece in pieces if not self._takes(piece.event))
        self._has_begun = self._has_begun or bool(passed)
        return passed

    def _takes(self, event: Event | None) -> bool:
        """Note what a piece says. Whether it is the chunk that is there because of us."""
        if event is None:
            return False
        is_ours = self._drops and is_usage_chunk(event)
        self._note(event, is_seen=not is_ours)
        return is_ours

    def _note(self, event: Event, *, is_seen: bool = True) -> None:
        self._usage.observe(event.data)
        if is_seen and self._may_end:
            with suppress(Exception):  # a stranger's event may have anything anywhere
                self._ending.observe(event)

    def _keep(self, data: bytes) -> None:
        if self._whole is not None and not self._problem:
            self._whole += data
            if len(self._whole) > WHOLE_MAX_BYTES:
                self._problem = f"it has more than {WHOLE_MAX_BYTES:,} bytes"
                self._whole.clear()

    def _with_counts(self, body: bytes) -> object:
        """Return the body; for a model's own format at Bedrock, with the counts that stand in headers."""
        if not value_of(self._headers, _COUNTS):
            return body
        headers = {name.lower(): value for name, value in self._headers.items()}
        with suppress(ValueError, RecursionError):
            said = from_json(body)
            if isinstance(said, dict):
                return {**said, "ResponseMetadata": {"HTTPHeaders": headers}}
        return body


def _unreadable(problem: str) -> UsageReading:
    return UsageReading(status=UsageStatus.MISSING, reason=f"the answer cannot be read: {problem}")
