"""`Session.send` of requests."""

import functools
from urllib.parse import urlsplit

from hivecost_hook.attempt import Refusal
from hivecost_hook.attribution import is_metered
from hivecost_hook.described import address, answer_headers, headers_of, plain_body


def patch(module, gate):
    """Patch `requests.sessions`."""
    session = module.Session
    send = session.send

    @functools.wraps(send)
    def metered_send(self, request, **options):
        if is_metered.get():
            return send(self, request, **options)
        attempt = gate.ask(*_described(request))
        if attempt is None:
            return send(self, request, **options)
        if isinstance(attempt, Refusal):
            return _refused(request, attempt)
        is_streamed = options.pop("stream", False)
        token = is_metered.set(True)
        try:
            response = send(self, _changed(request, attempt.body), stream=True, **options)
        except BaseException as error:
            attempt.failed(error)
            raise
        finally:
            is_metered.reset(token)
        response.request = request
        _tell(response, attempt)
        if not is_streamed:
            try:
                response.content  # noqa: B018  # reading it is what is wanted
            except BaseException as error:
                attempt.failed(error)
                raise
        return response

    session.send = metered_send


def _described(request):
    return (
        request.method,
        *address(urlsplit(request.url)),
        headers_of(request.headers.items()),
        plain_body(request.body),
    )


def _changed(request, body):
    if body is None:
        return request
    changed = request.copy()
    changed.headers.pop("content-encoding", None)
    changed.prepare_body(body, None)
    return changed


def _tell(response, attempt):
    """Requests decodes what it reads: so it is told of without its encoding."""
    headers = {
        name: value for name, value in answer_headers(response.headers.items()).items() if name != "content-encoding"
    }
    attempt.begin(response.status_code, headers)
    read, close = response.iter_content, response.close

    def iter_content(chunk_size=1, decode_unicode=False):
        return _pieces(read(chunk_size, decode_unicode=False), attempt, response if decode_unicode else None)

    def closed():
        attempt.doubt()
        close()

    response.iter_content, response.close = iter_content, closed


def _pieces(chunks, attempt, decoded):
    from requests.utils import stream_decode_response_unicode

    def passed():
        for data in chunks:
            piece = attempt.take(data)
            if piece:
                yield piece
        rest = attempt.end()
        if rest:
            yield rest

    return passed() if decoded is None else stream_decode_response_unicode(passed(), decoded)


def _refused(request, refusal):
    import io

    from requests import Response

    response = Response()
    response.status_code = refusal.status
    response.headers.update(refusal.headers)
    response.raw = io.BytesIO(refusal.body)
    response.reason = "Payment Required"
    response.url = request.url
    response.request = request
    response.hivecost_refusal = refusal.details
    return response
