"""The batch door: one JSON line in, one priced line out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any, Final

from msgspec.structs import replace

from hivecost.clock import to_ns
from hivecost.errors import UsageInvalidError
from hivecost.events import USAGE_FIELDS, Cost, CostStatus, Usage
from hivecost.money import to_usd
from hivecost.plain_text import shown
from hivecost.pricing.book import PriceBook
from hivecost.usage import read_usage
from hivecost.usage.bills import nanousd_of
from hivecost.usage.reading import UsageReading
from hivecost.usage.views import from_json, name_of, view

_FIELDS: Final = frozenset(USAGE_FIELDS)
#: What is read of a call.
_KEYS: Final = frozenset(
    {
        "id", "model", "provider", "timestamp", "usage", "raw_usage", "flavor", "batch", "service_tier",
        "reported_cost_usd",
    }
)  # fmt: skip
#: So many keys that are not read are named, and so much of each.
_IGNORED_MAX: Final = 20
_NAME_MAX: Final = 60


def price_line(line: bytes | str | Mapping[str, Any], book: PriceBook) -> dict[str, Any]:
    """Return the priced line of a call: `status`, `cost_usd` and its parts, `model`, `rate_source`, `snapshot`.

    `input_usd`, `output_usd` and `fee_usd` make up `cost_usd`; `cached_usd` and `written_usd` are parts of the input's,
    `reasoning_usd` of the output's. Amounts are decimal strings, exact to the nano-USD, and None when unknown. `id`
    comes back when it was given, `reason` says why a line is not `priced`, and `notional_usd` what a turn that a
    subscription pays for would have cost. `ignored` names keys that are none of a call's, such as slips; the first 20.
    Never raise: a line that is no JSON object gives an invalid one.
    """
    try:
        call = from_json(line) if isinstance(line, bytes | str) else line
        if type(call) is not dict and isinstance(call, Mapping):
            call = dict(view(call))
    except Exception as error:  # a text that is no JSON, or a stranger's object, which may raise anything
        return _priced({}, Cost(status=CostStatus.INVALID, snapshot=book.snapshot, reason=f"not JSON: {error}"), "")
    if type(call) is not dict:
        return _priced({}, Cost(status=CostStatus.INVALID, snapshot=book.snapshot, reason="not a JSON object"), "")
    try:
        return _price_call(call, book)
    except Exception as error:  # what a stranger wrote into a line may break its reader anywhere
        return _priced(call, Cost(status=CostStatus.INVALID, snapshot=book.snapshot, reason=str(error)), "")


def _price_call(call: Mapping[str, Any], book: PriceBook) -> dict[str, Any]:
    model, provider = _text(call, "model"), _text(call, "provider")
    at_ns = _timestamp_ns(call.get("timestamp"))
    reading = _reading(call)
    reported = nanousd_of(call.get("reported_cost_usd"))
    cost = book.price_reading(reading, model=model, provider=provider, at_ns=at_ns, reported_nanousd=reported)
    resolved = book.quote_reading(reading, model=model, provider=provider, at_ns=at_ns)
    return _priced(call, cost, resolved.model or model or reading.model)


def _reading(call: Mapping[str, Any]) -> UsageReading:
    """Return the line's usage; what the line says of tier and batch adds to what the payload says."""
    if call.get("raw_usage") is not None:
        reading = read_usage(call["raw_usage"], flavor=_text(call, "flavor") or None)
    else:
        reading = _own_usage(call.get("usage"))
    batch = call.get("batch")
    if batch is not None and not isinstance(batch, bool):
        raise ValueError(f"batch must be true or false, got {shown(batch, 60)}")
    return replace(
        reading,
        service_tier=_text(call, "service_tier") or reading.service_tier,
        batch=bool(batch) or reading.batch,
    )


def _own_usage(usage: object) -> UsageReading:
    """Return the usage from counts under our own names. Raise ValueError for any other count.

    One that is not known cannot be priced, and must not be passed over.
    """
    if type(usage) is dict and usage:
        unknown = sorted(map(str, usage.keys() - _FIELDS))
        if unknown:
            raise ValueError(
                f"usage has no count {', '.join(shown(name, 60) for name in unknown)}; "
                "a provider's own usage is given as raw_usage"
            )
        try:
            return UsageReading(usage=Usage(**usage), flavor="canonical")  # the short way, for sound counts
        except UsageInvalidError:
            pass
    return read_usage(usage, flavor="canonical")


def _priced(call: Mapping[str, Any], cost: Cost, model: str) -> dict[str, Any]:
    priced: dict[str, Any] = {"id": call["id"]} if "id" in call else {}
    priced |= {
        "status": cost.status.value,
        "cost_usd": _usd(cost.nanousd),
        "input_usd": _usd(cost.input_nanousd),
        "output_usd": _usd(cost.output_nanousd),
        "cached_usd": _usd(cost.cached_nanousd),
        "written_usd": _usd(cost.written_nanousd),
        "reasoning_usd": _usd(cost.reasoning_nanousd),
        "fee_usd": _usd(cost.fee_nanousd),
        "model": model,
        "rate_source": cost.source,
        "snapshot": cost.snapshot,
    }
    if cost.reason:
        priced["reason"] = cost.reason
    if cost.notional_nanousd is not None:
        priced["notional_usd"] = _usd(cost.notional_nanousd)
    if not call.keys() <= _KEYS:
        ignored = (name_of(name)[:_NAME_MAX] for name in call if name not in _KEYS)
        priced["ignored"] = list(islice(ignored, _IGNORED_MAX))
    return priced


def _usd(nanousd: int | None) -> str | None:
    return None if nanousd is None else f"{to_usd(nanousd):f}"


def _text(call: Mapping[str, Any], key: str) -> str:
    value = call.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{key} must be text, got {shown(value, 60)}")  # noqa: TRY004  # one error for every bad line
    return value


def _timestamp_ns(value: object) -> int | None:
    """Return the instant of an RFC 3339 text, in UTC where no zone is named; None means now."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value) if isinstance(value, str | int | date) else "")
        return to_ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise ValueError(f"timestamp must be like 2026-01-01T00:00:00Z, got {shown(value, 60)}") from None
