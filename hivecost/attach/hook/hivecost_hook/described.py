"""Requests as the other side is asked about them."""

#: Secret, and needed by nobody.
_SECRET = frozenset(
    (
        *("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization"),
        *("x-amz-security-token", "x-amz-date"),
    )
)
#: Of the connection, and of the SDK's own statistics.
_NOISE = frozenset(("accept", "accept-encoding", "connection", "content-length", "host"))
_STATISTICS = "x-stainless-"


def headers_of(pairs):
    """Return the headers in lower case, without what is secret or says nothing."""
    headers = answer_headers(pairs)
    return {name: value for name, value in headers.items() if not _is_left_out(name)}


def _is_left_out(name):
    return name in _SECRET or name in _NOISE or name.startswith(_STATISTICS)


def answer_headers(pairs):
    """Return all headers in lower case."""
    return {_text(name).lower(): _text(value) for name, value in pairs}


def _text(value):
    return value.decode("latin-1") if isinstance(value, (bytes, bytearray)) else str(value)


def plain_body(body):
    """Return a body as bytes; None: it is a stream, which cannot be read before it is sent."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, (bytes, bytearray, memoryview)) else None


def address(url):
    """Return host and path of what urlsplit gives: the host with its port, the path with its query."""
    return url.netloc.rpartition("@")[2], (url.path or "/") + ("?" + url.query if url.query else "")
