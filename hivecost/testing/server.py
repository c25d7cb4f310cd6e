"""The HTTP side of the emulator: reads requests, delivers replies, interrupts them as told. Knows no provider."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import msgspec

from hivecost.testing.dialect import Frames

HOST: Final = "127.0.0.1"

#: A request above this is refused unread.
BODY_MAX_BYTES: Final = 64 * 1024 * 1024

#: How long stop() waits for connections to end; they are shut before, so it takes milliseconds.
_STOP_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back, and how it is to go wrong."""

    status: int = 200
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    #: The whole answer; unused when there are `frames`.
    body: bytes = b""
    frames: Frames | None = None
    latency_s: float = 0.0
    #: Interrupts the answer after so many chunks of a stream; anything else before its first byte.
    cut_after_chunks: int | None = None
    stall_after_chunks: int | None = None
    chunk_interval_s: float = 0.0
    #: Stops a stream when its client hangs up, and is told how many chunks were sent when the stream has ended.
    on_end: Callable[[int], None] | None = None


class Request(msgspec.Struct, frozen=True):
    """What came in. `headers` finds its names in any case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: str = ""


Respond = Callable[[Request], Reply]


class LoopbackServer(ThreadingHTTPServer):
    """One thread per connection on 127.0.0.1; `stop` ends them all, whatever they are doing."""

    request_queue_size = 1024
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, respond: Respond) -> None:
        self.respond = respond
        self.stopping = threading.Event()
        self._connections: set[Any] = set()
        self._changed = threading.Condition()
        super().__init__((HOST, port), _Handler)

    def start(self) -> None:
        """Serve from a thread until stop()."""
        threading.Thread(target=self.serve_forever, args=(_POLL_S,), name="provider emulator", daemon=True).start()

    def stop(self) -> None:
        """Accept nothing more, end latencies and stalls, close every connection, wait until their threads are done."""
        self.stopping.set()
        self.shutdown()
        with self._changed:
            for connection in self._connections:
                _shut(connection)
            self._changed.wait_for(lambda: not self._connections, _STOP_TIMEOUT_S)
        self.server_close()

    def server_bind(self) -> None:
        """Bind without asking a resolver for the host's name."""
        # HTTPServer would ask the resolver for a name, which can take seconds where there is no network.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, which `stop` then knows."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end, after which `stop` does not wait for it."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._connections.discard(request)
                self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, but for a client that hangs up."""
        # A client that hangs up is no fault of ours: cancelling requests is what many tests do.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _shut(connection: Any) -> None:
    try:
        connection.shutdown(2)
    except OSError:
        return  # its client or its own thread was quicker


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: TCP_NODELAY, or small frames wait 40 ms for the client's acknowledgement.
    disable_nagle_algorithm = True
    server: LoopbackServer

    def do_POST(self) -> None:
        length = self._body_length()
        if length is None:
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(length)
        request = Request(self.command, path, self.headers, body, query)  # type: ignore[arg-type]  # Message has get()
        if len(request.body) == length:
            self._deliver(self.server.respond(request))

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815  # the names that http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: stderr belongs to the test that runs us."""

    def _body_length(self) -> int | None:
        text = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers:
            self._refuse(411, "a body needs a Content-Length")
        elif not (text.isascii() and text.isdigit()):
            self._refuse(400, f"Content-Length is no number: {text!r:.60}")
        elif int(text) > BODY_MAX_BYTES:
            self._refuse(413, f"a body may have {BODY_MAX_BYTES:,} bytes")
        else:
            return int(text)
        return None

    def _refuse(self, status: int, message: str) -> None:
        self.close_connection = True
        body = msgspec.json.encode({"error": {"message": message, "type": "invalid_request_error"}})
        self._deliver(Reply(status=status, body=body))

    def _deliver(self, reply: Reply) -> None:
        self._sent_chunks = 0
        try:
            self._send(reply)
        finally:
            if reply.on_end is not None:
                reply.on_end(self._sent_chunks)

    def _send(self, reply: Reply) -> None:
        if self.server.stopping.wait(reply.latency_s) or self._is_interrupted(reply):
            self.close_connection = True
        elif reply.frames is None:
            self._send_head(reply, {"content-type": "application/json", "content-length": str(len(reply.body))})
            self.wfile.write(reply.body)
        else:
            self._send_stream(reply, reply.frames)

    def _send_stream(self, reply: Reply, frames: Frames) -> None:
        self._send_head(reply, {"content-type": frames.content_type, "transfer-encoding": "chunked"})
        if frames.opening:  # an empty chunk would be the end
            self._send_chunk(b"".join(frames.opening))
        for frame in [*frames.chunks, b"".join(frames.closing)]:
            if self._is_paced(reply) or self._is_interrupted(reply):
                self.close_connection = True
                return
            self._send_chunk(frame)
            self._sent_chunks += 1
        self._send_chunk(b"")

    def _is_paced(self, reply: Reply) -> bool:
        """Wait as the reply says; True when the emulator stops meanwhile."""
        return reply.chunk_interval_s > 0 and self.server.stopping.wait(reply.chunk_interval_s)

    def _is_interrupted(self, reply: Reply) -> bool:
        def is_due(after_chunks: int | None) -> bool:
            return after_chunks is not None and (reply.frames is None or after_chunks == self._sent_chunks)

        if is_due(reply.stall_after_chunks):
            while not (self.server.stopping.wait(_POLL_S) or self._is_left(reply)):
                pass
            return True
        return is_due(reply.cut_after_chunks) or self._is_left(reply)

    def _is_left(self, reply: Reply) -> bool:
        """Tell whether the reply is to stop when its client hangs up, and it has."""
        if reply.on_end is None:
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def _send_head(self, reply: Reply, more: dict[str, str]) -> None:
        self.send_response(reply.status)
        for name, value in (reply.headers | more).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
