"""Each attempt of botocore, asked for before it is signed: a signature holds for one body."""

import contextvars
import functools
import io
from urllib.parse import urlsplit

from hivecost_hook.attempt import Refusal
from hivecost_hook.attribution import is_metered
from hivecost_hook.described import address, answer_headers, headers_of, plain_body
from hivecost_hook.refusals import also_ours

#: The refusal of the attempt that was made last.
_refusal = contextvars.ContextVar("hivecost_botocore_refusal", default=None)
_DECIDED = "_hivecost_decided"


def patch(module, gate):
    """Patch `botocore.endpoint`."""
    endpoint = module.Endpoint
    create_request, send = endpoint.create_request, endpoint._send

    @functools.wraps(create_request)
    def asked_request(self, params, operation_model=None):
        is_asked = _calls_models(operation_model) and not is_metered.get()
        decided = gate.ask(*_described(params)) if is_asked else None
        if isinstance(decided, Refusal) or decided is None:
            request = create_request(self, params, operation_model)
        else:
            try:
                request = create_request(self, _changed(params, decided.body), operation_model)
            except BaseException:
                decided.unsent()
                raise
        setattr(request, _DECIDED, decided)
        return request

    @functools.wraps(send)
    def metered_send(self, request):
        decided = getattr(request, _DECIDED, None)
        if isinstance(decided, Refusal):
            _refusal.set(decided.details)
            return _refused(request, decided)
        token = is_metered.set(True)
        try:
            response = send(self, request)
        except BaseException as error:
            if decided is not None:
                decided.failed(error)
            raise
        finally:
            is_metered.reset(token)
        if decided is not None:
            _tell(response, decided)
        return response

    endpoint.create_request, endpoint._send = asked_request, metered_send


def patch_errors(module):
    """Patch `botocore.client`: the error for a refusal is also ours."""
    client = module.BaseClient
    make_call = client._make_api_call

    @functools.wraps(make_call)
    def _make_api_call(self, operation_name, api_params):
        token = _refusal.set(None)
        try:
            return make_call(self, operation_name, api_params)
        except module.ClientError as error:
            details = _refusal.get()
            if details is not None:
                also_ours(error, details)
            raise
        finally:
            _refusal.reset(token)

    client._make_api_call = _make_api_call


def _calls_models(operation_model):
    """Other services of Amazon's are not asked for: they are many, and no model's."""
    return operation_model is not None and operation_model.service_model.service_name.startswith("bedrock")


def _described(params):
    host, path = address(urlsplit(params["url"]))
    return params["method"].upper(), host, path, headers_of(params["headers"].items()), plain_body(params["body"])


def _changed(params, body):
    return params if body is None else dict(params, body=body)


def _tell(response, attempt):
    from hivecost_hook import urllib3_client

    if response._content is None:
        urllib3_client.tell(response.raw, attempt)
        return
    attempt.begin(response.status_code, answer_headers(response.headers.items()))
    response._content = attempt.take(response._content) + attempt.end()


def _refused(request, refusal):
    from botocore.awsrequest import AWSResponse

    return AWSResponse(request.url, refusal.status, refusal.headers, _Raw(refusal.body))


class _Raw(io.BytesIO):
    """A body that is read as urllib3's are."""

    def stream(self, *_, **__):
        """Return its pieces."""
        yield self.read()
