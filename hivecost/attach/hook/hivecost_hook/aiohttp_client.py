"""`ClientSession._request` of aiohttp. What httpx sends through it, as in litellm, is metered already."""

import functools
import json as json_module
from types import SimpleNamespace

from hivecost_hook.attempt import Refusal
from hivecost_hook.attribution import is_metered
from hivecost_hook.described import answer_headers, headers_of, plain_body

_JSON = "application/json"
#: Bodies that are being told of, by the id of their reader: it has no place for more of its own.
_told = {}


def patch(module, gate):
    """Patch `aiohttp.client`."""
    session = module.ClientSession
    request = session._request
    reader = _told_reader()

    @functools.wraps(request)
    async def metered_request(self, method, str_or_url, **options):
        if is_metered.get():
            return await request(self, method, str_or_url, **options)
        try:
            self._build_url(str_or_url)
        except (ValueError, TypeError):
            return await request(self, method, str_or_url, **options)  # it raises in its own words
        attempt = await gate.ask_async(*_described(self, method, str_or_url, options))
        if attempt is None:
            return await request(self, method, str_or_url, **options)
        if isinstance(attempt, Refusal):
            response = _refused(module, self, method, str_or_url, attempt)
            await _raise_for_status(self, response, options.get("raise_for_status"))
            return response
        token = is_metered.set(True)
        try:
            response = await request(self, method, str_or_url, **_changed(self, options, attempt.body))
        except BaseException as error:
            attempt.failed(error)
            raise
        finally:
            is_metered.reset(token)
        headers = answer_headers(response.headers.items())
        if options.get("auto_decompress", getattr(self, "_auto_decompress", True)) is not False:
            headers.pop("content-encoding", None)
        await attempt.begin_async(response.status, headers)
        _tell(response.content, attempt, reader)
        return response

    session._request = metered_request


def _described(session, method, str_or_url, options):
    url = session._build_url(str_or_url)
    if options.get("params"):
        url = url.update_query(options["params"])
    host = url.host or ""
    if url.explicit_port is not None:
        host = "%s:%d" % (host, url.explicit_port)
    headers = headers_of(session._prepare_headers(options.get("headers")).items())
    if options.get("json") is not None:
        headers.setdefault("content-type", _JSON)
    return method.upper(), host, url.raw_path_qs, headers, _body(session, options)


def _body(session, options):
    value = options.get("json")
    if value is None:
        return plain_body(options.get("data"))
    return plain_body((getattr(session, "_json_serialize", None) or json_module.dumps)(value))


def _changed(session, options, body):
    if body is None:
        return options
    headers = session._prepare_headers(options.get("headers"))
    for name in ("Content-Length", "Content-Encoding", "Transfer-Encoding"):
        headers.popall(name, None)
    if options.get("json") is not None:
        headers.setdefault("Content-Type", _JSON)
    return dict({name: value for name, value in options.items() if name != "json"}, data=body, headers=headers)


def _told_reader():
    """Return the class of readers whose bytes are told of when they come."""
    from aiohttp.streams import StreamReader

    class ToldStreamReader(StreamReader):
        __slots__ = ()

        def feed_data(self, data, *more):
            attempt = _told[id(self)][1]
            passed = attempt.take(bytes(data)) if data else b""
            return super().feed_data(passed, len(passed)) if passed else False

        def feed_eof(self):
            attempt = _told.pop(id(self), (None, None))[1]
            rest = attempt.end() if attempt is not None else b""
            if rest:
                super().feed_data(rest, len(rest))
            super().feed_eof()

        def set_exception(self, *arguments, **more):
            attempt = _told.pop(id(self), (None, None))[1]
            if attempt is not None:
                attempt.doubt()
            super().set_exception(*arguments, **more)

    return ToldStreamReader


def _tell(content, attempt, reader):
    """Tell of what has come of a body, and of the rest when it comes."""
    early = b"".join(content._buffer) if type(content) is reader.__base__ else b""
    passed = attempt.take(early) if early else b""
    if passed != early:
        _replace(content, passed)
    if content.is_eof():
        rest = attempt.end()
        if rest:
            _replace(content, passed + rest)
    elif type(content) is reader.__base__:
        _told[id(content)] = content, attempt
        content.__class__ = reader
    else:
        attempt.doubt("a body of an unknown kind")


def _replace(content, data):
    content._buffer.clear()
    content._buffer_offset = 0
    content._size = len(data)
    if data:
        content._buffer.append(data)


async def _raise_for_status(session, response, raises):
    """As the session does for answers that came."""
    raises = session._raise_for_status if raises is None else raises
    if callable(raises):
        await raises(response)
    elif raises:
        response.raise_for_status()


def _refused(module, session, method, str_or_url, refusal):
    import asyncio

    from aiohttp.streams import StreamReader
    from multidict import CIMultiDict, CIMultiDictProxy

    loop = asyncio.get_running_loop()
    url = session._build_url(str_or_url)
    asked = CIMultiDictProxy(CIMultiDict(session.headers))
    fields = {
        "writer": None,
        "continue100": None,
        "timer": None,
        "request_info": module.RequestInfo(url, method, asked, url),
        "traces": [],
        "loop": loop,
        "session": session,
    }
    kind = session._response_class
    if "stream_writer" in kind.__init__.__code__.co_varnames:
        fields["stream_writer"] = SimpleNamespace(output_size=0)
    response = kind(method, url, **fields)
    response.status, response.reason = refusal.status, "Payment Required"
    response._headers = CIMultiDictProxy(CIMultiDict(refusal.headers))
    response._raw_headers = tuple((name.encode(), value.encode()) for name, value in refusal.headers.items())
    response.content = StreamReader(_Connected(), 2**16, loop=loop)
    response.content.feed_data(refusal.body, len(refusal.body))
    response.content.feed_eof()
    response.hivecost_refusal = refusal.details
    return response


class _Connected:
    """The protocol of an answer that never came over a connection."""

    connected = True

    def pause_reading(self):
        """There is nothing to pause."""

    def resume_reading(self, **_):
        """There is nothing to go on with."""
