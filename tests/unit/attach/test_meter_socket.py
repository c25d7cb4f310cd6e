"""Hooks and a meter's socket: what is asked, what is told, and what is not."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from hivecost.attach.meter import Attempt, Refused
from hivecost.attach.meter_socket import MeterSocket, _is_own
from hivecost.dialects import RefusalAnswer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("hook_path")]

REFUSED = Refused(kind="exhausted", message="no", answer=RefusalAnswer(402, {"x": "y"}, b"{}"), budget="team", needed=7)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FakePass:
    """Writes down what it is told."""

    body = b"changed"
    asks_stream = True
    asks_usage = True
    is_stepped = False

    def __init__(self) -> None:
        self.told: list[object] = []

    def answer(self, status, headers):
        self.told.append(("answer", status))
        return headers

    def data(self, data):
        self.told.append(data)
        return data.upper()

    def end(self):
        self.told.append("end")
        return b"REST"

    def unsent(self):
        self.told.append("unsent")

    def doubt(self, why):
        self.told.append("doubt")


class FakeMeter:
    """Decides by the path."""

    def __init__(self) -> None:
        self.asked: list[Attempt] = []
        self.passes: list[FakePass] = []
        self.scripts: list[str] = []
        self.cancelled = anyio.Event()

    async def ask(self, attempt: Attempt):
        self.asked.append(attempt)
        match attempt.path:
            case "/free":
                return None
            case "/refuse":
                return REFUSED
            case "/fault":
                raise RuntimeError("a fault of ours")
            case "/never":
                try:
                    await anyio.sleep_forever()
                finally:
                    self.cancelled.set()
        self.passes.append(FakePass())
        return self.passes[-1]

    @asynccontextmanager
    async def opened(self, script: str) -> AsyncIterator[FakeMeter]:
        self.scripts.append(script)
        yield self


@pytest.fixture
async def meter() -> FakeMeter:
    return FakeMeter()


@pytest.fixture
async def gate(meter: FakeMeter):
    from hivecost_hook.connection import Gate
    from hivecost_hook.hello import Line

    async with MeterSocket(meter.opened).serving() as path:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        line = Line(str(path))
        gate = Gate(line)
        yield gate
        line.close()
        if gate._connection is not None:
            gate._connection.lose()


def question(path: str, body: bytes | None = b"body"):
    return "POST", "api.openai.com", path, {"content-type": "application/json"}, body


STREAM = {"content-type": "text/event-stream"}


USAGE = b'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n'


async def test_an_attempt_passes_and_is_told_of(meter: FakeMeter, gate) -> None:
    """Its body is the meter's; its stream reaches the client at once, without the chunk that was asked for."""
    attempt = await gate.ask_async(*question("/pass"))
    assert attempt.body == b"changed"
    assert await attempt.begin_async(200, {**STREAM, "content-length": "9"}) == STREAM
    assert await attempt.take_async(b"data: a\n\n") == b"data: a\n\n"
    assert await attempt.take_async(b"data: b") == b""
    assert await attempt.take_async(b"\n\n" + USAGE) == b"data: b\n\n"
    assert await attempt.take_async(b"data: [DONE]") == b""
    assert await attempt.end_async() == b"data: [DONE]"
    await told(meter, "end")
    assert meter.passes[0].told == [("answer", 200), b"data: a\n\ndata: b\n\n" + USAGE + b"data: [DONE]", "end"]
    assert meter.asked[0].body == b"body"
    assert len(meter.scripts) == 1


async def test_a_stream_that_is_left_is_told_as_far_as_it_came(meter: FakeMeter, gate) -> None:
    """Then nobody knows the rest; a long one is told of on the way."""
    attempt = await gate.ask_async(*question("/pass"))
    attempt.begin(200, STREAM)
    attempt.take(b"x" * 65_536)
    await told(meter, b"x" * 65_536)
    attempt.take(b"y")
    attempt.doubt()
    attempt.end()
    await told(meter, "doubt")
    assert meter.passes[0].told == [("answer", 200), b"x" * 65_536, b"y", "doubt"]


