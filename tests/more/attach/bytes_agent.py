"""Fetches answers of many forms by each client, and prints what it got. It knows nothing of hivecost."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import http.server
import json
import sys
import threading
import zlib

CHAT = {"model": "gpt-4o", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
TEXT = [{"id": "1", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": f"wörd {n}"}}]} for n in range(20)]
STOP = {"id": "1", "model": "gpt-4o", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
WHOLE = {"id": "1", "model": "gpt-4o", "choices": [{"index": 0, "message": {"content": "x" * 5_000}}], "usage": USAGE}


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        size = int(self.headers["content-length"])
        asked = json.loads(self.rfile.read(size))
        form = self.path.rpartition("form=")[2]
        usage = [{**STOP, "choices": [], "usage": USAGE}] * bool(asked.get("stream_options"))
        end = b"\r\n" if form == "crlf" else b"\n"
        events = [b"data: " + json.dumps(one).encode() + end + end for one in (*TEXT, STOP, *usage)]
        events += [b"data: [DONE]" if form == "no_last_line" else b"data: [DONE]" + end + end]
        body = b"".join(events) if asked.get("stream") else json.dumps(WHOLE).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if asked.get("stream") else "application/json")
        if form == "gzip":
            body = gzip.compress(body, mtime=0)
            self.send_header("content-encoding", "gzip")
        if form == "deflate":
            body = zlib.compress(body)
            self.send_header("content-encoding", "deflate")
        if form == "length":
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        step = 1 if form == "bytes" else 97
        for piece in (body[at : at + step] for at in range(0, len(body), step)):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


def httpx(url, body):
    import httpx

    with httpx.stream("POST", url, json=body) as response:
        return b"".join(response.iter_bytes())


def httpx2(url, body):
    import httpx2

    return httpx2.post(url, json=body).content


def requests(url, body):
    import requests

    with requests.post(url, json=body, stream=True) as response:
        return b"".join(response.iter_content(50))


def requests_whole(url, body):
    import requests

    return requests.post(url, json=body).content


def urllib3(url, body):
    import urllib3

    return urllib3.request("POST", url, json=body).data


def urllib3_stream(url, body):
    import urllib3

    return b"".join(urllib3.request("POST", url, json=body, preload_content=False).stream(64))


def urllib3_read(url, body):
    import urllib3

    response, pieces = urllib3.request("POST", url, json=body, preload_content=False), []
    while piece := response.read(33):
        pieces.append(piece)
    return b"".join(pieces)


async def httpx_async(url, body):
    import httpx

    async with httpx.AsyncClient() as client:
        return (await client.post(url, json=body)).content


async def aiohttp(url, body):
    import aiohttp

    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        return await response.read()


async def aiohttp_lines(url, body):
    import aiohttp

    async with aiohttp.ClientSession() as session, session.post(url, data=json.dumps(body), headers=JSON) as response:
        return b"".join([line async for line in response.content])


async def aiohttp_chunks(url, body):
    import aiohttp

    async with aiohttp.ClientSession(headers=JSON) as session, session.post(url, data=json.dumps(body)) as response:
        return b"".join([chunk async for chunk, _ in response.content.iter_chunks()])


JSON = {"Content-Type": "application/json"}
SYNC = [httpx, httpx2, requests, requests_whole, urllib3, urllib3_stream, urllib3_read]
ASYNC = [httpx_async, aiohttp, aiohttp_lines, aiohttp_chunks]
FORMS = ["plain", "length", "gzip", "deflate", "crlf", "no_last_line", "bytes"]


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for form in FORMS:
        url = f"http://127.0.0.1:{server.server_port}/v1/chat/completions?form={form}"
        for stream in (False, True):
            body = {**CHAT, "stream": True} if stream else CHAT
            for client in SYNC:
                say(client, form, stream, client(url, body))
            for client in ASYNC:
                say(client, form, stream, asyncio.run(client(url, body)))


def say(client, form, stream, data):
    print(client.__name__, form, stream, len(data), hashlib.sha256(data).hexdigest()[:12])


if __name__ == "__main__":
    sys.exit(main())
