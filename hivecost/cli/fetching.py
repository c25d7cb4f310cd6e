"""Getting rates from where they are published: the one place of hivecost that uses the network by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hivecost.backends.contract import RATES_BYTES_MAX
from hivecost.errors import PriceUpdateError

DEADLINE_S: Final = 30.0


def fetch_rates(source: str) -> bytes:
    """Return the content of a URL (http, https) or a file. Raise PriceUpdateError, naming it, if unreadable."""
    if source.startswith(("http://", "https://")):
        return _download(source)
    try:
        with Path(source).open("rb") as file:
            data = file.read(RATES_BYTES_MAX + 1)
    except OSError as error:
        raise PriceUpdateError(f"{source}: {error.strerror or error}") from error
    if len(data) > RATES_BYTES_MAX:
        raise PriceUpdateError(f"{source}: has more than {RATES_BYTES_MAX:,} bytes, which is no price table")
    return data


def published_url() -> str:
    """Return where the installed genai-prices says that its data is published."""
    from genai_prices.update_prices import DEFAULT_UPDATE_URL  # noqa: PLC0415  # 0.2 s that only an update needs

    return DEFAULT_UPDATE_URL


def _download(url: str) -> bytes:
    import anyio  # noqa: PLC0415  # as above
    import httpx2  # noqa: PLC0415  # as above

    try:
        return anyio.run(_fetch, url)
    except TimeoutError as error:
        raise PriceUpdateError(f"{url}: was not there in full after {DEADLINE_S:g} seconds") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise PriceUpdateError(f"{url}: {reason}") from error


async def _fetch(url: str) -> bytes:
    """Fetch under one deadline and one limit for everything: names, redirects, headers and each read."""
    import anyio  # noqa: PLC0415  # as above
    import httpx2  # noqa: PLC0415  # as above

    schemes = []

    async def stay_secure(request: httpx2.Request) -> None:
        schemes.append(request.url.scheme)
        if "https" in schemes and request.url.scheme != "https":
            raise PriceUpdateError(f"{url}: leads to {request.url}, where others can change what is sent")

    data = bytearray()
    with anyio.fail_after(DEADLINE_S):
        async with (
            httpx2.AsyncClient(
                timeout=DEADLINE_S, follow_redirects=True, event_hooks={"request": [stay_secure]}
            ) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > RATES_BYTES_MAX:
                    raise PriceUpdateError(f"{url}: sends more than {RATES_BYTES_MAX:,} bytes, which is no price table")
    return bytes(data)
