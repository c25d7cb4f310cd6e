"""Where a runtime log lives: one folder for each kind of place."""

from hivecost.backends.opening import open_log

__all__ = ["open_log"]
