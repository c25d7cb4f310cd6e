"""Asks hivecost before each call of a model that this process makes, and tells it what came back.

Nothing but the standard library, for any Python from 3.9 on: the environment of an agent need not contain hivecost.
What a call costs and whether it may be made is decided on the other side of a unix socket.
"""

import os

from hivecost_hook.attribution import node, tag
from hivecost_hook.connection import Gate
from hivecost_hook.importing import when_imported
from hivecost_hook.refusals import BudgetExceeded

__all__ = ["BudgetExceeded", "node", "start", "tag"]


def start(socket_path):
    """Meter the clients that this process imports from here on, and those that it has imported."""
    from hivecost_hook import aiohttp_client, botocore_client, httpx_client, requests_client, sdk_errors, urllib3_client

    gate = Gate(socket_path)
    os.register_at_fork(after_in_child=gate.forked)
    for name in ("httpx._client", "httpx2._client"):
        when_imported(name, lambda module: httpx_client.patch(module, gate))
    when_imported("requests.sessions", lambda module: requests_client.patch(module, gate))
    when_imported("aiohttp.client", lambda module: aiohttp_client.patch(module, gate))
    when_imported("urllib3.connectionpool", lambda module: urllib3_client.patch(module, gate))
    when_imported("botocore.endpoint", lambda module: botocore_client.patch(module, gate))
    when_imported("botocore.client", botocore_client.patch_errors)
    when_imported("google.genai.errors", sdk_errors.patch_genai)
    for name in ("openai._base_client", "anthropic._base_client"):
        when_imported(name, sdk_errors.patch)
