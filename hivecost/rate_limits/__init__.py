"""Pacing: how many calls and tokens may go out in how much time."""

from hivecost.rate_limits.limiter import LimiterStatistics, RateLimiter, Throttle
from hivecost.rate_limits.pacer import PacerStatistics, Permit, TokenPacer

__all__ = ["LimiterStatistics", "PacerStatistics", "Permit", "RateLimiter", "Throttle", "TokenPacer"]
