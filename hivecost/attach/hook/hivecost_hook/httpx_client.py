"""`send` of httpx and httpx2, sync and async."""

import datetime as dt
import functools

from hivecost_hook.attempt import Refusal
from hivecost_hook.attribution import is_metered
from hivecost_hook.described import answer_headers, headers_of


def patch(module, gate):
    """Patch `_client` of either."""
    client, async_client = module.Client, module.AsyncClient
    streams = _streams(module)

    send = client.send

    @functools.wraps(send)
    def metered_send(self, request, *, stream=False, **options):
        if is_metered.get() or self.is_closed:  # it raises then
            return send(self, request, stream=stream, **options)
        attempt = gate.ask(*_described(module, request), steps=True)
        if attempt is None:
            return send(self, request, stream=stream, **options)
        if isinstance(attempt, Refusal):
            return _refused(module, request, attempt)
        token = is_metered.set(True)
        try:
            response = send(self, _changed(request, attempt.body), stream=True, **options)
        except BaseException as error:
            attempt.failed(error)
            raise
        finally:
            is_metered.reset(token)
        response.request = request
        _keep_headers(response, attempt.begin(response.status_code, answer_headers(response.headers.items())))
        response.stream = streams[0](response.stream, attempt)
        if not stream:
            try:
                response.read()
            except BaseException:
                response.close()
                raise
        return response

    send_async = async_client.send

    @functools.wraps(send_async)
    async def metered_send_async(self, request, *, stream=False, **options):
        if is_metered.get() or self.is_closed:
            return await send_async(self, request, stream=stream, **options)
        attempt = await gate.ask_async(*_described(module, request), steps=True)
        if attempt is None:
            return await send_async(self, request, stream=stream, **options)
        if isinstance(attempt, Refusal):
            return _refused(module, request, attempt)
        token = is_metered.set(True)
        try:
            response = await send_async(self, _changed(request, attempt.body), stream=True, **options)
        except BaseException as error:
            attempt.failed(error)
            raise
        finally:
            is_metered.reset(token)
        response.request = request
        try:
            _keep_headers(
                response, await attempt.begin_async(response.status_code, answer_headers(response.headers.items()))
            )
            response.stream = streams[1](response.stream, attempt)
            if not stream:
                await response.aread()
        except BaseException:
            attempt.doubt("cancelled")
            await response.aclose()
            raise
        return response

    client.send, async_client.send = metered_send, metered_send_async


def _streams(module):
    """Return the classes of answers that are told of as they are read."""

    class Told(module.SyncByteStream):
        def __init__(self, stream, attempt):
            self._stream = stream
            self._attempt = attempt

        def __iter__(self):
            attempt = self._attempt
            for data in self._stream:
                passed = attempt.take(data)
                if passed:
                    yield passed
                if attempt.is_ended:
                    self.close()
                    return
            rest = attempt.end()
            if rest:
                yield rest

        def close(self):
            self._attempt.doubt()
            self._stream.close()

    class ToldAsync(module.AsyncByteStream):
        def __init__(self, stream, attempt):
            self._stream = stream
            self._attempt = attempt

        async def __aiter__(self):
            attempt = self._attempt
            async for data in self._stream:
                passed = await attempt.take_async(data)
                if passed:
                    yield passed
                if attempt.is_ended:
                    await self.aclose()
                    return
            rest = await attempt.end_async()
            if rest:
                yield rest

        async def aclose(self):
            self._attempt.doubt()
            await self._stream.aclose()

    return Told, ToldAsync


def _described(module, request):
    url = request.url
    host = url.host if url.port is None else "%s:%d" % (url.host, url.port)
    try:
        body = request.content
    except Exception:  # RequestNotRead: it is a stream
        body = None
    return request.method, host, url.raw_path.decode("ascii", "replace"), headers_of(request.headers.raw), body


def _changed(request, body):
    if body is None:
        return request
    headers = [pair for pair in request.headers.raw if pair[0].lower() not in _ABOUT_BODY]
    return type(request)(request.method, request.url, headers=headers, content=body, extensions=request.extensions)


_ABOUT_BODY = frozenset((b"content-length", b"content-encoding", b"transfer-encoding"))


def _keep_headers(response, kept):
    """Leave out what is not true any more of a stream that passed through the other side."""
    for name in ("content-encoding", "content-length"):
        if name in response.headers and name not in kept:
            del response.headers[name]


def _refused(module, request, refusal):
    response = module.Response(
        refusal.status,
        headers=refusal.headers,
        content=refusal.body,
        request=request,
        extensions={"hivecost_refusal": refusal.details},
    )
    response.elapsed = dt.timedelta(0)
    return response
