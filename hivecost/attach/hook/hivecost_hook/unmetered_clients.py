"""Clients whose answers cannot be metered yet, aiohttp and urllib3 (botocore's): what they pay for is refused.

Without a budget it passes, and is counted as unmetered. What another client sends through them is metered already.
"""

import functools
from urllib.parse import urlsplit

from hivecost_hook.attribution import is_metered
from hivecost_hook.refusals import also_ours, base

_HEADERS = {"content-type": "application/json"}
_WHY = "a call of a model by %s cannot be metered yet, so a budget refuses it; httpx and requests are metered"


def patch_aiohttp(module, gate):
    """Patch `aiohttp.client`."""
    request = module.ClientSession._request

    @functools.wraps(request)
    async def asked_request(self, method, str_or_url, **options):
        if not is_metered.get():
            url = urlsplit(_absolute(self, str_or_url))
            _require_free(await gate.ask_async(method.upper(), *_address(url), dict(_HEADERS), None), "aiohttp")
        return await request(self, method, str_or_url, **options)

    module.ClientSession._request = asked_request


def patch_urllib3(module, gate):
    """Patch `urllib3.connectionpool`."""
    urlopen = module.HTTPConnectionPool.urlopen

    @functools.wraps(urlopen)
    def asked_urlopen(self, method, url, *arguments, **options):
        if not is_metered.get():
            host = "%s:%d" % (self.host, self.port) if self.port else self.host
            path = _address(urlsplit(url))[1]
            _require_free(gate.ask(method.upper(), host, path, dict(_HEADERS), None), "urllib3")
        return urlopen(self, method, url, *arguments, **options)

    module.HTTPConnectionPool.urlopen = asked_urlopen


def _absolute(session, url):
    """With the session's own base, where it has one."""
    build = getattr(session, "_build_url", None)
    return str(url if build is None else build(url))


def _address(url):
    return url.netloc.rpartition("@")[2], (url.path or "/") + ("?" + url.query if url.query else "")


def _require_free(decided, client):
    if decided is not None:
        if hasattr(decided, "unsent"):
            decided.unsent()
        details = getattr(decided, "details", {"kind": "misconfigured"})
        raise also_ours(base()(_WHY % client), details)
