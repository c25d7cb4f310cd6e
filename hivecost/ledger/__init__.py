"""Budgets as pure policy: attributes and an instant in, decisions over integers out."""

from hivecost.ledger.account import Account, AccountDetails, AccountStatus, ThresholdCrossing
from hivecost.ledger.amounts import UNITS, Amounts, Unit, USDAmount, amounts_of
from hivecost.ledger.attributes import ancestry, ancestry_of, attributes_of
from hivecost.ledger.backend import ClosesInTime, LedgerReader, LedgerStore, LedgerStoreHold, OpenLedger
from hivecost.ledger.book import Ancestors
from hivecost.ledger.budget import Budget, CancelWhen, Limit, Mode, OnExceed, listed_budgets, listed_names
from hivecost.ledger.hold import BUSY_RETRY_AFTER_S, Hold, HoldState, Overrun, Refusal, RefusalKind, Settlement
from hivecost.ledger.lease import lease_amount
from hivecost.ledger.lineage import Lineage
from hivecost.ledger.matching import Matches, matcher
from hivecost.ledger.period import WINDOWS, Calendar, Period, Window, period_at
from hivecost.ledger.snapshot import AccountSnapshot, HoldSnapshot, LedgerSnapshot
from hivecost.ledger.soft import SoftAction, SoftLimits, SoftStep, soft_refusal
from hivecost.ledger.spend import ACCOUNTS_MAX, SESSIONS_MAX, UNSEEN, SpendAccounts, is_unseen
from hivecost.ledger.state import LedgerState
from hivecost.ledger.views import BudgetChange, BudgetState, DoubtAmount, DoubtfulHold, Holder, OwnLimit

__all__ = [
    "ACCOUNTS_MAX",
    "BUSY_RETRY_AFTER_S",
    "SESSIONS_MAX",
    "UNITS",
    "UNSEEN",
    "WINDOWS",
    "Account",
    "AccountDetails",
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
    "Settlement",
    "SoftAction",
    "SoftLimits",
    "SoftStep",
    "SpendAccounts",
    "ThresholdCrossing",
    "USDAmount",
    "Unit",
    "Window",
    "amounts_of",
    "ancestry",
    "ancestry_of",
    "attributes_of",
    "is_unseen",
    "lease_amount",
    "listed_budgets",
    "listed_names",
    "matcher",
    "period_at",
    "soft_refusal",
]
