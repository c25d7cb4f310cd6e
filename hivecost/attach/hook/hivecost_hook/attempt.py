"""One attempt as this side sees it: what was decided of it, and what is told of its answer."""

import json

from hivecost_hook.hello import SEND_S
from hivecost_hook.usage_chunk import UsageChunkFilter
from hivecost_hook.waiting import ThreadWaiter, async_waiter

#: How long it may take to pay for the next step of a stream: longer than any budget waits for money that others hold.
STEP_S = 90
#: Raised before a single byte of a request went out.
NOT_SENT = {
    *("ConnectError", "ConnectTimeout", "ConnectTimeoutError", "ConnectionRefusedError", "NewConnectionError"),
    *("ClientConnectorError", "PoolTimeout", "gaierror", "UnsupportedProtocol", "InvalidURL", "MissingSchema"),
    *("ProxyError", "ClientHttpProxyError"),
}
_EVENTS = "text/event-stream"
#: Answers that come event by event, whatever was asked for.
STREAMS = (_EVENTS, "application/x-ndjson", "application/vnd.amazon.eventstream")
#: So many bytes of an answer are told at once. Were all of a stream told at its end, the next call would wait for it
#: to be read.
BATCH_BYTES = 8 * 1024


class Refusal:
    """The attempt must not be sent: what its client gets instead."""

    def __init__(self, reply):
        self.details = reply
        self.status = reply["status"]
        self.headers = reply["headers"]
        self.body = reply["body"]


def lost(why, headers):
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


class Attempt:
    """An attempt that may be sent. Nothing here raises: what cannot be told stays in doubt on the other side.

    Bytes of an answer reach the client at once, and the other side later, in batches: it waits for no reply. It does
    where the other side decodes a stream that came compressed, and where it pays for one in steps.
    """

    def __init__(self, number):
        self.number = number
        self.connection = None
        #: What to send instead of the body; None: as it is.
        self.body = None
        self.is_stream = False
        #: The budget has ended the stream: nothing more of it is read.
        self.is_ended = False
        #: Its hold grows with what is read.
        self._is_stepped = False
        self._asks_usage = False
        self._filter = None
        self._is_over = False
        #: What the client gets is made on the other side.
        self._is_exchanged = False
        #: How the answer began, while that is untold.
        self._beginning = {}
        self._untold = []
        self._untold_bytes = 0

    def decided(self, reply, came, headers):
        """Return itself, or what was decided instead."""
        if not came:
            self.unsent()
            return lost("it does not answer", headers)
        if reply is None:
            return lost("the connection was closed", headers)
        if reply["op"] == "pass":
            self.body = reply["body"]
            self.is_stream = reply["stream"]
            self._asks_usage = reply["asks_usage"]
            self._is_stepped = reply["steps"]
            return self
        if reply["op"] == "refuse":
            return Refusal(reply)
        return None if reply["op"] == "free" else lost(reply.get("why", "a fault"), headers)

    def _send(self, body=None, waiter=None, **fields):
        """Return whether it was sent."""
        try:
            if self.connection is not None:
                self.connection.send(dict(fields, id=self.number), body, waiter)
        except OSError:
            return False
        return True

    # -- the ends of an attempt --------------------------------------------------------------------------------

    def unsent(self):
        """Nothing was sent."""
        if not self._is_over:
            self._is_over = True
            if self.connection is not None:
                self.connection.forget(self.number)
            self._send(op="unsent")

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
        if not self._is_over:
            self._is_over = True
            self._tell()
            self._send(op="doubt", why=why)

    # -- the answer --------------------------------------------------------------------------------------------

    def begin(self, status, headers, is_raw=False):
        """An answer has begun: return its headers for the client, in lower case.

        With `is_raw` the client reads what came compressed without decoding it: nothing of that can be taken out.
        """
        if self._begin(status, headers, is_raw):
            reply = self._exchange(None, op="answer", status=status, headers=headers)
            return headers if reply is None else reply["headers"]
        return _without_length(headers) if self._filter else headers

    async def begin_async(self, status, headers):
        """Do the same without blocking."""
        if self._begin(status, headers, False):
            reply = await self._exchange_async(None, op="answer", status=status, headers=headers)
            return headers if reply is None else reply["headers"]
        return _without_length(headers) if self._filter else headers

    def _begin(self, status, headers, is_raw):
        """Return whether the other side makes what the client gets."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self.is_stream = status < 300 and kind != "application/json" and (self.is_stream or kind in STREAMS)
        if self.is_stream and not is_raw:
            is_plain = headers.get("content-encoding", "identity").strip().lower() in ("", "identity")
            is_changed = self._asks_usage and kind != _EVENTS
            self._is_exchanged = self._is_stepped or is_changed or not is_plain
            self._filter = UsageChunkFilter() if self._asks_usage and not self._is_exchanged else None
        if not self._is_exchanged:
            self._beginning = {"status": status, "headers": headers}
        return self._is_exchanged

    def take(self, data):
        """Bytes of the answer have come: return those for the client."""
        if not self._is_exchanged:
            return self._note(data)
        return self._answered(self._exchange(data, op="data"), data)

    async def take_async(self, data):
        """Do the same without blocking."""
        if not self._is_exchanged:
            return self._note(data)
        return self._answered(await self._exchange_async(data, op="data"), data)

    def _answered(self, reply, data):
        """Return the bytes for the client, and note whether more may be read: not where nobody can be asked."""
        self.is_ended = self._is_stepped and (reply is None or reply["ended"])
        self._is_over = self._is_over or (self.is_ended and reply is not None)
        return data if reply is None else reply["body"]

    def end(self):
        """The answer has ended: return what is left for the client."""
        if not self._ends():
            return self._rest()
        reply = self._exchange(b"", op="end")
        return b"" if reply is None else reply["body"]

    async def end_async(self):
        """Do the same without blocking."""
        if not self._ends():
            return self._rest()
        reply = await self._exchange_async(b"", op="end")
        return b"" if reply is None else reply["body"]

    def _ends(self):
        """Note the end, and return whether the other side knows what is left for the client."""
        if self._is_over:
            return False
        self._is_over = True
        if not self._is_exchanged:
            self._tell(last=True)
        return self._is_exchanged

    def _rest(self):
        return b"" if self._filter is None else self._filter.close()

    def _note(self, data):
        self._untold.append(data)
        self._untold_bytes += len(data)
        if self._untold_bytes >= BATCH_BYTES:
            self._tell()
        return data if self._filter is None else self._filter.feed(data)

    def _tell(self, **more):
        """Tell what has come and is untold, if any."""
        fields, self._beginning = dict(self._beginning, **more), {}
        untold, self._untold, self._untold_bytes = b"".join(self._untold), [], 0
        if fields or untold:
            self._send(untold, op="told", **fields)

    @property
    def _wait_s(self):
        return STEP_S if self._is_stepped else SEND_S

    def _exchange(self, body, **fields):
        """Return the reply; None where none came."""
        waiter = ThreadWaiter()
        return waiter.reply if self._send(body, waiter, **fields) and waiter.wait(self._wait_s) else None

    async def _exchange_async(self, body, **fields):
        waiter = async_waiter()
        return waiter.reply if self._send(body, waiter, **fields) and await waiter.wait(self._wait_s) else None


def _without_length(headers):
    return {name: value for name, value in headers.items() if name != "content-length"}
