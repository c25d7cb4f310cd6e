"""The control plane: few, synchronous, in-process signals that must not queue behind the data.

Connect with `signal.connect(receiver)`; receivers are held strongly, so local functions stay connected. A receiver
gets `sender` and the keyword arguments named below, runs on the thread that sends, and must be quick.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

import blinker

_log = logging.getLogger("hivecost")
_Receiver = TypeVar("_Receiver", bound=Callable[..., Any])


class ControlSignal(blinker.Signal):
    """A blinker signal that holds its receivers strongly and isolates them from each other."""

    def connect(self, receiver: _Receiver, sender: Any = blinker.ANY, weak: bool = False) -> _Receiver:
        """Connect the receiver, strongly unless `weak`, and return it."""
        return super().connect(receiver, sender, weak)

    def announce(self, sender: Any, **facts: Any) -> None:
        """Call every receiver; one that raises is logged by name and hinders nobody."""
        for receiver in list(self.receivers_for(sender)) if self.receivers else ():
            try:
                receiver(sender, **facts)
            except Exception:
                _log.exception("receiver %r failed", receiver)


#: sender: the runtime; execution_id, reason. Told when it is asked, again when it is asked harder, and at its end at
#: the latest: also for one that ended because a budget refused its turn.
execution_cancelled: Final = ControlSignal("An execution was asked to stop.")
#: sender: the runtime; execution_id, entry_point, waited_s.
cancellation_ignored: Final = ControlSignal("A cancelled execution goes on running.")
#: sender: the plugin or runtime; budget, scope, execution_id, used, limit, unit.
budget_exhausted: Final = ControlSignal("An account has nothing left.")
#: sender: the plugin or runtime; budget, scope, execution_id, used, limit, unit, fraction.
budget_warning: Final = ControlSignal("An account passed one of its warning fractions, or its soft limit.")
#: sender: the bus; subscription_id, name, event (or list), error.
subscriber_failed: Final = ControlSignal("A handler raised.")
#: sender: the bus; subscription_id, name, count, why.
events_dropped: Final = ControlSignal("Events were lost to a full or closing queue.")
#: sender: the ledger; hold, settlement. For a `settle()` that came in the middle of its work, and so gave None; and for
#: incidents that came to light afterwards, such as a bill above what somebody had resolved its hold at.
settled_late: Final = ControlSignal("A hold was settled after its settle() had returned.")
