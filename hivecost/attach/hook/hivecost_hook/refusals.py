"""Refusals as exceptions: the SDK's own, which are hivecost's as well."""

import sys


class BudgetExceeded(Exception):
    """A budget refused a call. With hivecost imported in the program it is `hivecost.BudgetExceededError` instead."""

    budget = ""
    execution_id = ""
    scope = ""
    period = ""
    used = 0
    limit = 0
    needed = 0
    remaining = 0
    retry_after_s = None
    kind = ""


_kinds = {}


def base():
    """Return what refusals are: hivecost's error where the program knows it."""
    hivecost = sys.modules.get("hivecost")
    return getattr(hivecost, "BudgetExceededError", BudgetExceeded)


def also_ours(error, details):
    """Make an SDK's error one of ours as well, and return it; as it was, where its class does not allow that."""
    ours = base()
    kind = type(error)
    if not isinstance(error, ours):
        both = _kinds.get((kind, ours))
        if both is None:
            both = _kinds[kind, ours] = type(kind.__name__, (kind, ours), {"__module__": kind.__module__})
        try:
            error.__class__ = both
        except TypeError:
            return error
    for name in ("execution_id", "scope", "period", "budget"):
        setattr(error, name, details.get(name) or "")
    for name in ("used", "limit", "needed", "remaining"):
        setattr(error, name, details.get(name) or 0)
    error.retry_after_s = details.get("retry_after_s")
    error.kind = details.get("kind", "")
    return error
