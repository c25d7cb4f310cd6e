"""Budgets as pure policy: attributes and an instant in, decisions over integers out."""

from hivecost.ledger.account import AccountStatus, Crossing
from hivecost.ledger.amounts import UNITS, Unit
from hivecost.ledger.attribution import ATTRIBUTES, attribution
from hivecost.ledger.budget import Budget, CancelWhen, Mode, OnExceed
from hivecost.ledger.hold import BUSY_RETRY_AFTER_S, Hold, HoldState, Incident, Refusal, RefusalKind, Settlement
from hivecost.ledger.lease import lease_amount
from hivecost.ledger.notices import warning_of
from hivecost.ledger.period import WINDOWS, Calendar, Period, Window, period_at
from hivecost.ledger.runaway import RunawayDetector, RunawayRules, Verdict
from hivecost.ledger.snapshot import AccountSnapshot, HoldSnapshot, LedgerSnapshot
from hivecost.ledger.spend import ACCOUNTS_MAX, SpendAccounts
from hivecost.ledger.state import LedgerState

__all__ = [
    "ACCOUNTS_MAX",
    "ATTRIBUTES",
    "BUSY_RETRY_AFTER_S",
    "UNITS",
    "WINDOWS",
    "AccountSnapshot",
    "AccountStatus",
    "Budget",
    "Calendar",
    "CancelWhen",
    "Crossing",
    "Hold",
    "HoldSnapshot",
    "HoldState",
    "Incident",
    "LedgerSnapshot",
    "LedgerState",
    "Mode",
    "OnExceed",
    "Period",
    "Refusal",
    "RefusalKind",
    "RunawayDetector",
    "RunawayRules",
    "Settlement",
    "SpendAccounts",
    "Unit",
    "Verdict",
    "Window",
    "attribution",
    "lease_amount",
    "period_at",
    "warning_of",
]