async def test_a_compressed_stream_is_decoded_on_the_other_side(meter: FakeMeter, gate) -> None:
    """Each of its pieces is answered."""
    attempt = await gate.ask_async(*question("/pass"))
    headers = {**STREAM, "content-encoding": "gzip"}
    assert await attempt.begin_async(200, headers) == headers
    assert await attempt.take_async(b"abc") == b"ABC"
    assert await attempt.end_async() == b"REST"
    assert meter.passes[0].told == [("answer", 200), b"abc", "end"]


class SteppedPass(FakePass):
    """Pays for two pieces."""

    is_stepped = True

    async def step(self, data):
        self.told.append(data)
        return data.upper(), data == b"second"


async def test_a_stream_in_steps_is_read_as_far_as_it_is_paid(
    meter: FakeMeter, gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece is answered, and the last one ends it; where nobody answers any more, it ends in doubt."""
    monkeypatch.setitem(globals(), "FakePass", SteppedPass)
    attempt, lost = [await gate.ask_async(*question("/pass"), steps=True) for _ in range(2)]
    assert [asked.can_step for asked in meter.asked] == [True, True]
    for one in (attempt, lost):
        await one.begin_async(200, STREAM)
        assert (await one.take_async(b"first"), one.is_ended) == (b"FIRST", False)
    assert (await attempt.take_async(b"second"), attempt.is_ended) == (b"SECOND", True)
    attempt.doubt()
    assert meter.passes[0].told == [("answer", 200), b"first", b"second"]
    gate._connection.lose()
    assert (await lost.take_async(b"third"), lost.is_ended) == (b"third", True)
    await told(meter, "doubt")
    assert meter.passes[1].told == [("answer", 200), b"first", "doubt"]


async def test_threads_ask_in_the_same_way(meter: FakeMeter, gate) -> None:
    """Whole answers are told of at their end; what cannot be read is asked for without a body."""

    def agent():
        assert gate.ask(*question("/free")) is None
        assert gate.ask("GET", *question("/pass")[1:]) is None
        attempt = gate.ask(*question("/pass", None))
        attempt.begin(200, {"content-type": "application/json"})
        assert (attempt.take(b"{"), attempt.take(b"}"), attempt.end()) == (b"{", b"}", b"")

    await anyio.to_thread.run_sync(agent)
    await told(meter, "end")
    assert meter.passes[0].told == [("answer", 200), b"{}", "end"]
    assert [attempt.body for attempt in meter.asked] == [b"body", None]


async def told(meter: FakeMeter, last: object) -> None:
    with anyio.fail_after(10):
        while not meter.passes or last not in meter.passes[-1].told:
            await anyio.sleep(0.01)


async def test_refusals_and_faults_make_no_call(gate) -> None:
    """A fault of the meter is a refusal, too."""
    refused = await gate.ask_async(*question("/refuse"))
    assert (refused.status, refused.headers, refused.body) == (402, {"x": "y"}, b"{}")
    assert (refused.details["kind"], refused.details["budget"], refused.details["needed"]) == ("exhausted", "team", 7)
    fault = await gate.ask_async(*question("/fault"))
    assert (fault.status, "a fault of ours" in fault.body.decode()) == (402, True)


@pytest.mark.parametrize("name", ["ConnectError", "ProxyError", "ReadTimeout"])
async def test_what_failed_was_sent_or_not(meter: FakeMeter, gate, name: str) -> None:
    """An error of connecting, also to a proxy, gives the hold back; after any other one nobody knows."""
    attempt = await gate.ask_async(*question("/pass"))
    attempt.failed(type(name, (Exception,), {})())
    await told(meter, "doubt" if name == "ReadTimeout" else "unsent")


async def test_a_process_that_is_gone_leaves_doubt(meter: FakeMeter, gate) -> None:
    """What it asked and did not tell of; what still waits is given up."""
    await gate.ask_async(*question("/pass"))
    gate._connection.lose()
    await told(meter, "doubt")


async def test_a_gate_that_never_answers_is_a_refusal(meter: FakeMeter, gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the deadline, and what it may grant later is given back."""
    monkeypatch.setattr("hivecost_hook.connection.DEADLINE_S", 0.05)
    refused = await gate.ask_async(*question("/never"))
    assert (refused.status, "does not answer" in refused.body.decode()) == (402, True)
    with anyio.fail_after(10):
        await meter.cancelled.wait()


async def test_a_task_that_is_cancelled_asks_no_more(meter: FakeMeter, gate) -> None:
    """And waits no more."""
    with anyio.move_on_after(0.05):
        await gate.ask_async(*question("/never"))
    with anyio.fail_after(10):
        await meter.cancelled.wait()


async def test_a_socket_that_is_gone_is_a_refusal(tmp_path) -> None:
    """Of what may be a call of a model; anything else passes."""
    from hivecost_hook.connection import Gate
    from hivecost_hook.hello import Line

    gate = Gate(Line(str(tmp_path / "none")))
    refused = await gate.ask_async(*question("/pass"))
    assert (refused.status, refused.headers["x-should-retry"]) == (402, "false")
    assert "cannot be asked" in refused.body.decode()
    assert await gate.ask_async("POST", "example.org", "/", {"content-type": "text/plain"}, b"") is None


async def test_a_process_that_asks_nothing_is_seen(meter: FakeMeter, gate, caplog) -> None:
    """It has said hello, and its end is no fault."""
    from hivecost_hook.hello import Line

    Line(gate._line._path).close()
    with anyio.fail_after(10):
        while len(meter.scripts) < 2:
            await anyio.sleep(0.01)
        assert (await gate.ask_async(*question("/refuse"))).status == 402
    assert not caplog.records


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\n",
        b"{}\n",
        b'{"op": "hello", "version": 99}\n',
        b'{"op": "hello"',
        b'{"op": "x", "size": -1}\n',
        b"x" * 2_000_000,
        b'{"op": "hello", "version": 1}\n{"op": "told", "id": 5}\n{"op": "ask", "size": 1e99}\n',
    ],
)
async def test_nonsense_ends_its_connection_alone(meter: FakeMeter, gate, said: bytes) -> None:
    """Others are served on."""

    def speak():
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(10)
            stranger.connect(gate._line._path)
            try:
                stranger.sendall(said)
                stranger.shutdown(socket.SHUT_WR)
                while stranger.recv(65_536):
                    pass
            except OSError:  # it was closed already
                return

    await anyio.to_thread.run_sync(speak)
    assert (await gate.ask_async(*question("/refuse"))).status == 402


