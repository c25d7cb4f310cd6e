"""Getting rates from where they are published: the one place of hivecost that uses the network by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hivecost.errors import PriceUpdateError

_TIMEOUT_S: Final = 30.0
#: The published data is about 3 MB.
_BYTES_MAX: Final = 2**26


def fetch_rates(source: str) -> bytes:
    """The content of a URL (http, https) or a file. Raises PriceUpdateError, naming it, when that cannot be had."""
    if source.startswith(("http://", "https://")):
        return _download(source)
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise PriceUpdateError(f"{source}: {error.strerror or error}") from error


def published_url() -> str:
    """Where the installed genai-prices says that its data is published."""
    from genai_prices.update_prices import DEFAULT_UPDATE_URL  # noqa: PLC0415  # 0.2 s that only an update needs

    return DEFAULT_UPDATE_URL


def _download(url: str) -> bytes:
    import httpx2  # noqa: PLC0415  # as above

    data = bytearray()
    try:
        with httpx2.stream("GET", url, timeout=_TIMEOUT_S, follow_redirects=True) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > _BYTES_MAX:
                    raise PriceUpdateError(f"{url}: sends more than {_BYTES_MAX:,} bytes, which is no price table")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise PriceUpdateError(f"{url}: {reason}") from error
    return bytes(data)
