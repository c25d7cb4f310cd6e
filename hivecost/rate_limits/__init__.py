"""Pacing: how many calls and tokens may go out in how much time."""

from hivecost.rate_limits.limiter import LimiterStatistics, RateLimiter
from hivecost.rate_limits.pacer import PacerStatistics, Permit, TokenPacer
from hivecost.rate_limits.throttle import Throttle

__all__ = ["LimiterStatistics", "PacerStatistics", "Permit", "RateLimiter", "Throttle", "TokenPacer"]