def test_another_user_is_not_served() -> None:
    """The kernel says whose the other side is."""

    class Peer:
        def __init__(self, uid: int) -> None:
            self.uid = uid

        def getsockopt(self, *_):
            return struct.pack("3i", 1, self.uid, 1)

    assert _is_own(Peer(os.getuid()))
    assert not _is_own(Peer(os.getuid() + 1))


async def test_a_client_that_is_too_old_pays_for_nothing(gate) -> None:
    """What it pays for raises; what is free, and what another client has asked for, is sent."""
    from types import SimpleNamespace

    from hivecost_hook.attribution import is_metered
    from hivecost_hook.urllib3_client import patch

    import hivecost

    class HTTPConnectionPool:
        host, port = "api.openai.com", 443

        def _make_request(self, conn, method, url):
            """As version 1 has it."""

        def urlopen(self, method, url, body=None):
            return url

    patch(SimpleNamespace(HTTPConnectionPool=HTTPConnectionPool), gate)
    pool = HTTPConnectionPool()
    with pytest.raises(hivecost.BudgetExceededError, match="urllib3 1"):
        await anyio.to_thread.run_sync(pool.urlopen, "POST", "/refuse")
    assert await anyio.to_thread.run_sync(pool.urlopen, "POST", "/free") == "/free"
    token = is_metered.set(True)
    try:
        assert await anyio.to_thread.run_sync(pool.urlopen, "POST", "/refuse") == "/refuse"
    finally:
        is_metered.reset(token)
