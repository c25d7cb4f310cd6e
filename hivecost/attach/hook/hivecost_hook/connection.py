"""The socket to hivecost. Lost, or silent past a deadline, it is a refusal."""

import itertools
import json
import os
import socket
import threading

from hivecost_hook.attempt import Attempt, lost
from hivecost_hook.attribution import attributed
from hivecost_hook.waiting import ThreadWaiter, async_waiter

#: Longer than any budget waits for money that others hold.
DEADLINE_S = float(os.environ.get("HIVECOST_DEADLINE_S") or 90)
#: A longer body that says it is no JSON stays here.
_FOREIGN_MAX_BYTES = 1024 * 1024
_FREE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))


class _Connection:
    """One connection, of which a thread reads the replies."""

    def __init__(self, descriptor):
        self._lock = threading.Lock()
        self._waiters = {}
        self.is_lost = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor)
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

    def __init__(self, line):
        self._line = line
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._connection = None

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
                self._connection = _Connection(self._line.take())
            return self._connection

    def ask(self, method, host, path, headers, body, *, steps=False):
        """Return an Attempt, a Refusal, or None for what is no paid call. With `steps` its stream can be ended."""
        if method in _FREE_METHODS:
            return None
        waiter = ThreadWaiter()
        attempt = Attempt(next(self._numbers))
        try:
            attempt.connection = self._connected()
            attempt.connection.send(
                _question(attempt.number, (method, host, path), headers, steps), _kept(body, headers), waiter
            )
            came = waiter.wait(DEADLINE_S)
        except OSError as error:
            return lost(error, headers)
        except BaseException:
            attempt.unsent()
            raise
        return attempt.decided(waiter.reply, came, headers)

    async def ask_async(self, method, host, path, headers, body, *, steps=False):
        """Do the same without blocking the event loop."""
        if method in _FREE_METHODS:
            return None
        waiter = async_waiter()
        attempt = Attempt(next(self._numbers))
        try:
            attempt.connection = self._connected()
            attempt.connection.send(
                _question(attempt.number, (method, host, path), headers, steps), _kept(body, headers), waiter
            )
            came = await waiter.wait(DEADLINE_S)
        except OSError as error:
            return lost(error, headers)
        except BaseException:
            attempt.unsent()
            raise
        return attempt.decided(waiter.reply, came, headers)


def _kept(body, headers):
    is_foreign = body is not None and "json" not in headers.get("content-type", "json").lower()
    return None if is_foreign and len(body) > _FOREIGN_MAX_BYTES else body


def _question(number, address, headers, steps):
    method, host, path = address
    fields = {
        "op": "ask",
        "id": number,
        "method": method,
        "host": host,
        "path": path,
        "headers": headers,
        "steps": steps,
    }
    fields.update(attributed())
    return fields
