"""Fetching has one deadline and one limit, and stays as safe as it began."""

from __future__ import annotations

import functools
import gzip
import socket
import threading

import httpx2
import pytest

from hivecost.cli import fetching
from hivecost.cli.fetching import fetch_rates
from hivecost.errors import PriceUpdateError


@pytest.fixture
def answering(monkeypatch):
    """Let a function of the request answer, without a network; the URLs that were asked."""
    asked = []

    def answer(respond):
        def handle(request):
            asked.append(str(request.url))
            return respond(request)

        client = functools.partial(httpx2.AsyncClient, transport=httpx2.MockTransport(handle))
        monkeypatch.setattr(httpx2, "AsyncClient", client)
        return asked

    return answer


def moved(places):
    def respond(request):
        place = places.get(str(request.url))
        return httpx2.Response(302, headers={"Location": place}) if place else httpx2.Response(200, content=b"[]")

    return respond


@pytest.mark.parametrize(
    "places",
    [
        {"https://a.test/x": "http://a.test/x"},
        {"https://a.test/x": "https://b.test/", "https://b.test/": "http://c.test/"},
        {"http://a.test/x": "https://a.test/", "https://a.test/": "http://a.test/y"},
    ],
)
def test_what_was_secure_stays_so(answering, places):
    """A redirect to plain http is not followed: whoever is on the way could write the prices."""
    asked = answering(moved(places))
    start = next(iter(places))
    with pytest.raises(PriceUpdateError, match=f"{start}: leads to http:"):
        fetch_rates(start)
    assert asked == list(places)


def test_other_redirects_are_followed(answering):
    """From http to https, and from host to host; not for ever."""
    answering(moved({"http://a.test/": "https://a.test/", "https://a.test/": "https://b.test/"}))
    assert fetch_rates("http://a.test/") == b"[]"
    answering(moved({"https://a.test/": "https://a.test/"}))
    with pytest.raises(PriceUpdateError, match="redirects"):
        fetch_rates("https://a.test/")
    answering(moved({"https://a.test/": "file:///etc/passwd"}))
    with pytest.raises(PriceUpdateError, match=r"https://a\.test/: "):
        fetch_rates("https://a.test/")


@pytest.mark.parametrize("packed", [False, True])
def test_one_limit_for_all_that_comes(answering, monkeypatch, packed):
    """Also for what a small packed answer unfolds to."""
    monkeypatch.setattr(fetching, "RATES_BYTES_MAX", 10_000)
    content = bytes(10_001)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    answering(lambda _: httpx2.Response(200, headers=headers, content=gzip.compress(content) if packed else content))
    with pytest.raises(PriceUpdateError, match="sends more than 10,000 bytes"):
        fetch_rates("https://a.test/")


def test_a_file_has_the_same_limit(monkeypatch, tmp_path):
    """`/dev/zero` has no end."""
    monkeypatch.setattr(fetching, "RATES_BYTES_MAX", 10_000)
    with pytest.raises(PriceUpdateError, match="/dev/zero: has more than 10,000 bytes"):
        fetch_rates("/dev/zero")
    (tmp_path / "t.json").write_bytes(b"[]")
    assert fetch_rates(str(tmp_path / "t.json")) == b"[]"


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"])
def test_one_deadline_for_all_of_it(monkeypatch, begin):
    """A server that sends a byte now and then, in its headers or after them, is given up in time."""
    monkeypatch.setattr(fetching, "DEADLINE_S", 0.5)
    done = threading.Event()

    def drip(listener):
        connection, _ = listener.accept()
        with connection:
            try:
                connection.sendall(begin)
                while not done.wait(0.02):
                    connection.sendall(b"x")
            except OSError:  # it hung up
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=drip, args=[listener])
        server.start()
        try:
            with pytest.raises(PriceUpdateError, match=r"not there in full after 0\.5 seconds"):
                fetch_rates(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        finally:
            done.set()
            server.join()
