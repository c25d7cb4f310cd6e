"""The price book of a place: its fetched rates, when there are any."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from hivecost.backends.opening import open_backend
from hivecost.backends.places import Place
from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.errors import StoreError
from hivecost.pricing import PriceBook

_log = logging.getLogger(__name__)


def open_price_book(
    place: Place, table: Mapping[str, Any] | str | os.PathLike[str] | None = None, *, clock: Clock = SYSTEM_CLOCK
) -> PriceBook:
    """Return a price book of the fetched rates when there are any, else of the shipped ones; `table` wins over both.

    Fetched rates that cannot be read are logged and not used. Raise ConfigError for a table that cannot be used.
    """
    rates = open_backend(place).rates
    try:
        data = rates.current()
    except StoreError as error:
        _log.error("%s; the shipped rates are used", error)
        data = None
    if data is None:
        return PriceBook(table, clock=clock)
    book = PriceBook(table, clock=clock, data=data)
    try:
        _ = book.snapshot  # reads all of it
    except Exception as error:  # a stranger's data may break its reader anywhere
        reason = str(error).partition("\n")[0]
        _log.error("%s: %s; the shipped rates are used, `hivecost prices update` renews it", rates.name, reason)
        return PriceBook(table, clock=clock)
    return book
