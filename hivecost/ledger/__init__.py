"""Budgets as pure policy: attributes and an instant in, decisions over integers out."""

from hivecost.ledger.account import Account, AccountStatus, Crossing
from hivecost.ledger.amounts import UNITS, Unit, USDAmount, amounts_of
from hivecost.ledger.attribution import ATTRIBUTES, attribution
from hivecost.ledger.backend import ClosesInTime, LedgerStore, LedgerStoreHold, OpenLedger
from hivecost.ledger.budget import Budget, CancelWhen, Limit, Mode, OnExceed
from hivecost.ledger.hold import BUSY_RETRY_AFTER_S, Hold, HoldState, Incident, Refusal, RefusalKind, Settlement
from hivecost.ledger.lease import lease_amount
from hivecost.ledger.notices import exceeded_of, overrun_of, rate_limited_of, warning_of
from hivecost.ledger.period import WINDOWS, Calendar, Period, Window, period_at
from hivecost.ledger.runaway import RunawayDetector, RunawayRules, Verdict
from hivecost.ledger.snapshot import AccountSnapshot, HoldSnapshot, LedgerSnapshot
from hivecost.ledger.soft import SoftAction, SoftLimits, SoftStep, soft_refusal
from hivecost.ledger.spend import ACCOUNTS_MAX, SESSIONS_MAX, SpendAccounts
from hivecost.ledger.state import LedgerState
from hivecost.ledger.statements import BudgetState, DoubtAmount, DoubtfulHold, OwnLimit

__all__ = [
    "ACCOUNTS_MAX",
    "ATTRIBUTES",
    "BUSY_RETRY_AFTER_S",
    "SESSIONS_MAX",
    "UNITS",
    "WINDOWS",
    "Account",
    "AccountSnapshot",
    "AccountStatus",
    "Budget",
    "BudgetState",
    "Calendar",
    "CancelWhen",
    "ClosesInTime",
    "Crossing",
    "DoubtAmount",
    "DoubtfulHold",
    "Hold",
    "HoldSnapshot",
    "HoldState",
    "Incident",
    "LedgerSnapshot",
    "LedgerState",
    "LedgerStore",
    "LedgerStoreHold",
    "Limit",
    "Mode",
    "OnExceed",
    "OpenLedger",
    "OwnLimit",
    "Period",
    "Refusal",
    "RefusalKind",
    "RunawayDetector",
    "RunawayRules",
    "Settlement",
    "SoftAction",
    "SoftLimits",
    "SoftStep",
    "SpendAccounts",
    "USDAmount",
    "Unit",
    "Verdict",
    "Window",
    "amounts_of",
    "attribution",
    "exceeded_of",
    "lease_amount",
    "overrun_of",
    "period_at",
    "rate_limited_of",
    "soft_refusal",
    "warning_of",
]
