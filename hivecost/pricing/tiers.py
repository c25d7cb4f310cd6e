"""The service tiers providers name, in one vocabulary."""

from __future__ import annotations

from typing import Final

#: Half the price and no promise of speed: the standard rate bounds them from above.
DISCOUNTED: Final = frozenset({"batch", "flex"})

_STANDARD: Final = frozenset(
    {"", "auto", "default", "none", "not_available", "on_demand", "scale", "standard", "standard_only", "unspecified"}
)
_PREFIXES: Final = ("service_tier_", "traffic_type_", "on_demand_")


def canonical_tier(service_tier: str, *, batch: bool = False) -> str:
    """ "" for standard, else `batch`, `flex`, `priority`, `fast` or the provider's own word in lower case."""
    if batch:
        return "batch"
    tier = service_tier.strip().lower().replace("-", "_")
    for prefix in _PREFIXES:
        tier = tier.removeprefix(prefix)
    return "" if tier in _STANDARD else tier
