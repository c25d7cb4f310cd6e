"""Each attempt of urllib3 2. What other clients send through it, as requests and botocore do, is metered already."""

import functools
import io
from urllib.parse import urlsplit

from hivecost_hook.attempt import Refusal
from hivecost_hook.attribution import is_metered
from hivecost_hook.described import address, answer_headers, headers_of, plain_body
from hivecost_hook.refusals import also_ours, base

_OLD = (
    "a call of a model by urllib3 %s cannot be metered, so a budget refuses it: urllib3 2 is metered, httpx, requests"
)


def patch(module, gate):
    """Patch `urllib3.connectionpool`."""
    pool = module.HTTPConnectionPool
    if not hasattr(module, "BaseHTTPResponse"):
        _patch_old(pool, gate)
        return
    make_request = pool._make_request

    @functools.wraps(make_request)
    def metered_make_request(self, conn, method, url, body=None, headers=None, **options):  # noqa: PLR0917  # as its own
        send = functools.partial(make_request, self, conn, method, url)
        if is_metered.get():
            return send(body=body, headers=headers, **options)
        attempt = gate.ask(*_described(self, method, url, body, headers))
        if attempt is None:
            return send(body=body, headers=headers, **options)
        if isinstance(attempt, Refusal):
            return _refused(url, attempt)
        if attempt.body is not None:
            body, headers = attempt.body, _without_length(headers)
        token = is_metered.set(True)
        try:
            response = send(body=body, headers=headers, **options)
        except BaseException as error:
            attempt.failed(error)
            raise
        finally:
            is_metered.reset(token)
        tell(response, attempt)
        return response

    pool._make_request = metered_make_request


def _described(pool, method, url, body, headers):
    host = "%s:%d" % (pool.host, pool.port) if pool.port else pool.host
    described = headers_of((headers or {}).items())
    return method.upper(), host, address(urlsplit(url))[1], described, plain_body(body)


def _without_length(headers):
    left = ("content-length", "content-encoding", "transfer-encoding")
    return {name: value for name, value in (headers or {}).items() if name.lower() not in left}


def tell(response, attempt):
    """Have an answer of urllib3's told of as it is read."""
    told = _Told(response, attempt)
    if response._body is not None:
        response._body = told.whole(response._body)
        return
    response.read, response.read_chunked, response.close = told.read, told.read_chunked, told.close
    if hasattr(response, "read1"):
        response.read1 = told.read1


class _Told:
    """Reads in place of an answer's own methods."""

    def __init__(self, response, attempt):
        self._attempt = attempt
        self._response = response
        self._own_read = response.read
        self._own_read1 = getattr(response, "read1", None)
        self._own_read_chunked = response.read_chunked
        self._own_close = response.close
        self._has_begun = False

    def whole(self, body):
        """An answer that was read before it was returned, and decoded by its own wish."""
        self._begin(self._decodes(None))
        return self._attempt.take(body) + self._attempt.end()

    def _begin(self, decodes):
        """Bytes are told of as the reader gets them, decoded or not."""
        if self._has_begun:
            return
        self._has_begun = True
        headers = answer_headers(self._response.headers.items())
        if decodes:
            headers.pop("content-encoding", None)
        self._attempt.begin(self._response.status, headers, is_raw="content-encoding" in headers)

    def _decodes(self, decode_content):
        return self._response.decode_content if decode_content is None else decode_content

    def read(self, amt=None, decode_content=None, cache_content=False):
        """As the answer's own."""
        self._begin(self._decodes(decode_content))
        takes_all = amt is None or amt < 0
        data = self._passed(functools.partial(self._own_read, amt, decode_content, cache_content), takes_all, amt == 0)
        if takes_all and cache_content and self._response._body is not None:
            self._response._body = data
        return data

    def read1(self, amt=None, decode_content=None):
        """As the answer's own."""
        self._begin(self._decodes(decode_content))
        return self._passed(functools.partial(self._own_read1, amt, decode_content), False, amt == 0)

    def _passed(self, read, takes_all, takes_none):
        """Return the next bytes for the reader: none only at the end."""
        while True:
            data = self._read(read) or b""
            passed = self._attempt.take(data) if data else b""
            if takes_none:
                return passed
            if takes_all or not data or self._is_read():
                return passed + self._attempt.end()
            if passed:
                return passed

    def _is_read(self):
        return self._response.isclosed() and "content-encoding" not in self._response.headers

    def _read(self, read):
        try:
            return read()
        except BaseException as error:
            self._attempt.failed(error)
            raise

    def read_chunked(self, amt=None, decode_content=None):
        """As the answer's own, which decodes only where it is told to."""
        self._begin(decode_content)
        chunks = self._own_read_chunked(amt, decode_content)
        try:
            for data in chunks:
                passed = self._attempt.take(data)
                if passed:
                    yield passed
        except Exception as error:
            self._attempt.failed(error)
            raise
        rest = self._attempt.end()
        if rest:
            yield rest

    def close(self):
        """As the answer's own."""
        self._attempt.doubt()
        self._own_close()


def _refused(url, refusal):
    from urllib3.response import HTTPResponse

    response = HTTPResponse(
        io.BytesIO(refusal.body),
        headers=refusal.headers,
        status=refusal.status,
        reason="Payment Required",
        preload_content=False,
        request_url=url,
    )
    response.hivecost_refusal = refusal.details
    return response


def _patch_old(pool, gate):
    """Of version 1 it is not known what comes back: what pays there is refused."""
    urlopen = pool.urlopen

    @functools.wraps(urlopen)
    def asked_urlopen(self, method, url, *arguments, **options):
        if not is_metered.get():
            decided = gate.ask(*_described(self, method, url, None, {"content-type": "application/json"})[:-1], None)
            if decided is not None:
                if not isinstance(decided, Refusal):
                    decided.unsent()
                details = getattr(decided, "details", {"kind": "misconfigured"})
                raise also_ours(base()(_OLD % "1"), details)
        return urlopen(self, method, url, *arguments, **options)

    pool.urlopen = asked_urlopen
