"""The socket to hivecost, and one attempt as this side sees it. Lost, or silent past a deadline, it is a refusal."""

import itertools
import json
import os
import re
import socket
import struct
import sys
import threading

from hivecost_hook.attribution import current_node, where
from hivecost_hook.waiting import ThreadWaiter, async_waiter

VERSION = 1
#: Longer than any budget waits for money that others hold.
DEADLINE_S = float(os.environ.get("HIVECOST_DEADLINE_S") or 90)
#: How long the other side may take to read.
SEND_S = 10
#: Raised before a single byte of a request went out.
NOT_SENT = {
    *("ConnectError", "ConnectTimeout", "ConnectTimeoutError", "ConnectionRefusedError", "NewConnectionError"),
    *("ClientConnectorError", "PoolTimeout", "gaierror", "UnsupportedProtocol", "InvalidURL", "MissingSchema"),
}
#: Answers that come event by event, whatever was asked for.
STREAMS = ("text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream")
#: So many bytes of a stream are told at once, where nobody waits for them.
BATCH_BYTES = 16 * 1024
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_FREE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))


class _Connection:
    """One connection, of which a thread reads the replies."""

    def __init__(self, path):
        self._lock = threading.Lock()
        self._waiters = {}
        self.is_lost = False
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_S, 0))
            self._socket.connect(path)
            self.send({"op": "hello", "version": VERSION, "pid": os.getpid(), "script": _script()})
        except OSError:
            self._socket.close()
            raise
        threading.Thread(target=self._read, name="hivecost hook", daemon=True).start()

    def send(self, fields, body=None, waiter=None):
        """Send a message; its reply goes to the waiter. Raise OSError."""
        if waiter is not None:
            self._waiters[fields["id"]] = waiter
        if body is not None:
            fields["size"] = len(body)
        data = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
        try:
            with self._lock:
                if self.is_lost:
                    raise OSError("the connection to hivecost is lost")
                self._socket.sendall(data + body if body else data)
        except BaseException:  # what was sent in part makes the rest unreadable
            self.lose()
            raise

    def forget(self, number):
        """Nobody waits for this reply any more."""
        self._waiters.pop(number, None)

    def _read(self):
        try:
            with self._socket.makefile("rb") as replies:
                self._deliver(replies)
        except (OSError, ValueError):
            pass
        self.lose()
        self._socket.close()

    def _deliver(self, replies):
        while True:
            line = replies.readline()
            if not line.endswith(b"\n"):
                return
            reply = json.loads(line)
            size = reply.get("size")
            reply["body"] = replies.read(size) if size is not None else None
            waiter = self._waiters.pop(reply.get("id"), None)
            if waiter is not None:
                waiter.deliver(reply)

    def lose(self):
        """Tell all who wait that nothing comes any more."""
        self.is_lost = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        for number in list(self._waiters):
            waiter = self._waiters.pop(number, None)
            if waiter is not None:
                waiter.deliver(None)

    def abandon(self):
        """In a forked child: the connection is its parent's, and must not be kept open here."""
        self.is_lost = True
        number = self._socket.detach()
        if number >= 0:
            os.close(number)


class Gate:
    """Asks before attempts, over one connection for each process."""

    def __init__(self, path):
        self._path = path
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._connection = None
        try:
            self._connected()
        except OSError:
            pass  # said when something is asked

    def forked(self):
        """In a forked child: ask over a connection of its own."""
        connection, self._connection = self._connection, None
        self._lock = threading.Lock()
        if connection is not None:
            connection.abandon()

    def _connected(self):
        with self._lock:
            if self._connection is None or self._connection.is_lost:
                self._connection = None
                self._connection = _Connection(self._path)
            return self._connection

    def ask(self, method, host, path, headers, body):
        """Return an Attempt, a Refusal, or None for what is no paid call."""
        if method in _FREE_METHODS:
            return None
        waiter = ThreadWaiter()
        attempt = Attempt(next(self._numbers))
        try:
            attempt.connection = self._connected()
            attempt.connection.send(_question(attempt.number, method, host, path, headers), body, waiter)
            came = waiter.wait(DEADLINE_S)
        except OSError as error:
            return _lost(error, headers)
        except BaseException:
            attempt.unsent()
            raise
        return attempt.decided(waiter.reply, came, headers)

    async def ask_async(self, method, host, path, headers, body):
        """Do the same without blocking the event loop."""
        if method in _FREE_METHODS:
            return None
        waiter = async_waiter()
        attempt = Attempt(next(self._numbers))
        try:
            attempt.connection = self._connected()
            attempt.connection.send(_question(attempt.number, method, host, path, headers), body, waiter)
            came = await waiter.wait(DEADLINE_S)
        except OSError as error:
            return _lost(error, headers)
        except BaseException:
            attempt.unsent()
            raise
        return attempt.decided(waiter.reply, came, headers)


