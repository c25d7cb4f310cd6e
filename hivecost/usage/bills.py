"""What providers say that an answer cost."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

from hivecost.money import TURN_COST_MAX_NANOUSD
from hivecost.usage.views import view

_BILLS: Final = frozenset(
    {
        "cost", "cost_in_usd_ticks", "is_byok", "total_cost_usd", "cost_usd", "estimated_cost", "total_cost",
        "_hidden_params", "response_cost", "providerMetadata",
    }
)  # fmt: skip


def reported_nanousd(response: Mapping[str, Any], usage: Mapping[str, Any]) -> int | None:
    """The provider's own bill; None where it names none, or none that can be.

    xAI's `cost_in_usd_ticks` are 10**-10 USD. Perplexity says `cost.total_cost`, LiteLLM `response_cost`, and 0.0 for
    models it has no price for. OpenRouter says `cost`; with a key of one's own the spend is upstream, and the fee alone
    is not what the turn cost. DeepInfra says `estimated_cost`, Claude Code `total_cost_usd` and `cost_usd`.
    """
    if _BILLS.isdisjoint(usage) and _BILLS.isdisjoint(response):  # as it is most often
        return None
    ticks, cost = usage.get("cost_in_usd_ticks"), usage.get("cost")
    if type(ticks) is int:
        return nanousd_of(Decimal(ticks).scaleb(-10))
    for place, name in ((response, "total_cost_usd"), (usage, "cost_usd"), (usage, "estimated_cost")):
        if name in place:
            return nanousd_of(place[name])
    if parts := view(cost):
        return nanousd_of(parts.get("total_cost"))
    if "native_tokens_prompt" not in usage and (cost is not None or "is_byok" in usage):
        return _openrouter(usage, cost)
    return _of_client(response)


def _of_client(response: Mapping[str, Any]) -> int | None:
    if "providerMetadata" in response:  # Vercel's AI SDK, of its gateway
        return nanousd_of(view(view(response["providerMetadata"]).get("gateway")).get("cost"))
    if "native_tokens_prompt" in response:  # OpenRouter's account of a generation
        return nanousd_of(response.get("total_cost"))
    hidden = view(response["_hidden_params"]) if "_hidden_params" in response else response
    return nanousd_of(hidden.get("response_cost")) or None


def _openrouter(usage: Mapping[str, Any], cost: object) -> int | None:
    fee = nanousd_of(cost)
    if usage.get("is_byok") is not True:
        return fee
    upstream = nanousd_of(view(usage.get("cost_details")).get("upstream_inference_cost"))
    return None if upstream is None else upstream + (fee or 0)


def nanousd_of(value: object) -> int | None:
    """A foreign amount in USD as nano-USD; None when it is no finite, non-negative, believable number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        usd = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):  # the second for an integer that Python does not write out
        return None
    if not usd.is_finite() or usd < 0 or usd > TURN_COST_MAX_NANOUSD:
        return None
    nanousd = int(usd.scaleb(9).to_integral_value(ROUND_HALF_EVEN))
    return nanousd if nanousd <= TURN_COST_MAX_NANOUSD else None
