"""How streams are cut: the same events from any pieces of the same bytes, and all the bytes again."""

from __future__ import annotations

import codecs
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.dialects import framing as limits
from hivecost.dialects.event_stream import EventStreamFraming, chunk_frame, encode_frame, event_frame
from hivecost.dialects.framing import Event
from hivecost.dialects.json_array import JsonArrayFraming
from hivecost.dialects.json_lines import JsonLinesFraming
from hivecost.dialects.sse import SseFraming

SSE = b'event: a\ndata: {"x":\ndata: 1}\n\n: note\n\ndata: [DONE]\n\n'
NOTE = 'data: {"text": "é\\n\\n"}\r\n\r\ndata: {}\n\n'.encode()
LINES = b'{"a": 1}\n\n{"b": "\\n"}\n{"c": 3}'
ARRAY = b'[{"a": "}\\"{", "b": {"c": [1]}}\n,\r\n{"d": "\\\\"}\n]\n'
FRAMES = event_frame("messageStart", {"role": "a"}) + chunk_frame({"type": "x"}) + event_frame("metadata", {})
STREAMS = [
    (SseFraming, SSE, [Event({"x": 1}, "a"), Event("[DONE]")]),
    (SseFraming, SSE.replace(b"\n", b"\r\n"), [Event({"x": 1}, "a"), Event("[DONE]")]),
    (SseFraming, SSE.replace(b"\n", b"\r"), [Event({"x": 1}, "a"), Event("[DONE]")]),
    (SseFraming, SSE.rstrip(), [Event({"x": 1}, "a"), Event("[DONE]")]),
    (SseFraming, codecs.BOM_UTF8 + SSE, [Event({"x": 1}, "a"), Event("[DONE]")]),
    (SseFraming, NOTE, [Event({"text": "é\n\n"}), Event({})]),
    (SseFraming, b"<html>\n\n<p>\n", []),
    (JsonLinesFraming, LINES, [Event({"a": 1}), Event({"b": "\n"}), Event({"c": 3})]),
    (JsonLinesFraming, LINES.replace(b"\n", b"\r\n"), [Event({"a": 1}), Event({"b": "\n"}), Event({"c": 3})]),
    (JsonArrayFraming, ARRAY, [Event({"a": '}"{', "b": {"c": [1]}}), Event({"d": "\\"})]),
    (JsonArrayFraming, b"[]", []),
    (
        EventStreamFraming,
        FRAMES,
        [
            Event({"messageStart": {"role": "a"}}, "messageStart"),
            Event({"type": "x"}),
            Event({"metadata": {}}, "metadata"),
        ],
    ),
    (EventStreamFraming, FRAMES[:-3], [Event({"messageStart": {"role": "a"}}, "messageStart"), Event({"type": "x"})]),
    (EventStreamFraming, b"<html> this is no frame at all", []),
]  # fmt: skip


def cut(framing, pieces):
    found = [piece for data in pieces for piece in framing.feed(data)]
    return [*found, *framing.close()]


@pytest.mark.parametrize(("kind", "data", "events"), STREAMS)
@settings(deadline=None)
@given(where=st.lists(st.integers(0, 200), max_size=12))
def test_any_pieces_give_the_same_events_and_all_bytes(kind, data, events, where):
    """Cut anywhere, at every byte, or not at all."""
    ends = sorted({min(end, len(data)) for end in where})
    pieces = [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]
    for way in (pieces, [data[at : at + 1] for at in range(len(data))], [data]):
        found = cut(kind(), way)
        assert b"".join(piece.raw for piece in found) == data
        assert [piece.event for piece in found if piece.event] == events


@pytest.mark.parametrize("kind", [SseFraming, JsonLinesFraming, JsonArrayFraming, EventStreamFraming])
@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_come_out_again(kind, pieces):
    """What is no such stream passes, and nothing raises."""
    assert b"".join(piece.raw for piece in cut(kind(), pieces)) == b"".join(pieces)


@pytest.mark.parametrize(
    ("kind", "begin", "module"),
    [
        (SseFraming, b"data: ", "sse"),
        (JsonLinesFraming, b'{"a": "', "json_lines"),
        (JsonArrayFraming, b'[{"a": "', "json_array"),
    ],
)
def test_an_event_without_end_is_not_kept(kind, begin, module, monkeypatch):
    """Past the limit its bytes pass at once, and so does what follows."""
    monkeypatch.setattr(f"hivecost.dialects.{module}.EVENT_MAX_BYTES", 100)
    framing = kind()
    assert list(framing.feed(begin)) == []
    passed = [piece for _ in range(3) for piece in framing.feed(b"x" * 60)]
    assert [(len(piece.raw), piece.event) for piece in passed] == [(len(begin) + 120, None), (60, None)]
    assert limits.EVENT_MAX_BYTES > 2**20


def test_a_frame_that_says_an_impossible_length_passes(monkeypatch):
    """Its checksum is right, and nobody waits for gigabytes."""
    sizes = (2**31).to_bytes(4, "big") + (0).to_bytes(4, "big")
    data = sizes + zlib.crc32(sizes).to_bytes(4, "big")
    assert [(piece.raw, piece.event) for piece in EventStreamFraming().feed(data)] == [(data, None)]


def test_a_frame_whose_lengths_are_wrong_passes():
    """Their checksum says so; what follows cannot be told apart any more, and passes too."""
    frame = bytearray(event_frame("a", {"b": 1}))
    frame[8] ^= 1
    framing = EventStreamFraming()
    pieces = [*framing.feed(bytes(frame)), *framing.feed(FRAMES)]
    assert [(piece.raw, piece.event) for piece in pieces] == [(bytes(frame), None), (FRAMES, None)]


def test_headers_of_other_types_are_passed_over():
    """Only texts are read; the frame is read to its end all the same."""
    plain = encode_frame({":event-type": "a"}, b"{}")
    flag = b"\x01f\x00" + b"\x01n\x04\x00\x00\x00\x01" + b"\x01b\x06\x00\x02xy"
    size = len(plain) + len(flag)
    head_size = int.from_bytes(plain[4:8], "big") + len(flag)
    sizes = size.to_bytes(4, "big") + head_size.to_bytes(4, "big")
    frame = sizes + zlib.crc32(sizes).to_bytes(4, "big") + flag + plain[12:-4]
    frame += zlib.crc32(frame).to_bytes(4, "big")
    assert [piece.event for piece in EventStreamFraming().feed(frame)] == [Event({"a": {}}, "a")]


@pytest.mark.parametrize(
    ("kind", "first"), [(SseFraming, b""), (JsonLinesFraming, b""), (JsonArrayFraming, b""), (EventStreamFraming, b"")]
)
def test_what_is_encoded_is_read_again(kind, first):
    """Events that end a stream, whether something came before them or not."""
    events = [Event({"a": {"b": "é"}}), Event({"c": 1})]
    assert [piece.event for piece in cut(kind(), [kind().encode(events, is_first=True)]) if piece.event] == events
    begun = b'[{"z": 0}' if kind is JsonArrayFraming else first
    more = kind().encode(events, is_first=False)
    assert [piece.event for piece in cut(kind(), [begun + more]) if piece.event][-2:] == events
    if kind is JsonArrayFraming:
        assert json.loads(begun + more) == [{"z": 0}, *(event.data for event in events)]
