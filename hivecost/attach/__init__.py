"""Agents that nobody wrote for hivecost: their calls are asked for and metered on the way out of their process.

`hivecost run` and `install` put a hook into the agent's process; the hook asks a meter before each HTTP attempt, and
tells it what came back. The meter belongs to the process that owns the ledger.
"""

from hivecost.attach.installing import install, node, tag

__all__ = ["install", "node", "tag"]
