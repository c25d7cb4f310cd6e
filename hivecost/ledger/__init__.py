"""Budgets as pure policy: attributes and an instant in, decisions over integers out."""

from hivecost.ledger.account import Account, AccountStatus, ThresholdCrossing
from hivecost.ledger.amounts import UNITS, Amounts, Unit, USDAmount, amounts_of
from hivecost.ledger.attribution import ATTRIBUTES, ancestry, ancestry_of, attribution, whose
from hivecost.ledger.backend import ClosesInTime, LedgerReader, LedgerStore, LedgerStoreHold, OpenLedger
from hivecost.ledger.book import Ancestors
from hivecost.ledger.budget import Budget, CancelWhen, Limit, Mode, OnExceed, listed_budgets, listed_names
from hivecost.ledger.hold import BUSY_RETRY_AFTER_S, Hold, HoldState, Overrun, Refusal, RefusalKind, Settlement
from hivecost.ledger.lease import lease_amount
from hivecost.ledger.lineage import DEPTH_MAX, Lineage
from hivecost.ledger.matching import Matches, matcher
from hivecost.ledger.notices import UNSEEN, exceeded_of, overrun_of, rate_limited_of, unseen_of, warning_of
from hivecost.ledger.period import WINDOWS, Calendar, Period, Window, period_at
from hivecost.ledger.runaway import RunawayDetector, RunawayRules, Verdict
from hivecost.ledger.snapshot import AccountSnapshot, HoldSnapshot, LedgerSnapshot
from hivecost.ledger.soft import SoftAction, SoftLimits, SoftStep, soft_refusal
from hivecost.ledger.spend import ACCOUNTS_MAX, SESSIONS_MAX, SpendAccounts, is_unseen
from hivecost.ledger.state import LedgerState
from hivecost.ledger.statements import BudgetChange, BudgetState, DoubtAmount, DoubtfulHold, Holder, OwnLimit

__all__ = [
    "ACCOUNTS_MAX",
    "ATTRIBUTES",
    "BUSY_RETRY_AFTER_S",
    "DEPTH_MAX",
    "SESSIONS_MAX",
    "UNITS",
    "UNSEEN",
    "WINDOWS",
    "Account",
    "AccountSnapshot",
    "AccountStatus",
    "Amounts",
    "Ancestors",
    "Budget",
    "BudgetChange",
    "BudgetState",
    "Calendar",
    "CancelWhen",
    "ClosesInTime",
    "DoubtAmount",
    "DoubtfulHold",
    "Hold",
    "HoldSnapshot",
    "HoldState",
    "Holder",
    "LedgerReader",
    "LedgerSnapshot",
    "LedgerState",
    "LedgerStore",
    "LedgerStoreHold",
    "Limit",
    "Lineage",
    "Matches",
    "Mode",
    "OnExceed",
    "OpenLedger",
    "Overrun",
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
    "ThresholdCrossing",
    "USDAmount",
    "Unit",
    "Verdict",
    "Window",
    "amounts_of",
    "ancestry",
    "ancestry_of",
    "attribution",
    "exceeded_of",
    "is_unseen",
    "lease_amount",
    "listed_budgets",
    "listed_names",
    "matcher",
    "overrun_of",
    "period_at",
    "rate_limited_of",
    "soft_refusal",
    "unseen_of",
    "warning_of",
    "whose",
]
