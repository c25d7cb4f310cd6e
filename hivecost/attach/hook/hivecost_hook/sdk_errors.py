"""The status errors of SDKs: those for a refusal are also ours."""

from hivecost_hook.refusals import also_ours


def patch(module):
    """Patch `_base_client` of openai or anthropic."""
    client = module.BaseClient
    make = client._make_status_error_from_response

    def _make_status_error_from_response(self, response):
        error = make(self, response)
        details = _details(response)
        return error if details is None else also_ours(error, details)

    client._make_status_error_from_response = _make_status_error_from_response


def patch_genai(module):
    """Patch `google.genai.errors`."""
    kind = module.APIError
    check, check_async = kind.raise_for_response.__func__, kind.raise_for_async_response.__func__

    def raise_for_response(cls, response):
        try:
            check(cls, response)
        except module.APIError as error:
            _mark(error, response)
            raise

    async def raise_for_async_response(cls, response):
        try:
            await check_async(cls, response)
        except module.APIError as error:
            _mark(error, response)
            raise

    kind.raise_for_response = classmethod(raise_for_response)
    kind.raise_for_async_response = classmethod(raise_for_async_response)


def _mark(error, response):
    details = _details(response)
    if details is not None:
        also_ours(error, details)


def _details(response):
    """Return what was said of a refusal; None for an answer that came."""
    extensions = getattr(response, "extensions", None)
    kept = extensions.get("hivecost_refusal") if isinstance(extensions, dict) else None
    return getattr(response, "hivecost_refusal", None) if kept is None else kept
