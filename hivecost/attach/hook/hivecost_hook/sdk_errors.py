"""The status errors of the openai and anthropic SDKs: those for a refusal are also ours."""

from hivecost_hook.refusals import also_ours


def patch(module):
    """Patch `_base_client` of either."""
    client = module.BaseClient
    make = client._make_status_error_from_response

    def _make_status_error_from_response(self, response):
        error = make(self, response)
        details = getattr(response, "extensions", {}).get("hivecost_refusal")
        return error if details is None else also_ours(error, details)

    client._make_status_error_from_response = _make_status_error_from_response
