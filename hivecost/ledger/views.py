"""What a ledger tells of its budgets and of the holds in doubt, over all processes."""

from __future__ import annotations

from datetime import datetime

import msgspec

from hivecost.ledger.amounts import Unit
from hivecost.ledger.period import Window


class DoubtAmount(msgspec.Struct, frozen=True, kw_only=True):
    """What a hold in doubt is charged on one account."""

    budget: str
    scope: str
    period: str
    unit: Unit
    amount: int


class DoubtfulHold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold that may have been sent, and whose bill nobody knows."""

    hold_id: str
    key: str
    #: Why: `left unsettled`, `its process died`, `power loss`, ….
    reason: str
    since_ns: int
    amounts: tuple[DoubtAmount, ...]


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """A hard budget as it is in force for all processes. Limits are integers in `unit`: nano-USD, tokens or calls."""

    name: str
    limit: int
    #: What the configuration said last; another one than `limit` where an operator changed that since.
    configured_limit: int
    unit: Unit
    window: Window
    timezone: str
    #: Each of their values has an account of its own.
    attributes: tuple[str, ...]
    #: It only says what it would do.
    shadow: bool
    #: Why nothing is granted; "" while it is.
    frozen: str


class OwnLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The limit that values of a budget's attributes have of their own. Integers in `unit`."""

    budget: str
    #: `user=ada`: of a session's or an execution's account it names neither where it is the limit of each of them.
    scope: str
    unit: Unit
    limit: int
    #: What the configuration said last; None: nothing of these values.
    configured_limit: int | None


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A living process that money of an account is set aside for. Amounts are in the unit of the account."""

    #: `process 4711`, or `another process` where the system does not tell.
    process: str
    #: Since when it has its ledger open.
    since: datetime
    #: Set aside for turns in flight, and how many they are.
    held: int
    holds: int
    #: When the oldest of them began; None: there is none.
    held_since: datetime | None
    #: Lent to it and not held: it comes back when others need it.
    lent: int


class BudgetChange(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit trail."""

    at: datetime
    who: str
    #: `configure`, `retire`, `set_limit`, `raise_limit`, `unset_limit`, `freeze`, `unfreeze`, `resolve`, `recover`.
    what: str
    #: The name of a budget, the id of a hold, or the number of a process that was recovered.
    subject: str
    detail: str
