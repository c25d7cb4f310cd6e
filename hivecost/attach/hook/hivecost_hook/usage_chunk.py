"""Takes the chunk out of a chat's stream that is there because hivecost asked for usage."""

import json
import re

#: An event ends with an empty line. Whether a CR is a whole line end only the next byte says.
_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?=[^\n]))")
#: An end may have begun in so many of the bytes that were looked at.
_OVERLAP = 3
_LINE_END = re.compile(rb"\r\n|\n|\r")
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
#: Nothing is looked for in a longer event, nor after it.
_EVENT_MAX_BYTES = 16 * 1024 * 1024


class UsageChunkFilter:
    """One stream of server-sent events, of which whole events pass as they came."""

    def __init__(self):
        self._pending = b""
        self._passes_all = False

    def feed(self, data):
        """Take the next bytes, and return those for the client."""
        if self._passes_all:
            return data
        pending = self._pending + data
        end = len(pending) if pending.endswith((b"\n\n", b"\r\n\r\n")) else _last_end(pending, len(self._pending))
        if len(pending) - end > _EVENT_MAX_BYTES:
            self._passes_all, end = True, len(pending)
        self._pending = pending[end:]
        return _without_usage_chunk(pending[:end])

    def close(self):
        """Return what is left at the end: many servers leave out the last empty line."""
        rest, self._pending = self._pending, b""
        return _without_usage_chunk(rest)


def _last_end(data, known):
    """Where the last whole event ends; in the `known` bytes at the beginning none does."""
    return max((found.end() for found in _END.finditer(data, max(0, known - _OVERLAP))), default=0)


def _without_usage_chunk(data):
    if _USAGE.search(data) is None:
        return data
    ends = [found.end() for found in _END.finditer(data)]
    events = [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)])]
    return b"".join(event for event in events if not _is_usage_chunk(event))


def _is_usage_chunk(event):
    """Whether it has usage, and no choices."""
    fields = (line.partition(b":") for line in _LINE_END.split(event))
    try:
        chunk = json.loads(b"\n".join(value for name, _, value in fields if name == b"data"))
        return chunk["choices"] == [] and isinstance(chunk["usage"], dict) and bool(chunk["usage"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