class Refusal:
    """The attempt must not be sent: what its client gets instead."""

    def __init__(self, reply):
        self.details = reply
        self.status = reply["status"]
        self.headers = reply["headers"]
        self.body = reply["body"]


class Attempt:
    """An attempt that may be sent. Nothing here raises: what cannot be told stays in doubt on the other side."""

    def __init__(self, number):
        self.number = number
        self.connection = None
        #: What to send instead of the body; None: as it is.
        self.body = None
        self.is_stream = False
        self._is_verbatim = True
        self._is_over = False
        self._status = 200
        self._headers = {}
        self._whole = []
        #: Bytes that the other side will be told with what comes next.
        self._untold = []
        self._untold_bytes = 0
        #: It comes as plain server-sent events, of which the last one is whole.
        self._is_events = False
        self._is_whole = True

    def decided(self, reply, came, headers):
        """Return itself, or what was decided instead."""
        if not came:
            self.unsent()
            return _lost("it does not answer", headers)
        if reply is None:
            return _lost("the connection was closed", headers)
        if reply["op"] == "pass":
            self.body = reply["body"]
            self.is_stream = reply["stream"]
            return self
        if reply["op"] == "refuse":
            return Refusal(reply)
        return None if reply["op"] == "free" else _lost(reply.get("why", "a fault"), headers)

    def _tell(self, body=None, waiter=None, **fields):
        """Return whether it was sent, after what came before."""
        try:
            self._flush()
            if self.connection is not None:
                self.connection.send(dict(fields, id=self.number), body, waiter)
        except OSError:
            return False
        return True

    def _flush(self):
        untold, self._untold = self._untold, []
        if untold and self.connection is not None:
            self._untold_bytes = 0
            self.connection.send({"op": "pass", "id": self.number}, b"".join(untold))

    def unsent(self):
        """Nothing was sent."""
        if not self._is_over:
            self._is_over = True
            if self.connection is not None:
                self.connection.forget(self.number)
            self._tell(op="unsent")

    def failed(self, error):
        """It could not be sent, or nobody knows."""
        cause, names = error, set()
        while cause is not None and len(names) < 100:
            names.update(kind.__name__ for kind in type(cause).__mro__)
            cause = cause.__cause__
        if names & NOT_SENT:
            self.unsent()
        else:
            self.doubt(type(error).__name__)

    def doubt(self, why="closed"):
        """Nobody knows what was billed but for what came."""
        if self._is_over:
            return
        self._is_over = True
        if not self.is_stream and self._whole:
            self._tell(op="answer", status=self._status, headers=self._headers)
        self._tell(op="doubt", why=why)

    # -- the answer --------------------------------------------------------------------------------------------

    def _begin(self, status, headers, waiter):
        """Return whether a reply comes: only for streams it matters what the other side makes of them."""
        self._status, self._headers = status, headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self.is_stream = status < 300 and kind != "application/json" and (self.is_stream or kind in STREAMS)
        return self.is_stream and self._tell(op="answer", status=status, headers=headers, waiter=waiter)

    def _began(self, reply):
        """Return the headers for the client."""
        if reply is None:
            return self._headers
        self._is_verbatim = reply["verbatim"]
        self._is_events = self._headers.get("content-encoding", "identity").strip().lower() in ("", "identity")
        self._is_events = self._is_events and self._headers.get("content-type", "").lower().startswith(STREAMS[0])
        return reply["headers"]

    def begin(self, status, headers):
        """An answer has begun: return its headers for the client, in lower case."""
        waiter = ThreadWaiter()
        return self._began(waiter.reply if self._begin(status, headers, waiter) and waiter.wait(SEND_S) else None)

    async def begin_async(self, status, headers):
        """Do the same without blocking."""
        waiter = async_waiter()
        came = self._begin(status, headers, waiter) and await waiter.wait(SEND_S)
        return self._began(waiter.reply if came else None)

    def _passes(self, op, data):
        """Note bytes of which nothing changes, and return whether they were such."""
        if not self.is_stream:
            if data:
                self._whole.append(data)
            if op == "end":
                body, self._whole = b"".join(self._whole), []
                self._tell(body, op="whole", status=self._status, headers=self._headers)
            return True
        if op == "end" or not (self._is_verbatim or self._is_plain(data)):
            return op == "end" and self._is_verbatim and self._tell(op="end")
        self._untold.append(data)
        self._untold_bytes += len(data)
        if self._untold_bytes >= BATCH_BYTES:
            try:
                self._flush()
            except OSError:  # it stays in doubt on the other side
                self._untold_bytes = 0
        return True

    def _is_plain(self, data):
        """Whether they are whole events without usage: those pass through the other side unchanged."""
        was_whole, self._is_whole = self._is_whole, self._is_events and data.endswith((b"\n\n", b"\r\n\r\n"))
        return was_whole and self._is_whole and _USAGE.search(data) is None

    def _exchange(self, op, data, waiter):
        """Return whether a reply comes."""
        if op == "end":
            self._is_over = True
        return self._tell(data, waiter, op=op)

    def take(self, data):
        """Bytes of the answer have come: return those for the client."""
        return self._pass_on("data", data)

    def end(self):
        """The answer has ended: return what is left for the client."""
        return b"" if self._is_over else self._pass_on("end", b"")

    def _pass_on(self, op, data):
        if self._passes(op, data):
            self._is_over = op == "end"
            return data
        waiter = ThreadWaiter()
        came = self._exchange(op, data, waiter) and waiter.wait(SEND_S)
        return waiter.reply["body"] if came and waiter.reply is not None else data

    async def take_async(self, data):
        """Do as `take` without blocking."""
        return await self._pass_on_async("data", data)

    async def end_async(self):
        """Do as `end` without blocking."""
        return b"" if self._is_over else await self._pass_on_async("end", b"")

    async def _pass_on_async(self, op, data):
        if self._passes(op, data):
            self._is_over = op == "end"
            return data
        waiter = async_waiter()
        came = self._exchange(op, data, waiter) and await waiter.wait(SEND_S)
        return waiter.reply["body"] if came and waiter.reply is not None else data


def _question(number, method, host, path, headers):
    return {
        "op": "ask",
        "id": number,
        "method": method,
        "host": host,
        "path": path,
        "headers": headers,
        "node": current_node(),
        "where": where(),
    }


def _lost(why, headers):
    """Refuse what may be a call of a model: nobody can be asked. Anything else passes."""
    if "json" not in headers.get("content-type", "application/json").lower():
        return None
    message = "hivecost cannot be asked, so the call is not made: %s" % (why,)
    error = {"message": message, "type": "insufficient_quota", "param": None, "code": "budget_misconfigured"}
    body = json.dumps({"type": "error", "error": error}).encode()
    answer_headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-should-retry": "false",
        "x-hivecost-refusal": "misconfigured",
    }
    reply = {"status": 402, "headers": answer_headers, "body": body, "kind": "misconfigured", "message": message}
    return Refusal(reply)


def _script():
    """The name of the program, never its arguments."""
    arguments = getattr(sys, "orig_argv", None) or getattr(sys, "argv", None) or [""]
    if "-m" in arguments[1:-1]:
        return arguments[arguments.index("-m") + 1]
    named = [argument for argument in arguments[1:] if argument.endswith(".py")]
    return os.path.basename(named[0] if named else arguments[0]) or "python"
